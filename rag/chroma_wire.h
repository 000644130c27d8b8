// What a Chroma server is told and what it tells, as values, and their JSON. Pure.
//
// Invariants: what is encoded is valid JSON that Chroma takes, provided that the `check` functions
// here had nothing against it; all text given in is valid UTF-8 then. What is decoded may be
// anything: an answer that is not what the API promises is an error (unavailable), never a guess.
// No error names a document's text.
// Source: Chroma's HTTP API v2, as server 1.0 answers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace parlance::rag {

/// Facts about a record or a collection. No lists, no null.
using ChromaValue = std::variant<std::string, std::int64_t, double, bool>;
using ChromaMetadata = std::map<std::string, ChromaValue, std::less<>>;

struct ChromaCollection {
  std::string id;  ///< A UUID. Another one each time a collection of the same name is made.
  std::string name;
  ChromaMetadata metadata;
};

struct ChromaRecord {
  std::string id;                ///< 1 to 512 bytes.
  std::vector<float> embedding;  ///< As long as all others of the collection.
  std::string document;          ///< At most 1 MiB.
  ChromaMetadata metadata;
};

struct ChromaMatch {
  std::string id;
  std::string document;  ///< Empty also when it was stored without one.
  ChromaMetadata metadata;
  float distance = 0;  ///< 1 - cosine of the angle to the query; 0 when it was asked for by id.
};

/// A filter over metadata. A record that lacks the field passes `none_of` and no other.
class ChromaWhere {
 public:
  /// Matches everything.
  ChromaWhere() = default;
  static ChromaWhere equal(std::string_view field, const ChromaValue& value);
  static ChromaWhere at_most(std::string_view field, std::int64_t bound);
  /// An empty list excludes nothing.
  static ChromaWhere none_of(std::string_view field, std::span<const std::string> values);
  /// What matches every one of `parts`.
  static ChromaWhere all(std::span<const ChromaWhere> parts);

  bool matches_all() const { return json_.empty(); }
  const std::string& json() const { return json_; }

 private:
  std::string json_;
};

inline constexpr std::size_t kChromaResultsMax = 1'000;  ///< Of one query, ids of one get.

/// Errors of all: invalid_argument, with what is allowed.
Status check_collection_name(std::string_view name);
/// Whether `id` has the form of one, so that it may stand in a URL.
Status check_collection_id(std::string_view id);
/// Looks at the whole list, so that nothing of a list with a flaw is sent.
Status check_records(std::span<const ChromaRecord> records);
Status check_embedding(std::span<const float> embedding);
Status check_ids(std::span<const std::string> ids);
Status check_metadata(const ChromaMetadata& metadata);

std::string encode_open_collection(std::string_view name, const ChromaMetadata& metadata);
/// As many records from `*next` on as one request takes; moves `*next` behind them.
std::string encode_upsert(std::span<const ChromaRecord> records, std::size_t* next);
std::string encode_query(std::span<const float> embedding, std::size_t results,
                         const ChromaWhere& where);
std::string encode_get(std::span<const std::string> ids);
std::string encode_delete(std::span<const std::string> ids);
std::string encode_delete(const ChromaWhere& where);

Result<ChromaCollection> decode_collection(std::string_view body);
Result<std::vector<ChromaCollection>> decode_collections(std::string_view body);
/// In the order of distance.
Result<std::vector<ChromaMatch>> decode_query(std::string_view body);
/// Only those that exist, in any order.
Result<std::vector<ChromaMatch>> decode_get(std::string_view body);
Result<std::size_t> decode_count(std::string_view body);

/// What an answer with a status other than 2xx means. Errors: not_found (no such collection),
/// failed_precondition (the collection holds vectors of another length, Chroma wants credentials,
/// or it is no Chroma), deadline_exceeded, unavailable, internal (a request that it calls wrong).
Error refusal_of(int status, std::string_view body);

}  // namespace parlance::rag
