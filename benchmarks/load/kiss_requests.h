#pragma once
// The KISS stack's REST calls as the load generator sends them, and the one thing that it reads of
// an answer. Pure. Texts are the generator's own and must need no escaping.

#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/support/socket.h"

namespace parlance::benchmarks {

/// A POST of JSON. `token` is left out when empty.
std::string kiss_request(const Address& address, std::string_view path, std::string_view token,
                         std::string_view body);

/// Of the body of POST /auth: a new temporary session.
inline constexpr std::string_view kNewSessionBody = R"({"scope":"temporary"})";
inline constexpr std::string_view kAuthPath = "/auth";
inline constexpr std::string_view kInitPath = "/sessions?action=init";
inline constexpr std::string_view kQueryPath = "/queries";
inline constexpr std::string_view kDocumentsPath = "/documents";

std::string query_body(std::string_view question);

/// One file for each of `texts`: file-0.txt, file-1.txt, ...
std::string documents_body(const std::vector<std::string>& texts);

std::string base64(std::string_view bytes);

/// A view into the answer of POST /auth; empty when there is none.
std::string_view access_token_in(std::string_view answer);

}  // namespace parlance::benchmarks
