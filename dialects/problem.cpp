#include "dialects/problem.h"

#include <utility>

#include "base/json.h"

namespace parlance::dialects {
namespace {

/// How long a client should wait before it tries again what may work later.
constexpr std::chrono::seconds kRetryAfter{1};

}  // namespace

std::string_view title_of(int status) noexcept {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

std::string to_json(const Problem& problem, std::string_view request_id) {
  std::string out = R"({"type":"about:blank","title":)";
  json::append_string(out, title_of(problem.status));
  out += R"(,"status":)";
  json::append_int(out, problem.status);
  out += R"(,"detail":)";
  json::append_string(out, problem.detail);
  out += R"(,"instance":)";
  json::append_string(out, request_id);
  if (!problem.errors.empty()) {
    out += R"(,"errors":[)";
    for (const FieldError& error : problem.errors) {
      if (out.back() != '[') out += ',';
      out += R"({"pointer":)";
      json::append_string(out, error.pointer);
      out += R"(,"message":)";
      json::append_string(out, error.message);
      out += '}';
    }
    out += ']';
  }
  if (!problem.message_id.empty()) {
    out += R"(,"message_id":)";
    json::append_string(out, problem.message_id);
  }
  out += '}';
  return out;
}

Problem malformed_body(const Error& error) {
  return {.status = 400, .detail = "the body cannot be read: " + error.detail};
}

Problem invalid_body(std::vector<FieldError> errors) {
  std::string detail = "the body is not valid: ";
  for (const FieldError& error : errors) {
    if (&error != &errors.front()) detail += "; ";
    detail += error.message;
  }
  return {.status = 422, .detail = std::move(detail), .errors = std::move(errors)};
}

Problem to_problem(const Error& error) {
  Problem problem{.status = status_of(error.code), .detail = json::to_valid_utf8(error.detail)};
  if (problem.status == 500) problem.detail = "the server could not do this; it is not your fault";
  if (problem.status == 429 || problem.status == 503) problem.retry_after = kRetryAfter;
  return problem;
}

Problem problem_of_run(Errc code, std::string_view error) {
  const int status = status_of(code);
  const bool of_client = status >= 400 && status < 500 && code != Errc::resource_exhausted &&
                         code != Errc::unprocessable;
  return to_problem({of_client ? Errc::unavailable : code, std::string(error)});
}

int status_of(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
      return 400;
    case Errc::unauthenticated:
      return 401;
    case Errc::permission_denied:
      return 403;
    case Errc::not_found:
      return 404;
    case Errc::already_exists:
    case Errc::unprocessable:
      return 422;
    case Errc::too_large:
      return 413;
    case Errc::outdated:
      return 412;
    case Errc::unsupported:
      return 415;
    case Errc::failed_precondition:
    case Errc::cancelled:
      return 409;
    case Errc::resource_exhausted:
      return 429;
    case Errc::deadline_exceeded:
      return 504;
    case Errc::unavailable:
      return 503;
    case Errc::corrupted:
    case Errc::internal:
      return 500;
  }
  return 500;
}

}  // namespace parlance::dialects
