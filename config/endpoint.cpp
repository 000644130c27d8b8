#include "config/endpoint.h"

#include <fmt/format.h>

#include "config/settings.h"

namespace parlance::config {

void check_base_url(Section& section, const char* key, const std::string& url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    section.problem(key, "must begin with http:// or https://");
  }
}

void check_ca_file(Section& section, const char* key, const std::string& path) {
  if (path.empty()) return;
  const auto text = read_file(path);
  if (!text) {
    section.problem(key, text.error().detail);
  } else if (text->find("CERTIFICATE-----") == std::string::npos) {
    section.problem(key, fmt::format("{} holds no certificate in PEM form", path));
  }
}

}  // namespace parlance::config
