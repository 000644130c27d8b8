// Access tokens: signed JSON web tokens (RFC 7519) that say which client asks, in which scope.
// Owner: whoever answers for credentials. Constant after construction, any thread; no blocking.
//
// The signature is libjwt's. Of the two packaged libraries it is the one that compares signatures
// in constant time (Debian's fix of CVE-2024-25189); cpp-jwt 1.4 compares them as plain strings,
// and deeply nested JSON overflows its stack before it has looked at the signature. Neither is
// strict: both take names of algorithms in any case, one of two equal members and odd base64, and
// libjwt leaves times and types of claims to its caller. So a token's form is checked before
// libjwt sees it, and the claims are read from those same bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "auth/options.h"
#include "base/clock.h"
#include "base/result.h"

namespace parlance::auth {

/// What a token says that was verified.
struct Claims {
  std::string client_id;
  std::string scope;
  WallTime expires;
};

class AccessTokens {
 public:
  /// Longer tokens are refused unread.
  static constexpr std::size_t kTokenBytesMax = 4 << 10;
  /// How far ahead of ours the clock may run that stamped a token.
  static constexpr std::chrono::seconds kClockSkewMax{60};

  /// `options` with a secret key of at least kSecretKeyBytesMin and one of kAlgorithms.
  explicit AccessTokens(Options options);

  /// A token for `client_id`, good until now + Options::expires. Both texts are ours: not empty,
  /// at most 512 bytes, without zero bytes, valid UTF-8.
  std::string issue(std::string_view client_id, std::string_view scope, WallTime now) const;

  /// What `token` says. Errors: unauthenticated, with a sentence that does not show the token.
  Result<Claims> verify(std::string_view token, WallTime now) const;

  std::chrono::minutes expires() const { return options_.expires; }

 private:
  Status check_signature(const std::string& token) const;

  const Options options_;
};

}  // namespace parlance::auth
