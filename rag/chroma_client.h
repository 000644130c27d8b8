// A Chroma server (HTTP API v2, its default tenant and database) for one core: asynchronous calls
// on that core's transfer loop. Owned by what stores and searches documents there; on its thread.
//
// Invariants: `done` comes once, later and never from inside the call, unless the call is cancelled
// or the client goes: then never. `done` may make and cancel calls and may destroy the client.
// Nothing is tried again here; every call but `upsert` and `list_collections` is one request, and
// all of them may be repeated without harm. No error holds a secret or a document's text.
//
// Errors of every call: unavailable and deadline_exceeded (Chroma is down, slow, restarting or
// answers nonsense: later may work), not_found (no such collection), failed_precondition (see
// refusal_of), invalid_argument (what was given), internal (Chroma calls a request of ours wrong).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/fetcher.h"
#include "rag/chroma_wire.h"
#include "rag/options.h"

namespace parlance::rag {

/// Names a call of one client; never reused, never 0.
using ChromaCallId = std::uint64_t;

class ChromaClient {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  /// Uses `chroma_url`, `connect_timeout` and `request_timeout` (of each request). `loop` must
  /// outlive the client.
  ChromaClient(http::TransferLoop& loop, const Options& options);
  /// Cancels all.
  ~ChromaClient();
  ChromaClient(const ChromaClient&) = delete;
  ChromaClient& operator=(const ChromaClient&) = delete;

  /// Whether Chroma answers.
  ChromaCallId heartbeat(Done<void> done);

  /// The collection of this name; made, for cosine distance and with `metadata`, if there is none.
  ChromaCallId open_collection(const std::string& name, const ChromaMetadata& metadata,
                               Done<ChromaCollection> done);
  ChromaCallId find_collection(const std::string& name, Done<ChromaCollection> done);
  /// With all its records. One that does not exist is deleted.
  ChromaCallId delete_collection(const std::string& name, Done<void> done);
  /// Those whose names begin with `prefix`; asked for page by page, so one that is made or deleted
  /// meanwhile may hide another.
  ChromaCallId list_collections(std::string prefix, Done<std::vector<ChromaCollection>> done);

  /// Adds the records, or replaces those with the same ids (metadata fields that are not given
  /// stay); in several requests, one after the other, so a failure may leave some of them stored.
  /// Repeating it, or `remove`, mends that.
  ChromaCallId upsert(const std::string& collection_id, std::vector<ChromaRecord> records,
                      Done<void> done);
  /// The `results` nearest records (1 to kChromaResultsMax, fewer if there are not as many), the
  /// nearest first.
  ChromaCallId query(const std::string& collection_id, const std::vector<float>& embedding,
                     std::size_t results, const ChromaWhere& where,
                     Done<std::vector<ChromaMatch>> done);
  /// Those of `ids` (at most kChromaResultsMax) that exist, in any order.
  ChromaCallId get(const std::string& collection_id, const std::vector<std::string>& ids,
                   Done<std::vector<ChromaMatch>> done);
  /// Those of `ids` (at most kChromaResultsMax) that exist.
  ChromaCallId remove(const std::string& collection_id, const std::vector<std::string>& ids,
                      Done<void> done);
  /// `where` must not match everything: that is delete_collection.
  ChromaCallId remove_where(const std::string& collection_id, const ChromaWhere& where,
                            Done<void> done);
  ChromaCallId count(const std::string& collection_id, Done<std::size_t> done);

  /// Ends a call without its `done`. Chroma may have carried out what it was asked. Unknown: no
  /// effect.
  void cancel(ChromaCallId call);

 private:
  struct Waiting;
  struct Listing;
  struct Upsert;
  /// Takes the body of an answer with status 2xx.
  using Then = std::function<void(const Result<std::string>&)>;

  /// Sends one request of `call`; the only one at that time.
  void send(ChromaCallId call, http::Method method, std::string_view path, std::string body,
            Then then);
  void list_next(ChromaCallId call, const std::shared_ptr<Listing>& listing);
  void upsert_next(ChromaCallId call, const std::shared_ptr<Upsert>& work);
  /// A call that ends with `result` as soon as the caller has returned.
  template <class T>
  ChromaCallId answer_later(Result<T> result, Done<T> done);

  http::TransferLoop& loop_;
  const std::string base_url_;
  const std::string database_url_;
  const std::chrono::milliseconds connect_timeout_;
  const std::chrono::milliseconds request_timeout_;
  http::Fetcher fetcher_;
  std::unordered_map<ChromaCallId, Waiting> calls_;
  ChromaCallId last_id_ = 0;
};

}  // namespace parlance::rag
