#include "llm/openai_http.h"

#include <fmt/format.h>

#include "llm/openai_wire.h"

namespace parlance::llm {
namespace {

const char* meaning_of(int status) {
  switch (status) {
    case 400:
      return " (the request was refused)";
    case 401:
      return " (the API key was refused)";
    case 403:
      return " (access denied)";
    case 404:
      return " (no such model or URL)";
    case 429:
      return " (too many requests)";
    default:
      return status >= 300 && status < 400
                 ? " (a redirect, which is not followed: set the final URL)"
                 : "";
  }
}

Errc code_of_status(int status) {
  if (status == 429) return Errc::resource_exhausted;
  if (status == 408) return Errc::deadline_exceeded;
  if (status >= 500) return Errc::unavailable;
  if (status == 400 || status == 413 || status == 422) return Errc::invalid_argument;
  return Errc::failed_precondition;
}

bool is_transient_status(int status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

}  // namespace

std::string endpoint_url(std::string base_url, std::string_view path) {
  constexpr std::string_view kCompletions = "/chat/completions";
  while (base_url.ends_with('/')) base_url.pop_back();
  if (base_url.ends_with(kCompletions)) base_url.resize(base_url.size() - kCompletions.size());
  base_url += path;
  return base_url;
}

std::string trimmed_key(std::string_view key) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = key.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return std::string(key.substr(first, key.find_last_not_of(kSpace) - first + 1));
}

ModelFailure refusal_of(std::string_view provider, int status, std::string_view body,
                        std::string_view key) {
  const std::string sentence = error_sentence(body, key);
  return {code_of_status(status),
          fmt::format("provider {} answered HTTP {}{}{}{}", provider, status, meaning_of(status),
                      sentence.empty() ? "" : ": ", sentence),
          is_transient_status(status), std::nullopt};
}

}  // namespace parlance::llm
