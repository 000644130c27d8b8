#include "net/web_pages.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using namespace parlance;
using net::Endpoint;
using net::HttpRequest;
using net::HttpResponse;

namespace {

HttpRequest request_for(Endpoint endpoint, std::string file = {}) {
  HttpRequest request;
  request.route = {.endpoint = endpoint, .name = std::move(file)};
  return request;
}

HttpResponse page(Endpoint endpoint) {
  return net::web_page(request_for(endpoint));
}

std::string header(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

/// The name of the first script that a page loads.
std::string script_of(const HttpResponse& page) {
  const std::string_view before = "src=\"/assets/";
  const std::size_t begin = page.body.find(before) + before.size();
  const std::size_t end = page.body.find('"', begin);
  REQUIRE(end != std::string::npos);
  return page.body.substr(begin, end - begin);
}

}  // namespace

TEST_CASE("both pages are HTML") {
  for (const Endpoint endpoint : {Endpoint::chat_page, Endpoint::console_page}) {
    const HttpResponse response = page(endpoint);
    CHECK(response.status == 200);
    CHECK(response.content_type == "text/html; charset=utf-8");
    CHECK(response.body.starts_with("<!doctype html>"));
  }
}

TEST_CASE("a page's policy allows nothing inline and nothing from elsewhere") {
  for (const Endpoint endpoint : {Endpoint::chat_page, Endpoint::console_page}) {
    const std::string policy = header(page(endpoint), "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "));
    CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(policy.find("http") == std::string::npos);
  }
}

TEST_CASE("a page has neither inline scripts nor inline styles") {
  for (const Endpoint endpoint : {Endpoint::chat_page, Endpoint::console_page}) {
    const std::string body = page(endpoint).body;
    CHECK(body.find("style=") == std::string::npos);
    CHECK(body.find("<style") == std::string::npos);
    CHECK(body.find("<script>") == std::string::npos);
  }
}

TEST_CASE("a page is asked for again each time, and answered with 304 when it is the same") {
  HttpRequest request = request_for(Endpoint::console_page);
  const HttpResponse first = net::web_page(request);
  CHECK(first.cache_control == "no-cache");
  request.if_none_match = header(first, "ETag");
  CHECK(net::web_page(request).status == 304);
}

TEST_CASE("what a page loads is kept for ever") {
  const HttpResponse script =
      net::web_page(request_for(Endpoint::asset, script_of(page(Endpoint::console_page))));
  CHECK(script.status == 200);
  CHECK(script.content_type == "text/javascript; charset=utf-8");
  CHECK(script.cache_control == "public, max-age=31536000, immutable");
}

TEST_CASE("what a page loads is gzipped for who takes that") {
  HttpRequest request = request_for(Endpoint::asset, script_of(page(Endpoint::chat_page)));
  const std::size_t plain = net::web_page(request).body.size();
  request.accept_encoding = "gzip, br";
  const HttpResponse gzipped = net::web_page(request);
  CHECK(header(gzipped, "Content-Encoding") == "gzip");
  CHECK(gzipped.body.size() < plain);
}

TEST_CASE("a weight of gzip counts in any case and among other parameters") {
  HttpRequest request = request_for(Endpoint::asset, script_of(page(Endpoint::chat_page)));
  const auto gzipped = [&](std::string_view accepted) {
    request.accept_encoding = accepted;
    return !header(net::web_page(request), "Content-Encoding").empty();
  };
  for (const char* yes :
       {"GZIP", "gzip;q=1", "gzip ; Q = 0.5", "br, gzip;x=0;q=0.001", "gzip;x=1"}) {
    INFO(yes);
    CHECK(gzipped(yes));
  }
  for (const char* no : {"", "br", "gzip;q=0", "gzip;Q=0", "gzip;q=0.0;x=1", "gzip;x=1;q=0.000",
                         "x-gzip2", "gzipped"}) {
    INFO(no);
    CHECK_FALSE(gzipped(no));
  }
}

TEST_CASE("a page is no asset, and neither is what is not there") {
  for (const char* name : {"", "index.html", "console.html", "index.html.gz", "none.js"}) {
    INFO(name);
    CHECK(net::web_page(request_for(Endpoint::asset, name)).status == 404);
  }
}
