#include "rag/chroma_client.h"

#include <utility>

#include <fmt/format.h>

namespace parlance::rag {
namespace {

/// Of one answer: kChromaResultsMax passages of usual size, with room.
constexpr std::size_t kAnswerBytesMax = 32 << 20;

constexpr std::size_t kCollectionsPerPage = 500;

/// A node has far fewer; without a limit a server that repeats its pages would be asked for ever.
constexpr std::size_t kCollectionPagesMax = 2'000;

std::string without_slashes(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Error not_answered(const Error& error) {
  // A URL that is none is a mistake in the configuration, not in the call.
  const Errc code = error.code == Errc::invalid_argument ? Errc::failed_precondition : error.code;
  const char* const what = error.code == Errc::unavailable || error.code == Errc::invalid_argument
                               ? "could not be reached"
                               : "did not answer";
  return {code, fmt::format("Chroma {}: {}", what, error.detail)};
}

std::string collection_path(const std::string& id, std::string_view action) {
  return fmt::format("/collections/{}/{}", id, action);
}

/// The step that ends a call: `done` gets what `decode` makes of the body.
template <class T>
auto finish_with(Result<T> (*decode)(std::string_view), std::function<void(Result<T>)> done) {
  return [decode, done = std::move(done)](const Result<std::string>& body) {
    if (!body) {
      done(body.error());
    } else {
      done(decode(*body));
    }
  };
}

/// The same where the body does not matter.
auto finish_with(std::function<void(Status)> done) {
  return [done = std::move(done)](const Result<std::string>& body) {
    if (!body) {
      done(body.error());
    } else {
      done(Status());
    }
  };
}

/// What is wrong with a collection's id or else with the rest of a call.
Status first_flaw(const std::string& collection_id, Status rest) {
  if (auto checked = check_collection_id(collection_id); !checked) return checked;
  return rest;
}

Status check_list_of_ids(const std::vector<std::string>& ids) {
  if (ids.size() > kChromaResultsMax) {
    return Error{Errc::invalid_argument, fmt::format("{} ids; at most {} are allowed in one call",
                                                     ids.size(), kChromaResultsMax)};
  }
  return check_ids(ids);
}

}  // namespace

/// What a call waits for: a request, or its turn to be told what is known already.
struct ChromaClient::Waiting {
  http::FetchId fetch = 0;
  http::TimerId timer = 0;
};

struct ChromaClient::Listing {
  std::string prefix;
  std::vector<ChromaCollection> found;
  std::size_t pages = 0;
  Done<std::vector<ChromaCollection>> done;
};

struct ChromaClient::Upsert {
  std::string path;
  std::vector<ChromaRecord> records;
  std::size_t next = 0;
  Done<void> done;
};

ChromaClient::ChromaClient(http::TransferLoop& loop, const Options& options)
    : loop_(loop),
      base_url_(without_slashes(options.chroma_url) + "/api/v2"),
      database_url_(base_url_ + "/tenants/default_tenant/databases/default_database"),
      connect_timeout_(options.connect_timeout),
      request_timeout_(options.request_timeout),
      fetcher_(loop) {}

ChromaClient::~ChromaClient() {
  for (const auto& [id, waiting] : calls_) {
    if (waiting.timer != 0) loop_.cancel_timer(waiting.timer);
  }
}

void ChromaClient::cancel(ChromaCallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  const Waiting waiting = found->second;
  calls_.erase(found);
  if (waiting.fetch != 0) fetcher_.cancel(waiting.fetch);
  if (waiting.timer != 0) loop_.cancel_timer(waiting.timer);
}

void ChromaClient::send(ChromaCallId call, http::Method method, std::string_view path,
                        std::string body, Then then) {
  http::Request request;
  request.url = fmt::format("{}{}", path == "/heartbeat" ? base_url_ : database_url_, path);
  request.headers = {"Accept: application/json"};
  if (!body.empty()) request.headers.emplace_back("Content-Type: application/json");
  request.body = std::move(body);
  request.connect_timeout = connect_timeout_;
  request.method = method;
  calls_[call].fetch =
      fetcher_.fetch(std::move(request), {request_timeout_, kAnswerBytesMax},
                     [this, call, then = std::move(then)](Result<http::Answer> answer) {
                       calls_.erase(call);
                       // The client may be gone when `then` returns.
                       if (!answer) {
                         then(not_answered(answer.error()));
                       } else if (answer->status < 200 || answer->status > 299) {
                         then(refusal_of(answer->status, answer->body));
                       } else {
                         then(std::move(answer->body));
                       }
                     });
}

template <class T>
ChromaCallId ChromaClient::answer_later(Result<T> result, Done<T> done) {
  const ChromaCallId call = ++last_id_;
  calls_[call].timer =
      loop_.schedule(std::chrono::milliseconds(0),
                     [this, call, result = std::move(result), done = std::move(done)]() mutable {
                       calls_.erase(call);
                       done(std::move(result));
                     });
  return call;
}

ChromaCallId ChromaClient::heartbeat(Done<void> done) {
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::get, "/heartbeat", {}, finish_with(std::move(done)));
  return call;
}

ChromaCallId ChromaClient::open_collection(const std::string& name, const ChromaMetadata& metadata,
                                           Done<ChromaCollection> done) {
  Status checked = check_collection_name(name);
  if (checked) checked = check_metadata(metadata);
  if (!checked) return answer_later<ChromaCollection>(checked.error(), std::move(done));
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::post, "/collections", encode_open_collection(name, metadata),
       finish_with(&decode_collection, std::move(done)));
  return call;
}

