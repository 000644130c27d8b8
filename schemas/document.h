// Documents of a session and the passages they are found by.
//
// What one request stores is a set: it is there whole or not at all. Sets of a session are numbered
// 1, 2, 3, ... in the order in which they were begun; a number is never used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace parlance {

inline constexpr std::size_t kDocumentIdBytesMax = 128;
inline constexpr std::size_t kDocumentNameBytesMax = 256;

/// A document as a client gives it.
struct NewDocument {
  std::string id;        ///< Of the client's, or drawn for it; unique in its session.
  std::string name;      ///< Of the file, for people; the id where it has none.
  std::string metadata;  ///< A JSON object as text; "{}" where there is none.
  std::string content;   ///< A file's bytes, or text.
  bool is_file = false;  ///< The bytes are of a file whose type is to be found out.
};

/// ON_STORE: all of them or none.
struct StoreDocuments {
  std::vector<NewDocument> documents;
  std::string idempotency_key;  ///< Empty when the caller gave none.
  std::string digest;           ///< Of the request's content, for repeats of the key.
};

/// A document as it is kept.
struct Document {
  std::string id;
  std::string name;
  std::string type;  ///< MIME.
  std::string metadata;
  std::uint64_t text_bytes = 0;
  std::uint32_t passages = 0;
  friend bool operator==(const Document&, const Document&) = default;
};

/// The documents of one request.
struct DocumentSet {
  std::uint64_t number = 0;
  WallTime stored_at;
  std::vector<Document> documents;
  std::vector<std::string> tools;  ///< That find their passages.
  friend bool operator==(const DocumentSet&, const DocumentSet&) = default;
};

/// Names a passage in its session; written "<set>-<index>".
struct PassageId {
  std::uint64_t set = 0;
  std::uint32_t index = 0;
  friend auto operator<=>(const PassageId&,
                          const PassageId&) = default;  // NOLINT(modernize-use-nullptr)
};

std::string to_string(const PassageId& id);
/// Nothing when `text` is not two decimal numbers joined by '-'.
std::optional<PassageId> parse_passage_id(std::string_view text);

/// A part of a document, as it is kept. The place in the document's text is in bytes of UTF-8.
struct Passage {
  std::uint32_t document = 0;  ///< Index in its set.
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string text;
  std::string terms;  ///< As rag/terms writes them.
  friend bool operator==(const Passage&, const Passage&) = default;
};

/// A passage as it is told, with what it is a part of.
struct PassageText {
  PassageId id;
  std::string document_id;
  std::string document_name;
  std::string metadata;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string text;
};

/// A passage that was found for a query.
struct FoundPassage {
  PassageText passage;
  double score = 0;      ///< Higher is better; comparable within one search.
  double distance = 0;   ///< Cosine distance of the embeddings, 0 to 2.
  double relevance = 0;  ///< How well it fits the query, 0 to 1, whatever else was found.
};

/// What a stored request is answered with: the documents, by the tools that find them.
struct DocumentsAccepted {
  std::vector<std::string> tools;
  std::vector<std::string> document_ids;
  bool replayed = false;  ///< The key was used before with the same content.
};

}  // namespace parlance
