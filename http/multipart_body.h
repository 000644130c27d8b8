// The parts of a form as curl sends them. Owned by a transfer of the transfer loop, which is alone
// in including this; on its thread.
//
// Invariants: the parts do not move while this lives. After `abandon` no part is read any more.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/result.h"
#include "http/form_part.h"

struct curl_mime;

namespace parlance::http {

class MultipartBody {
 public:
  /// `easy` is the CURL handle that sends it; `parts` outlive this.
  MultipartBody(void* easy, const std::vector<FormPart>& parts);
  /// Not while a transfer uses it.
  ~MultipartBody();
  MultipartBody(const MultipartBody&) = delete;
  MultipartBody& operator=(const MultipartBody&) = delete;

  curl_mime* mime() const { return mime_; }
  void abandon() { abandoned_ = true; }
  /// Why the last reading failed.
  const std::optional<Error>& fault() const { return fault_; }

 private:
  struct Reader {
    MultipartBody& body;
    const FormPart& part;
    std::uint64_t at = 0;
  };

  static std::size_t read(char* into, std::size_t size, std::size_t count, void* reader);
  static int seek(void* reader, std::int64_t offset, int origin);

  curl_mime* mime_;
  std::deque<Reader> readers_;  // curl keeps their addresses.
  std::optional<Error> fault_;
  bool abandoned_ = false;
};

}  // namespace parlance::http
