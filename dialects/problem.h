// Errors of the native HTTP API as application/problem+json (RFC 9457). Pure; any thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace parlance::dialects {

inline constexpr std::string_view kProblemType = "application/problem+json";

/// What is wrong with one member of a body. `pointer` is a JSON Pointer (RFC 6901).
struct FieldError {
  std::string pointer;
  std::string message;
};

struct Problem {
  int status = 500;
  std::string detail;  ///< One sentence for people.
  std::vector<FieldError> errors = {};
  std::chrono::seconds retry_after{0};  ///< Sent as Retry-After where it is not zero.
  /// The user's message that is kept all the same; empty: none. Told as `message_id`.
  std::string message_id = {};
};

/// The HTTP status of `code`.
int status_of(Errc code) noexcept;

/// The reason phrase of `status`, such as "Not Found".
std::string_view title_of(int status) noexcept;

/// `error` for a client. Bugs and broken storage are not explained to strangers: their detail is
/// replaced by a general sentence.
Problem to_problem(const Error& error);

/// Why a run failed. What a model's provider refused is no mistake of the client: 503.
Problem problem_of_run(Errc code, std::string_view error);

/// 400: a body that is not JSON, or not an object.
Problem malformed_body(const Error& error);
/// 422: a body that can be read, with all that is wrong with its members.
Problem invalid_body(std::vector<FieldError> errors);

/// The body: type, title, status, detail, instance and, where there are any, errors and message_id.
std::string to_json(const Problem& problem, std::string_view request_id);

}  // namespace parlance::dialects
