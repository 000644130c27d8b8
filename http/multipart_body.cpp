#include "http/multipart_body.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <curl/curl.h>

#include "base/check.h"

namespace parlance::http {

MultipartBody::MultipartBody(void* easy, const std::vector<FormPart>& parts)
    : mime_(curl_mime_init(easy)) {
  CHECK(mime_ != nullptr);
  for (const FormPart& part : parts) {
    curl_mimepart* const added = curl_mime_addpart(mime_);
    CHECK(added != nullptr);
    curl_mime_name(added, part.name.c_str());
    if (!part.read) {
      curl_mime_data(added, part.text.data(), part.text.size());
      continue;
    }
    Reader& reader = readers_.emplace_back(Reader{*this, part});
    curl_mime_data_cb(
        added, static_cast<curl_off_t>(part.bytes), &MultipartBody::read,
        [](void* of, curl_off_t offset, int origin) {
          return MultipartBody::seek(of, offset, origin);
        },
        nullptr, &reader);
    curl_mime_filename(added, part.file_name.c_str());
    if (!part.content_type.empty()) curl_mime_type(added, part.content_type.c_str());
  }
}

MultipartBody::~MultipartBody() {
  curl_mime_free(mime_);
}

std::size_t MultipartBody::read(char* into, std::size_t size, std::size_t count, void* reader) {
  auto& self = *static_cast<Reader*>(reader);
  if (self.body.abandoned_) return CURL_READFUNC_ABORT;
  const std::uint64_t left = self.part.bytes - self.at;
  const std::size_t wanted = std::min<std::uint64_t>(size * count, left);
  if (wanted == 0) return 0;
  Result<std::size_t> got = self.part.read(self.at, std::span(into, wanted));
  if (!got) {
    self.body.fault_ = std::move(got).error();
    return CURL_READFUNC_ABORT;
  }
  CHECK(*got > 0);
  CHECK(*got <= wanted);
  self.at += *got;
  return *got;
}

int MultipartBody::seek(void* reader, std::int64_t offset, int origin) {
  auto& self = *static_cast<Reader*>(reader);
  const bool inside =
      origin == SEEK_SET && offset >= 0 && static_cast<std::uint64_t>(offset) <= self.part.bytes;
  if (!inside) return CURL_SEEKFUNC_CANTSEEK;
  self.at = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

}  // namespace parlance::http
