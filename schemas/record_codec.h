// What is kept beside the logs, to bytes and back: clients, sets of documents, passages
// (docs/formats.md has the layouts). Pure; any thread. Errors of decoding: corrupted.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "schemas/client.h"
#include "schemas/document.h"

namespace parlance {

std::string encode(const ClientRecord& client);
std::string encode(const DocumentSet& set);
std::string encode(const Passage& passage);

Result<ClientRecord> decode_client(std::string_view bytes);
Result<DocumentSet> decode_document_set(std::string_view bytes);
Result<Passage> decode_passage(std::string_view bytes);

}  // namespace parlance
