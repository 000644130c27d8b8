// Text out of documents that strangers send. No document is parsed in this process: a batch of
// files goes to a child process, parlance-extract, which confines itself (confined/confinement.h)
// and answers with text or a reason. The child is ended and reaped before the call returns,
// whatever happens, so one that hangs, dies or lies costs only the request that it served.
//
// Thread: any; the call blocks. No state between calls.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "extract/options.h"

namespace parlance::extract {

struct File {
  std::string name;   ///< For messages only: a type is found by content.
  std::string bytes;  ///< As it came.
};

struct Text {
  std::string type;  ///< MIME, such as "application/pdf".
  std::string text;  ///< UTF-8 without control characters but tab and line feed. Not empty.
};

/// Why a batch gave nothing.
struct Failure {
  enum class Why : unsigned char {
    unsupported_type,  ///< No document that is understood.
    unreadable,        ///< Broken, encrypted, empty, or the process died of it.
    too_large,         ///< Past a limit of size, of nesting or of entries.
    timed_out,         ///< Past the limit of wall time or CPU time.
    unavailable,       ///< The program is missing or cannot confine itself. Not the file's fault.
  };
  Why why = Why::unavailable;
  std::size_t file = 0;  ///< Index of the file that was in work.
  std::string detail;    ///< A sentence for the client. Names the file, holds nothing out of it.
};

/// The texts of `files`, in their order, or the first failure: all or nothing.
/// Blocks, at worst for `file_timeout` twice for a file.
std::variant<std::vector<Text>, Failure> extract_texts(const Options& options,
                                                       std::span<const File> files);

}  // namespace parlance::extract
