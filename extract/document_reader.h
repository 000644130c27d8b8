// One file into its type and text: finds the type by content, calls the parser, cleans the result.
// Runs in the confined process, on its only thread.
#pragma once

#include <string_view>

#include "confined/type_detector.h"
#include "extract/document.h"

namespace parlance::extract {

/// Makes the libraries load now what they would load at their first use. Before confine().
/// Errors: unavailable.
Status prepare_libraries();

/// Never throws but std::bad_alloc.
Document read_document(const confined::TypeDetector& detector, std::string_view bytes,
                       const Limits& limits);

}  // namespace parlance::extract
