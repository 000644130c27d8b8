// What is kept beside the logs, to bytes and back: clients, sets of documents, passages,
// agents and platform sessions (docs/formats.md has the layouts). Pure; any thread. Errors of
// decoding: corrupted.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "schemas/client.h"
#include "schemas/document.h"
#include "schemas/platform.h"

namespace parlance {

std::string encode(const ClientRecord& client);
std::string encode(const DocumentSet& set);
std::string encode(const Passage& passage);
std::string encode(const Agent& agent);
std::string encode(const PlatformSession& session);

Result<ClientRecord> decode_client(std::string_view bytes);
Result<DocumentSet> decode_document_set(std::string_view bytes);
Result<Passage> decode_passage(std::string_view bytes);
Result<Agent> decode_agent(std::string_view bytes);
Result<PlatformSession> decode_platform_session(std::string_view bytes);

}  // namespace parlance
