// The bodies of POST /documents and of ON_STORE: files in base64, or texts. Pure; any thread, but
// may take long: a large body is parsed where it lies, and only what is kept of it is copied.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <variant>

#include "dialects/problem.h"
#include "schemas/document.h"

namespace parlance::dialects::kiss {

struct DocumentLimits {
  std::size_t documents_max = 1'000;          ///< Of one request.
  std::size_t metadata_bytes_max = 16 << 10;  ///< Of one document, as JSON without blanks.
  int metadata_depth_max = 16;
};

/// Reads `bytes` of `body` from `begin` on, which it spoils. Documents without an id are given one
/// by `draw_id`. Of what is wrong the first is told: 400 for bad JSON or base64 (with the file's
/// name), 422 for the rest.
std::variant<StoreDocuments, Problem> parse_documents(std::string& body, std::size_t begin,
                                                      std::size_t bytes,
                                                      const std::function<std::string()>& draw_id,
                                                      const DocumentLimits& limits = {});

}  // namespace parlance::dialects::kiss
