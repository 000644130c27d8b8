// A request target through the parser and the route table. What is accepted is clean text.

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/json.h"
#include "net/route_table.h"

using namespace parlance;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto target = net::parse_target(text);
  if (!target) return 0;
  for (const std::string& segment : target->segments) {
    CHECK(json::valid_utf8(segment));
    CHECK(segment.size() <= size);
  }
  for (const auto& [name, value] : target->query) {
    CHECK(json::valid_utf8(name));
    CHECK(json::valid_utf8(value));
  }
  for (const auto* method : {"GET", "HEAD", "POST", "DELETE"}) {
    const auto route = net::find_route(method, *target);
    if (const auto* found = std::get_if<net::Route>(&route)) {
      CHECK(found->name.size() <= size);
    }
  }
  return 0;
}
