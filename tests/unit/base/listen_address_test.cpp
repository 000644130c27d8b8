#include "base/listen_address.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

namespace parlance {
namespace {

using namespace std::string_view_literals;

TEST_CASE("an address to listen on is a numeric host and a port") {
  const auto [text, host, port, loopback] = GENERATE(table<std::string, std::string, int, bool>({
      {"127.0.0.1:8080", "127.0.0.1", 8080, true},
      {"127.9.9.9:1", "127.9.9.9", 1, true},
      {"localhost:0", "127.0.0.1", 0, true},
      {"[::1]:65535", "::1", 65535, true},
      {"::1:80", "::1", 80, true},
      {"0.0.0.0:8080", "0.0.0.0", 8080, false},
      {"*:8080", "0.0.0.0", 8080, false},
      {":8080", "0.0.0.0", 8080, false},
      {"[::]:8080", "::", 8080, false},
      {"192.168.1.2:0080", "192.168.1.2", 80, false},
      {"[fe80::1%eth0]:80", "fe80::1%eth0", 80, false},
  }));
  CAPTURE(text);
  const auto address = parse_listen_address(text);
  REQUIRE(address.has_value());
  CHECK(address->host == host);
  CHECK(address->port == port);
  CHECK(address->loopback == loopback);
}

TEST_CASE("what is no address to listen on is refused with what is allowed") {
  const auto [text, wrong] = GENERATE(table<std::string_view, std::string_view>({
      {""sv, "host:port"sv},
      {"8080"sv, "host:port"sv},
      {"127.0.0.1"sv, "host:port"sv},
      {"127.0.0.1:"sv, "0 to 65535"sv},
      {"127.0.0.1:x"sv, "0 to 65535"sv},
      {"127.0.0.1:80x"sv, "0 to 65535"sv},
      {"127.0.0.1:-1"sv, "0 to 65535"sv},
      {"127.0.0.1:+1"sv, "0 to 65535"sv},
      {"127.0.0.1: 80"sv, "0 to 65535"sv},
      {"127.0.0.1:65536"sv, "0 to 65535"sv},
      {"127.0.0.1:99999999999999999999"sv, "0 to 65535"sv},
      {"example.org:80"sv, "numeric"sv},
      {"LocalHost:80"sv, "numeric"sv},
      {"http://127.0.0.1:80"sv, "numeric"sv},
      {"127.0.0:80"sv, "numeric"sv},
      {"127.0.0.256:80"sv, "numeric"sv},
      {" 127.0.0.1:80"sv, "numeric"sv},
      {"127.0.0.1\0:80"sv, "numeric"sv},
      {"127.0.0.1%lo:80"sv, "numeric"sv},
      {"[::1%]:80"sv, "numeric"sv},
      {"[]:80"sv, "numeric"sv},
      {"[::1:80"sv, "numeric"sv},
      {"::1]:80"sv, "numeric"sv},
  }));
  CAPTURE(text);
  const auto address = parse_listen_address(text);
  REQUIRE_FALSE(address.has_value());
  CHECK(address.error().code == Errc::invalid_argument);
  CHECK(address.error().detail.find(wrong) != std::string::npos);
}

}  // namespace
}  // namespace parlance