ChromaCallId ChromaClient::find_collection(const std::string& name, Done<ChromaCollection> done) {
  if (auto checked = check_collection_name(name); !checked) {
    return answer_later<ChromaCollection>(checked.error(), std::move(done));
  }
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::get, "/collections/" + name, {},
       finish_with(&decode_collection, std::move(done)));
  return call;
}

ChromaCallId ChromaClient::delete_collection(const std::string& name, Done<void> done) {
  if (auto checked = check_collection_name(name); !checked) {
    return answer_later<void>(checked.error(), std::move(done));
  }
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::del, "/collections/" + name, {},
       [done = std::move(done)](const Result<std::string>& body) {
         if (body || body.error().code == Errc::not_found) {
           done(Status());
         } else {
           done(body.error());
         }
       });
  return call;
}

ChromaCallId ChromaClient::list_collections(std::string prefix,
                                            Done<std::vector<ChromaCollection>> done) {
  const ChromaCallId call = ++last_id_;
  auto listing = std::make_shared<Listing>();
  listing->prefix = std::move(prefix);
  listing->done = std::move(done);
  list_next(call, listing);
  return call;
}

void ChromaClient::list_next(ChromaCallId call, const std::shared_ptr<Listing>& listing) {
  const std::string path = fmt::format("/collections?limit={}&offset={}", kCollectionsPerPage,
                                       listing->pages * kCollectionsPerPage);
  send(call, http::Method::get, path, {}, [this, call, listing](const Result<std::string>& body) {
    auto page =
        body ? decode_collections(*body) : Result<std::vector<ChromaCollection>>(body.error());
    if (!page) {
      listing->done(std::move(page).error());
      return;
    }
    for (ChromaCollection& collection : *page) {
      if (collection.name.starts_with(listing->prefix)) {
        listing->found.push_back(std::move(collection));
      }
    }
    if (page->size() < kCollectionsPerPage) {
      listing->done(std::move(listing->found));
    } else if (++listing->pages == kCollectionPagesMax) {
      listing->done(
          Error{Errc::resource_exhausted, fmt::format("Chroma has more than {} collections",
                                                      kCollectionPagesMax * kCollectionsPerPage)});
    } else {
      list_next(call, listing);
    }
  });
}

