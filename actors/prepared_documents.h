// Documents on their way into the store: what a worker made of a request.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "schemas/document.h"

namespace parlance::actors {

/// A set of documents that is ready to be written. Immutable once it is made.
struct PreparedSet {
  DocumentSet set;  ///< Without its number.
  std::vector<Passage> passages;
  std::vector<std::vector<std::vector<float>>> vectors;  ///< For each tool, of each passage.
};

/// Either something to write, or the answer of the first time that the key was used.
struct PreparedDocuments {
  std::shared_ptr<const PreparedSet> set;
  DocumentsAccepted replay;
};

}  // namespace parlance::actors
