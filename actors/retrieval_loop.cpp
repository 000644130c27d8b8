#include "actors/retrieval_loop.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <list>
#include <map>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "base/thread.h"
#include "http/transfer_loop.h"
#include "llm/embeddings_client.h"
#include "rag/chroma_client.h"
#include "rag/hashing_embedder.h"
#include "rag/passage_index.h"

namespace parlance::actors {
namespace {

using std::chrono::milliseconds;
using Vector = std::vector<float>;

constexpr std::string_view kOffline = "offline feature hashing";
constexpr milliseconds kCleanUpAgain{2'000};
constexpr milliseconds kScrubAfter{1'000};
/// Of reading one session's passages, before others have their turn.
constexpr std::chrono::microseconds kSlice{500};
/// Longer than any call of a client may take.
constexpr std::chrono::seconds kBlockedMax{900};
constexpr milliseconds kStopSeenAfter{100};

std::uint64_t key_of(const PassageId& id) {
  return id.set << 24 | id.index;
}
PassageId passage_of(std::uint64_t key) {
  return {key >> 24, static_cast<std::uint32_t>(key & 0xffffff)};
}

Result<Vector> vector_of(std::string_view bytes) {
  if (bytes.size() % sizeof(float) != 0) {
    return Error{Errc::corrupted, "an embedding that is cut short"};
  }
  Vector vector(bytes.size() / sizeof(float));
  std::memcpy(vector.data(), bytes.data(), bytes.size());
  return vector;
}

/// One name per session and tool, of the characters that Chroma takes; never that of another pair.
std::string collection_prefix(std::uint64_t epoch, const SessionId& session) {
  std::string out = fmt::format("parlance-{}-", epoch);
  for (const char c : session.text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "_{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out + '.';
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::string collection_name(std::uint64_t epoch, const SessionId& session, std::string_view tool) {
  return collection_prefix(epoch, session) + fmt::format("{:016x}", hash_of(tool));
}

}  // namespace

class RetrievalLoop::Impl {
 public:
  explicit Impl(Surroundings surroundings)
      : around_(std::move(surroundings)),
        transfers_(io_),
        embeddings_(transfers_),
        work_(boost::asio::make_work_guard(io_)) {
    if (remote()) chroma_.emplace(transfers_, around_.options);
    thread_ = std::thread([this] {
      name_thread("retrieval");
      become_background_thread();
      io_.run();
    });
  }
  ~Impl() { stop(); }

  void stop() {
    if (stopped_.exchange(true)) return;
    io_.stop();
    thread_.join();
  }

  bool remote() const { return around_.options.backend == rag::Options::Backend::chroma; }
  void post(std::function<void()> work) { transfers_.post(std::move(work)); }
  /// Runs `start` on the loop and waits for the value that it is given a place for.
  template <class T>
  Result<T> wait_for(std::function<void(std::function<void(Result<T>)>)> start);

  void search(SessionId session, agent::StackTool tool, std::string query, FoundReply reply);
  void embed(const agent::StackTool& tool, std::vector<std::string> texts,
             llm::EmbeddingsClient::Done done);
  void add(const SessionId& session, std::uint64_t set, std::shared_ptr<const PreparedSet> prepared,
           std::size_t tool, rag::ChromaClient::Done<void> done);
  void clean_up(storage::BegunSet begun);
  void erase(const SessionId& session);
  void scrub(SessionId session);
  void scrub_later();

  const Surroundings around_;

 private:
  struct Search {
    SessionId session;
    agent::StackTool tool;
    std::string query;
    FoundReply reply;
  };
  using SharedSearch = std::shared_ptr<Search>;

  /// A search that waits for its index.
  struct WaitingSearch {
    SharedSearch search;
    Vector vector;
  };

  /// The passages of one session for one tool, as far as its sets were read. They are read in
  /// slices, so that others' searches need not wait for all of a large set.
  struct Cached {
    std::pair<SessionId, std::string> key;
    std::unique_ptr<rag::PassageIndex> index;  ///< Null while there are no passages.
    std::uint64_t read_through = 0;            ///< The number of the last set.

    std::vector<DocumentSet> to_read;      ///< Backwards: the next is the last.
    std::uint32_t next_passage = 0;        ///< Of that one.
    std::vector<WaitingSearch> answering;  ///< For these; not empty while it is being read.
    std::vector<WaitingSearch> waiting;    ///< These came since, and may want sets that did, too.
    bool gone = false;                     ///< The session was erased.
  };
  using SharedCached = std::shared_ptr<Cached>;
  using Cache = std::list<SharedCached>;  ///< The longest unused first.

  void search_embedded(const SharedSearch& search, const Vector& vector);
  void search_chroma(const SharedSearch& search, const Vector& vector);
  void take_matches(const SharedSearch& search, const std::vector<rag::ChromaMatch>& matches);
  void read_new_sets(const SharedCached& cached);
  void read_slice(const SharedCached& cached);
  Status read_passages(Cached& cached, std::chrono::steady_clock::time_point until);
  void end_reading(const SharedCached& cached, const Status& status);
  void answer(const rag::PassageIndex& index, const WaitingSearch& waiting);
  void let_go(const SharedCached& cached);
  Result<rag::ChromaWhere> stored_sets(const SessionId& session) const;
  void shrink_cache();
  void clean_up_again(storage::BegunSet begun, const Error& error);
  void remove_set(const storage::BegunSet& begun, std::vector<rag::ChromaCollection> left);
  void remove_collections(const storage::BegunSet& begun, std::vector<rag::ChromaCollection> left);
  void reply_found(const Search& search, std::vector<FoundPassage> found, bool relevant) const;

  boost::asio::io_context io_{1};
  http::TransferLoop transfers_;
  llm::EmbeddingsClient embeddings_;
  std::optional<rag::ChromaClient> chroma_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  Cache cache_;
  std::map<std::pair<SessionId, std::string>, Cache::iterator> cached_;
  std::vector<SessionId> erased_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

// ---- Searching ----

void RetrievalLoop::Impl::search(SessionId session, agent::StackTool tool, std::string query,
                                 FoundReply reply) {
  auto search = std::make_shared<Search>(
      Search{std::move(session), std::move(tool), std::move(query), std::move(reply)});
  const auto go_on = [this, search](const Vector& vector) {
    remote() ? search_chroma(search, vector) : search_embedded(search, vector);
  };
  if (search->tool.embeddings.empty()) return go_on(rag::embed_by_hashing(search->query));
  const auto sets = around_.store.document_sets(search->session, 0);
  if (!sets) return search->reply(sets.error());
  if (sets->empty()) return reply_found(*search, {}, false);  // Nothing to embed the question for.
  embed(search->tool, {search->query}, [search, go_on](Result<llm::Embeddings> vectors) {
    vectors ? go_on(vectors->front()) : search->reply(vectors.error());
  });
}

void RetrievalLoop::Impl::reply_found(const Search& search, std::vector<FoundPassage> found,
                                      bool relevant) const {
  const std::string embeddings =
      search.tool.embeddings.empty() ? std::string(kOffline) : search.tool.embeddings;
  search.reply(agent::PassagesFound{std::move(found), embeddings, relevant});
}

void RetrievalLoop::Impl::search_embedded(const SharedSearch& search, const Vector& vector) {
  const std::pair key(search->session, search->tool.name);
  const auto found = cached_.find(key);
  if (found == cached_.end()) {
    auto fresh = std::make_shared<Cached>();
    fresh->key = key;
    cached_.emplace(key, cache_.insert(cache_.end(), std::move(fresh)));
  } else {
    cache_.splice(cache_.end(), cache_, found->second);
  }
  const SharedCached cached = cache_.back();
  cached->waiting.push_back({search, vector});
  if (cached->answering.empty()) read_new_sets(cached);
}

void RetrievalLoop::Impl::read_new_sets(const SharedCached& cached) {
  cached->answering = std::exchange(cached->waiting, {});
  auto sets = around_.store.document_sets(cached->key.first, cached->read_through);
  if (!sets) return end_reading(cached, sets.error());
  std::reverse(sets->begin(), sets->end());
  cached->to_read = std::move(*sets);
  cached->next_passage = 0;
  read_slice(cached);
}

void RetrievalLoop::Impl::read_slice(const SharedCached& cached) {
  const auto until = std::chrono::steady_clock::now() + kSlice;
  Status read;
  while (read && !cached->to_read.empty() && !cached->gone) {
    if (std::chrono::steady_clock::now() >= until) {
      return post([this, cached] { read_slice(cached); });
    }
    read = read_passages(*cached, until);
  }
  end_reading(cached, read);
}

/// Of the next set, until that is read or the time is over.
Status RetrievalLoop::Impl::read_passages(Cached& cached,
                                          std::chrono::steady_clock::time_point until) {
  const auto& [session, tool_name] = cached.key;
  const DocumentSet& set = cached.to_read.back();
  const auto tool = std::find(set.tools.begin(), set.tools.end(), tool_name);
  bool whole = true;
  if (tool != set.tools.end()) {  // Else it was not there yet.
    if (!cached.index) {
      const std::size_t dimensions = cached.answering.front().vector.size();
      cached.index = std::make_unique<rag::PassageIndex>(dimensions, around_.options);
    }
    Status added;
    const auto number = static_cast<std::uint8_t>(tool - set.tools.begin());
    Status read = around_.store.read_passages(
        session, set.number, number, cached.next_passage,
        [&](const storage::StoredPassage& stored) {
          const auto vector = vector_of(stored.vector);
          added = vector ? cached.index->add(key_of(stored.id), *vector, stored.passage.terms)
                         : Status(vector.error());
          cached.next_passage = stored.id.index + 1;
          whole = std::chrono::steady_clock::now() < until;
          return added && whole;
        });
    if (!read) return read;
    if (!added && added.error().code == Errc::invalid_argument) {
      return Error{Errc::failed_precondition,
                   fmt::format("the documents were stored with another embedding model than {} "
                               "has now; store them again",
                               tool_name)};
    }
    if (!added) return added;
  }
  if (!whole) return {};
  cached.read_through = set.number;
  cached.to_read.pop_back();
  cached.next_passage = 0;
  return {};
}

void RetrievalLoop::Impl::end_reading(const SharedCached& cached, const Status& status) {
  const std::vector<WaitingSearch> answering = std::exchange(cached->answering, {});
  if (!status) let_go(cached);  // Half a set may be in it.
  for (const WaitingSearch& each : answering) {
    if (!status) {
      each.search->reply(status.error());
    } else if (cached->index == nullptr || cached->gone) {
      reply_found(*each.search, {}, false);
    } else {
      answer(*cached->index, each);
    }
  }
  for (WaitingSearch& each : std::exchange(cached->waiting, {})) {
    post([this, each = std::move(each)] { search_embedded(each.search, each.vector); });
  }
  if (cached->index == nullptr) let_go(cached);  // It may be a session that never stores.
  shrink_cache();
}

void RetrievalLoop::Impl::answer(const rag::PassageIndex& index, const WaitingSearch& waiting) {
  const Search& search = *waiting.search;
  const auto hits = index.search(search.query, waiting.vector, search.tool.depth);
  if (!hits) return search.reply(hits.error());
  std::vector<PassageId> ids;
  for (const rag::Hit& hit : *hits) ids.push_back(passage_of(hit.key));
  auto texts = around_.store.passage_texts(search.session, ids);
  if (!texts) return search.reply(texts.error());
  std::vector<FoundPassage> found;
  for (PassageText& text : *texts) {
    const auto hit = std::find_if(hits->begin(), hits->end(), [&](const rag::Hit& each) {
      return passage_of(each.key) == text.id;
    });
    found.push_back({std::move(text), hit->score, hit->distance, hit->relevance});
  }
  const bool relevant = std::any_of(found.begin(), found.end(), [](const FoundPassage& each) {
    return each.relevance >= rag::kRelevant;
  });
  reply_found(search, std::move(found), relevant);
}

void RetrievalLoop::Impl::let_go(const SharedCached& cached) {
  const auto found = cached_.find(cached->key);
  if (found == cached_.end() || *found->second != cached) return;
  cache_.erase(found->second);
  cached_.erase(found);
}

/// The one used last stays, and those that are being read.
void RetrievalLoop::Impl::shrink_cache() {
  std::size_t bytes = 0;
  for (const SharedCached& cached : cache_) bytes += cached->index ? cached->index->bytes() : 0;
  for (auto it = cache_.begin(); bytes > around_.options.index_bytes_max && it != cache_.end() &&
                                 std::next(it) != cache_.end();) {
    const SharedCached cached = *it++;
    if (!cached->answering.empty()) continue;
    bytes -= cached->index ? cached->index->bytes() : 0;
    let_go(cached);
  }
}

// ---- Chroma ----

/// What keeps sets out that are on their way in, or half in. The newest ones only: a number is
/// never used again.
Result<rag::ChromaWhere> RetrievalLoop::Impl::stored_sets(const SessionId& session) const {
  const auto sets = around_.store.document_sets(session, 0);
  if (!sets) return sets.error();
  const auto begun = around_.store.begun_sets(&session);
  if (!begun) return begun.error();
  std::vector<std::string> unfinished;
  for (const storage::BegunSet& each : *begun) unfinished.push_back(std::to_string(each.set));
  const std::uint64_t newest = sets->empty() ? 0 : sets->back().number;
  const std::vector<rag::ChromaWhere> parts = {
      rag::ChromaWhere::at_most("set", static_cast<std::int64_t>(newest)),
      rag::ChromaWhere::none_of("set_name", unfinished)};
  return rag::ChromaWhere::all(parts);
}

void RetrievalLoop::Impl::search_chroma(const SharedSearch& search, const Vector& vector) {
  const std::string name =
      collection_name(around_.store.epoch(), search->session, search->tool.name);
  chroma_->find_collection(name, [this, search, vector](Result<rag::ChromaCollection> found) {
    if (!found && found.error().code == Errc::not_found) return reply_found(*search, {}, false);
    if (!found) return search->reply(found.error());
    const auto where = stored_sets(search->session);
    if (!where) return search->reply(where.error());
    chroma_->query(found->id, vector, search->tool.depth, *where,
                   [this, search](const Result<std::vector<rag::ChromaMatch>>& matches) {
                     matches ? take_matches(search, *matches) : search->reply(matches.error());
                   });
  });
}

void RetrievalLoop::Impl::take_matches(const SharedSearch& search,
                                       const std::vector<rag::ChromaMatch>& matches) {
  std::vector<PassageId> ids;
  for (const rag::ChromaMatch& match : matches) {
    if (const auto id = parse_passage_id(match.id)) ids.push_back(*id);
  }
  auto texts = around_.store.passage_texts(search->session, ids);
  if (!texts) return search->reply(texts.error());
  std::vector<FoundPassage> found;
  for (PassageText& text : *texts) {
    const std::string id = to_string(text.id);
    const auto match = std::find_if(matches.begin(), matches.end(),
                                    [&](const rag::ChromaMatch& each) { return each.id == id; });
    const double similarity = 1 - match->distance;
    found.push_back({std::move(text), similarity, match->distance, std::max(0.0, similarity)});
  }
  const bool relevant = !found.empty() && found.front().relevance >= rag::kRelevant;
  reply_found(*search, std::move(found), relevant);
}

void RetrievalLoop::Impl::add(const SessionId& session, std::uint64_t set,
                              std::shared_ptr<const PreparedSet> prepared, std::size_t tool,
                              rag::ChromaClient::Done<void> done) {
  const std::string name =
      collection_name(around_.store.epoch(), session, prepared->set.tools[tool]);
  const rag::ChromaMetadata about = {{"session", session.text},
                                     {"tool", prepared->set.tools[tool]}};
  chroma_->open_collection(name, about, [=, this](Result<rag::ChromaCollection> opened) {
    if (!opened) return done(opened.error());
    std::vector<rag::ChromaRecord> records;
    for (std::size_t i = 0; i < prepared->passages.size(); ++i) {
      const Passage& passage = prepared->passages[i];
      const Document& document = prepared->set.documents[passage.document];
      records.push_back({to_string(PassageId{set, static_cast<std::uint32_t>(i)}),
                         prepared->vectors[tool][i],
                         passage.text,
                         {{"set", static_cast<std::int64_t>(set)},
                          {"set_name", std::to_string(set)},
                          {"document", document.id},
                          {"begin", static_cast<std::int64_t>(passage.begin)},
                          {"end", static_cast<std::int64_t>(passage.end)}}});
    }
    chroma_->upsert(opened->id, std::move(records), done);
  });
}

// ---- Removing ----

void RetrievalLoop::Impl::clean_up(storage::BegunSet begun) {
  if (!remote()) return around_.cleaned(begun);
  const std::string prefix = collection_prefix(around_.store.epoch(), begun.session);
  chroma_->list_collections(
      prefix, [this, begun](Result<std::vector<rag::ChromaCollection>> collections) {
        if (!collections) return clean_up_again(begun, collections.error());
        begun.set == storage::kWholeSession ? remove_collections(begun, std::move(*collections))
                                            : remove_set(begun, std::move(*collections));
      });
}

void RetrievalLoop::Impl::clean_up_again(storage::BegunSet begun, const Error& error) {
  log::warn("Chroma cannot be cleaned yet session={} why={}", begun.session.text,
            log::value(error.detail));
  transfers_.schedule(kCleanUpAgain, [this, begun = std::move(begun)] { clean_up(begun); });
}

void RetrievalLoop::Impl::remove_set(const storage::BegunSet& begun,
                                     std::vector<rag::ChromaCollection> left) {
  if (left.empty()) return around_.cleaned(begun);
  const std::string id = left.back().id;
  left.pop_back();
  chroma_->remove_where(id, rag::ChromaWhere::equal("set", static_cast<std::int64_t>(begun.set)),
                        [this, begun, left = std::move(left)](const Status& removed) {
                          const bool gone = removed || removed.error().code == Errc::not_found;
                          gone ? remove_set(begun, left) : clean_up_again(begun, removed.error());
                        });
}

void RetrievalLoop::Impl::remove_collections(const storage::BegunSet& begun,
                                             std::vector<rag::ChromaCollection> left) {
  if (left.empty()) return around_.cleaned(begun);
  const std::string name = left.back().name;
  left.pop_back();
  chroma_->delete_collection(name, [this, begun, left = std::move(left)](const Status& removed) {
    removed ? remove_collections(begun, left) : clean_up_again(begun, removed.error());
  });
}

void RetrievalLoop::Impl::erase(const SessionId& session) {
  for (auto it = cached_.lower_bound({session, {}});
       it != cached_.end() && it->first.first == session;) {
    (*it->second)->gone = true;
    cache_.erase(it->second);
    it = cached_.erase(it);
  }
  if (remote()) clean_up({session, storage::kWholeSession});
  scrub(session);
}

void RetrievalLoop::Impl::scrub(SessionId session) {
  erased_.push_back(std::move(session));
  if (erased_.size() == 1) scrub_later();  // The others' time comes with the first one's.
}

void RetrievalLoop::Impl::scrub_later() {
  transfers_.schedule(kScrubAfter, [this] {
    if (around_.scrub(erased_)) {
      erased_.clear();
    } else {
      scrub_later();
    }
  });
}

// ---- For workers ----

void RetrievalLoop::Impl::embed(const agent::StackTool& tool, std::vector<std::string> texts,
                                llm::EmbeddingsClient::Done done) {
  const auto& named = around_.models.named;
  const auto provider = std::find_if(named.begin(), named.end(),
                                     [&](const auto& each) { return each.name == tool.provider; });
  if (provider != named.end()) {
    embeddings_.embed(*provider, tool.embeddings, std::move(texts), std::move(done));
  } else {
    done(Error{Errc::failed_precondition,
               fmt::format("{} has no provider that could embed", tool.name)});
  }
}

template <class T>
Result<T> RetrievalLoop::Impl::wait_for(std::function<void(std::function<void(Result<T>)>)> start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  post([start = std::move(start), promise] {
    start([promise](Result<T> value) { promise->set_value(std::move(value)); });
  });
  const auto deadline = std::chrono::steady_clock::now() + kBlockedMax;
  while (future.wait_for(kStopSeenAfter) != std::future_status::ready) {
    if (stopped_) {
      return Error{Errc::unavailable, "the server is stopping; send it again after the restart"};
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Error{Errc::deadline_exceeded, "embedding or storing the documents took too long"};
    }
  }
  return future.get();
}

RetrievalLoop::RetrievalLoop(Surroundings surroundings)
    : impl_(std::make_unique<Impl>(std::move(surroundings))) {}
RetrievalLoop::~RetrievalLoop() = default;

void RetrievalLoop::stop() {
  impl_->stop();
}

bool RetrievalLoop::remote() const noexcept {
  return impl_->remote();
}

void RetrievalLoop::search(SessionId session, agent::StackTool tool, std::string query,
                           FoundReply reply) {
  impl_->post([this, session = std::move(session), tool = std::move(tool), query = std::move(query),
               reply = std::move(reply)] { impl_->search(session, tool, query, reply); });
}

Result<std::vector<std::vector<float>>> RetrievalLoop::embed(const agent::StackTool& tool,
                                                             std::vector<std::string> texts) {
  return impl_->wait_for<llm::Embeddings>(
      [this, tool, texts = std::move(texts)](llm::EmbeddingsClient::Done done) {
        impl_->embed(tool, texts, std::move(done));
      });
}

Status RetrievalLoop::add_remotely(const SessionId& session, std::uint64_t set,
                                   const PreparedSet& prepared) {
  const auto shared = std::make_shared<const PreparedSet>(prepared);
  for (std::size_t tool = 0; tool < prepared.set.tools.size(); ++tool) {
    Status added = impl_->wait_for<void>([=, this](rag::ChromaClient::Done<void> done) {
      impl_->add(session, set, shared, tool, std::move(done));
    });
    if (!added) return added;
  }
  return {};
}

void RetrievalLoop::clean_up(SessionId session, std::uint64_t set) {
  impl_->post(
      [this, begun = storage::BegunSet{std::move(session), set}] { impl_->clean_up(begun); });
}

void RetrievalLoop::erase(SessionId session) {
  impl_->post([this, session = std::move(session)] { impl_->erase(session); });
}

void RetrievalLoop::scrub(SessionId session) {
  impl_->post([this, session = std::move(session)] { impl_->scrub(session); });
}

}  // namespace parlance::actors
