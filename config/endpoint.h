// Rules for where a model is called, of the keys `base_url` and `ca_file`.
#pragma once

#include <string>

#include "config/yaml_reader.h"

namespace parlance::config {

void check_base_url(Section& section, const char* key, const std::string& url);

/// Reads the file, where `path` is not empty: the handshake would say the same of every call.
void check_ca_file(Section& section, const char* key, const std::string& path);

}  // namespace parlance::config
