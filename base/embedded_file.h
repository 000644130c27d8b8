// A file that the build put into the program; see parlance_embed() of cmake/ParlanceTargets.cmake.
// Constant, and there as long as the process is; any thread.
#pragma once

#include <string_view>

namespace parlance {

struct EmbeddedFile {
  std::string_view name;  ///< Without its folder.
  std::string_view bytes;
};

}  // namespace parlance