ChromaCallId ChromaClient::upsert(const std::string& collection_id,
                                  std::vector<ChromaRecord> records, Done<void> done) {
  const Status checked = first_flaw(collection_id, check_records(records));
  if (!checked || records.empty()) return answer_later<void>(checked, std::move(done));
  const ChromaCallId call = ++last_id_;
  auto work = std::make_shared<Upsert>();
  work->path = collection_path(collection_id, "upsert");
  work->records = std::move(records);
  work->done = std::move(done);
  upsert_next(call, work);
  return call;
}

void ChromaClient::upsert_next(ChromaCallId call, const std::shared_ptr<Upsert>& work) {
  std::string body = encode_upsert(work->records, &work->next);
  send(call, http::Method::post, work->path, std::move(body),
       [this, call, work](const Result<std::string>& answer) {
         if (!answer) {
           work->done(answer.error());
         } else if (work->next == work->records.size()) {
           work->done(Status());
         } else {
           upsert_next(call, work);
         }
       });
}

ChromaCallId ChromaClient::query(const std::string& collection_id,
                                 const std::vector<float>& embedding, std::size_t results,
                                 const ChromaWhere& where, Done<std::vector<ChromaMatch>> done) {
  Status checked = first_flaw(collection_id, check_embedding(embedding));
  if (checked && (results < 1 || results > kChromaResultsMax)) {
    checked = Error{Errc::invalid_argument,
                    fmt::format("{} results; 1 to {} are allowed", results, kChromaResultsMax)};
  }
  if (!checked) return answer_later<std::vector<ChromaMatch>>(checked.error(), std::move(done));
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::post, collection_path(collection_id, "query"),
       encode_query(embedding, results, where), finish_with(&decode_query, std::move(done)));
  return call;
}

ChromaCallId ChromaClient::get(const std::string& collection_id,
                               const std::vector<std::string>& ids,
                               Done<std::vector<ChromaMatch>> done) {
  const Status checked = first_flaw(collection_id, check_list_of_ids(ids));
  if (!checked) return answer_later<std::vector<ChromaMatch>>(checked.error(), std::move(done));
  if (ids.empty()) {
    return answer_later<std::vector<ChromaMatch>>(std::vector<ChromaMatch>(), std::move(done));
  }
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::post, collection_path(collection_id, "get"), encode_get(ids),
       finish_with(&decode_get, std::move(done)));
  return call;
}

ChromaCallId ChromaClient::remove(const std::string& collection_id,
                                  const std::vector<std::string>& ids, Done<void> done) {
  const Status checked = first_flaw(collection_id, check_list_of_ids(ids));
  if (!checked || ids.empty()) return answer_later<void>(checked, std::move(done));
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::post, collection_path(collection_id, "delete"), encode_delete(ids),
       finish_with(std::move(done)));
  return call;
}

ChromaCallId ChromaClient::remove_where(const std::string& collection_id, const ChromaWhere& where,
                                        Done<void> done) {
  Status checked = check_collection_id(collection_id);
  if (checked && where.matches_all()) {
    checked = Error{Errc::invalid_argument, "a filter that matches every record"};
  }
  if (!checked) return answer_later<void>(checked, std::move(done));
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::post, collection_path(collection_id, "delete"), encode_delete(where),
       finish_with(std::move(done)));
  return call;
}

ChromaCallId ChromaClient::count(const std::string& collection_id, Done<std::size_t> done) {
  if (auto checked = check_collection_id(collection_id); !checked) {
    return answer_later<std::size_t>(checked.error(), std::move(done));
  }
  const ChromaCallId call = ++last_id_;
  send(call, http::Method::get, collection_path(collection_id, "count"), {},
       finish_with(&decode_count, std::move(done)));
  return call;
}

}  // namespace parlance::rag
