#include "base/result.h"

#include <stdexcept>

namespace parlance {

const char* to_string(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::unauthenticated:
      return "unauthenticated";
    case Errc::permission_denied:
      return "permission_denied";
    case Errc::not_found:
      return "not_found";
    case Errc::already_exists:
      return "already_exists";
    case Errc::failed_precondition:
      return "failed_precondition";
    case Errc::resource_exhausted:
      return "resource_exhausted";
    case Errc::deadline_exceeded:
      return "deadline_exceeded";
    case Errc::unavailable:
      return "unavailable";
    case Errc::cancelled:
      return "cancelled";
    case Errc::corrupted:
      return "corrupted";
    case Errc::internal:
      return "internal";
    case Errc::too_large:
      return "too_large";
    case Errc::unsupported:
      return "unsupported";
    case Errc::unprocessable:
      return "unprocessable";
    case Errc::outdated:
      return "outdated";
  }
  return "internal";
}

void throw_exception_from_error(const Error& error, const boost::source_location& /*at*/) {
  throw std::runtime_error(std::string(to_string(error.code)) + ": " + error.detail);
}

}  // namespace parlance
