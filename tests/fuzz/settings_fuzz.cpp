// The configuration file: whatever it is, it is read or its problems are told, within the limits
// that the rest of the program relies on.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "config/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace parlance;
  const std::string_view yaml(reinterpret_cast<const char*>(data), size);
  // A key such as api_key_file would read whatever path the fuzzer comes up with.
  if (yaml.find("_file") != std::string_view::npos) return 0;
  std::vector<config::Problem> problems;
  const config::Settings settings = config::read_settings(
      yaml,
      [](const char* name) { return std::string(name == std::string_view("KEY") ? "k" : ""); },
      problems);
  int line = 0;
  for (const config::Problem& problem : problems) {
    CHECK(problem.line >= line);
    CHECK(!problem.text.empty());
    line = problem.line;
  }
  CHECK(settings.agent.steps_max >= 1);
  CHECK(settings.net.connections_max >= 1);
  CHECK(settings.net.header_timeout.count() > 0);
  CHECK(settings.sessions.group_requests_max >= 1);
  CHECK(settings.sessions.readers >= 1);
  return 0;
}
