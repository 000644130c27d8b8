// The `stack` section: tools, who picks one of them, and where their passages are found. Written as
// the stack server's users know it, in a file of its own or in the server's configuration file.
// In any of its values "${NAME}" stands for a variable of the environment.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "config/yaml_reader.h"

namespace parlance::config {

/// Reads `section` into the stack, the named providers and the backend of the documents of `out`,
/// whose own providers are read already. What has no effect, or not the one it names, is a warning.
void read_stack(Section section, const Environment& environment, Settings& out);

/// The same from the file `path`, whose only key is `stack`. Problems and warnings name the file.
void read_stack_file(const std::string& path, const Environment& environment, Settings& out,
                     std::vector<Problem>& problems);

}  // namespace parlance::config
