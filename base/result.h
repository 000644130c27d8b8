// Expected failures are values: `Result<T>` is either a T or an `Error`.
// `detail` is for people: what was being done, to what. Never a secret, never message text.
#pragma once

#include <string>
#include <utility>

#include <boost/system/result.hpp>

namespace parlance {

/// The closed set of failures that cross a function's border. Dialects map them to status codes.
enum class Errc : unsigned char {
  invalid_argument,     ///< Malformed or invalid input; the caller must change it.
  unauthenticated,      ///< No or bad credentials.
  permission_denied,    ///< Known caller, not allowed.
  not_found,            ///< Names something that does not exist.
  already_exists,       ///< The same key was used before with other content.
  failed_precondition,  ///< Right input, wrong state.
  resource_exhausted,   ///< A limit was reached; may work later.
  deadline_exceeded,    ///< It took longer than allowed.
  unavailable,          ///< A part that is needed cannot serve now; may work later.
  cancelled,            ///< Somebody asked for it to stop.
  corrupted,            ///< Stored bytes do not decode.
  internal,             ///< A bug of ours.
  too_large,            ///< Over a limit of size that waiting does not change.
  unsupported,          ///< Of a type that is not taken here.
  unprocessable,        ///< Well-formed, but what it holds cannot be used.
  outdated,             ///< It was changed meanwhile; look at it again.
};

/// The name of `code` as written in logs and tests, such as "invalid_argument".
const char* to_string(Errc code) noexcept;

struct Error {
  Errc code = Errc::internal;
  std::string detail;
};

template <class T>
class [[nodiscard]] Result : public boost::system::result<T, Error> {
 public:
  using boost::system::result<T, Error>::result;
};

/// A result without a value.
using Status = Result<void>;

[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& at);

}  // namespace parlance
