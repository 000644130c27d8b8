// libmagic with its database, loaded before the process confines itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct magic_set;

namespace parlance::confined {

class TypeDetector {
 public:
  /// Reads the database. Errors: unavailable.
  static Result<TypeDetector> load();

  /// The MIME type that `bytes` look like; "application/octet-stream" when like nothing known.
  std::string type_of(std::string_view bytes) const;

 private:
  struct Close {
    void operator()(magic_set* magic) const;
  };
  explicit TypeDetector(magic_set* magic) : magic_(magic) {}
  std::unique_ptr<magic_set, Close> magic_;
};

}  // namespace parlance::confined
