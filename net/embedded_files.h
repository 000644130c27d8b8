// Files that the build put into the program, as answers: gzipped where the client takes that, and
// 304 where it has them already. Constant after construction; any thread.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/embedded_file.h"
#include "net/http_message.h"

namespace parlance::net {

class EmbeddedFiles {
 public:
  /// The gzipped form of a file is the one with ".gz" behind its name; a file may have none.
  explicit EmbeddedFiles(std::span<const EmbeddedFile> files);

  bool has(std::string_view name) const { return files_.contains(name); }

  /// The file, which must be there, with its type, its tag and a Content-Security-Policy.
  HttpResponse answer(std::string_view name, const HttpRequest& request,
                      std::string_view policy) const;

 private:
  struct Stored {
    std::string_view bytes;
    std::string etag;
  };
  std::map<std::string_view, Stored> files_;
};

}  // namespace parlance::net
