#include "actors/document_intake.h"

#include <bit>
#include <chrono>
#include <future>
#include <unordered_set>
#include <variant>

#include <caf/send.hpp>
#include <fmt/format.h>

#include "actors/retrieval_loop.h"
#include "base/json.h"
#include "base/metrics.h"
#include "extract/extractor.h"
#include "rag/chunker.h"
#include "rag/hashing_embedder.h"
#include "rag/terms.h"
#include "schemas/record_codec.h"

namespace parlance::actors {
namespace {

constexpr std::size_t kPassagesMax = 100'000;  ///< Of one request.
constexpr std::size_t kBatchBytes = 64 << 10;  ///< Between two of them others' groups are written.
constexpr std::chrono::seconds kWriteMax{60};

Error stopping() {
  return {Errc::unavailable, "the server is stopping; send it again after the restart"};
}

Error cancelled() {
  return {Errc::cancelled, "the session was closed before the documents were stored"};
}

Errc code_of(extract::Failure::Why why) {
  switch (why) {
    case extract::Failure::Why::unsupported_type:
      return Errc::unsupported;
    case extract::Failure::Why::too_large:
      return Errc::too_large;
    case extract::Failure::Why::unreadable:
    case extract::Failure::Why::timed_out:
      return Errc::unprocessable;
    case extract::Failure::Why::unavailable:
      return Errc::unavailable;
  }
  return Errc::internal;
}

/// The text and the type of every document of `request`.
Result<std::vector<extract::Text>> texts_of(const StoreDocuments& request,
                                            const extract::Options& options) {
  std::vector<extract::File> files;
  for (const NewDocument& document : request.documents) {
    if (document.is_file) files.push_back({document.name, document.content});
  }
  std::vector<extract::Text> extracted;
  if (!files.empty()) {
    auto result = extract::extract_texts(options, files);
    if (const auto* failure = std::get_if<extract::Failure>(&result)) {
      return Error{code_of(failure->why), failure->detail};
    }
    extracted = std::get<std::vector<extract::Text>>(std::move(result));
  }
  std::vector<extract::Text> texts;
  std::size_t next = 0;
  for (const NewDocument& document : request.documents) {
    texts.push_back(document.is_file ? std::move(extracted[next++])
                                     : extract::Text{"text/plain", document.content});
  }
  return texts;
}

std::string bytes_of(const std::vector<float>& vector) {
  static_assert(std::endian::native == std::endian::little);
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

/// Adds up the time of one stage of a request; observed once, at its end, also where it failed.
class StageTime {
 public:
  explicit StageTime(metrics::Histogram& stage) : stage_(stage) {}
  ~StageTime() { stage_.observe(std::chrono::duration<double>(spent_).count()); }
  StageTime(const StageTime&) = delete;
  StageTime& operator=(const StageTime&) = delete;

  template <class Work>
  decltype(auto) measure(Work&& work) {
    struct Span {
      StageTime& time;
      const Clock::time_point begin = Clock::now();
      ~Span() { time.spent_ += Clock::now() - begin; }
    } const span{*this};
    return work();
  }

 private:
  using Clock = std::chrono::steady_clock;

  metrics::Histogram& stage_;
  Clock::duration spent_{0};
};

metrics::DocumentStages& stages() {
  return metrics::get().document_stages;
}

}  // namespace

DocumentIntake::DocumentIntake(const storage::Store& store, RetrievalLoop& retrieval,
                               const PersistenceHandle& persistence, const agent::Stack& stack,
                               const rag::Options& options, extract::Options extraction)
    : store_(store),
      retrieval_(retrieval),
      persistence_(caf::actor_cast<caf::weak_actor_ptr>(persistence)),
      options_(options),
      extraction_(std::move(extraction)) {
  for (const agent::StackTool& tool : stack.tools) {
    if (tool.kind == agent::StackTool::Kind::rag) tools_.push_back(tool);
  }
}

Result<PreparedDocuments> DocumentIntake::prepare(const SessionId& session,
                                                  const StoreDocuments& request,
                                                  const std::atomic<bool>& wanted) const {
  if (!request.idempotency_key.empty()) {
    const auto first = store_.event_of_key(session, request.idempotency_key);
    if (!first) return first.error();
    if (first->has_value()) {
      const auto* stored = std::get_if<DocumentsStored>(&(*first)->event);
      if (stored == nullptr || stored->digest != request.digest) {
        return Error{Errc::already_exists, "this Idempotency-Key was used with another request"};
      }
      return PreparedDocuments{nullptr, {stored->tools, stored->document_ids, true}};
    }
  }
  if (tools_.empty()) {
    return Error{Errc::failed_precondition, "no tool of the stack answers from documents"};
  }
  if (const Status ids = check_ids(session, request); !ids) return ids.error();
  auto texts = StageTime(stages().extract).measure([&] { return texts_of(request, extraction_); });
  if (!texts) return texts.error();

  auto prepared = std::make_shared<PreparedSet>();
  std::vector<std::string> plain;
  for (std::size_t i = 0; i < texts->size(); ++i) {
    const NewDocument& document = request.documents[i];
    extract::Text& text = (*texts)[i];
    prepared->set.documents.push_back(
        {document.id, document.name, std::move(text.type), document.metadata, text.text.size(), 0});
    plain.push_back(std::move(text.text));
  }
  for (const agent::StackTool& tool : tools_) prepared->set.tools.push_back(tool.name);
  if (const Status done = cut(plain, *prepared, wanted); !done) return done.error();
  const Status embedded =
      StageTime(stages().embed).measure([&] { return embed(*prepared, wanted); });
  if (!embedded) return embedded.error();
  return PreparedDocuments{std::move(prepared), {}};
}

Status DocumentIntake::check_ids(const SessionId& session, const StoreDocuments& request) const {
  std::unordered_set<std::string_view> seen;
  for (const NewDocument& document : request.documents) {
    if (!seen.insert(document.id).second) {
      return Error{Errc::already_exists,
                   fmt::format("the document id \"{}\" is given twice", document.id)};
    }
    const auto known = store_.has_document(session, document.id);
    if (!known) return known.error();
    if (*known) {
      return Error{Errc::already_exists,
                   fmt::format("a document with the id \"{}\" is stored already", document.id)};
    }
  }
  return {};
}

Status DocumentIntake::cut(const std::vector<std::string>& texts, PreparedSet& out,
                           const std::atomic<bool>& wanted) const {
  StageTime cutting(stages().cut);
  StageTime reading(stages().terms);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!wanted) return cancelled();
    Document& document = out.set.documents[i];
    const auto spans = cutting.measure([&] { return rag::cut_into_passages(texts[i], options_); });
    if (spans.empty()) {
      return Error{Errc::unprocessable, fmt::format("{} holds no text", document.name)};
    }
    if (out.passages.size() + spans.size() > kPassagesMax) {
      return Error{Errc::too_large,
                   fmt::format("{} brings the request over {} passages of text; store it in "
                               "several requests",
                               document.name, kPassagesMax)};
    }
    document.passages = static_cast<std::uint32_t>(spans.size());
    for (const rag::Span& span : spans) {
      std::string text = texts[i].substr(span.begin, span.end - span.begin);
      std::string terms = reading.measure([&] { return rag::terms_of(text); });
      out.passages.push_back(
          {static_cast<std::uint32_t>(i), span.begin, span.end, std::move(text), std::move(terms)});
    }
  }
  return {};
}

Status DocumentIntake::embed(PreparedSet& out, const std::atomic<bool>& wanted) const {
  for (const agent::StackTool& tool : tools_) {
    std::vector<std::vector<float>>& vectors = out.vectors.emplace_back();
    if (!tool.embeddings.empty()) {
      std::vector<std::string> texts;
      for (const Passage& passage : out.passages) texts.push_back(passage.text);
      auto embedded = retrieval_.embed(tool, std::move(texts));
      if (!embedded) return embedded.error();
      vectors = std::move(*embedded);
      continue;
    }
    for (const Passage& passage : out.passages) {
      if (!wanted) return cancelled();
      vectors.push_back(rag::embed_by_hashing(passage.text));
    }
  }
  return {};
}

Status DocumentIntake::write(const SessionId& session, std::uint64_t set,
                             const PreparedSet& prepared, const std::atomic<bool>& wanted) const {
  return StageTime(stages().write).measure([&]() -> Status {
    Status written = write_passages(session, set, prepared, wanted);
    if (!written || !retrieval_.remote()) return written;
    return retrieval_.add_remotely(session, set, prepared);
  });
}

Status DocumentIntake::write_passages(const SessionId& session, std::uint64_t set,
                                      const PreparedSet& prepared,
                                      const std::atomic<bool>& wanted) const {
  for (std::size_t first = 0; first < prepared.passages.size();) {
    if (!wanted) return cancelled();
    storage::PassageBatch batch{session, set, static_cast<std::uint32_t>(first), {}, {}};
    if (!retrieval_.remote()) batch.vectors.resize(prepared.vectors.size());
    for (std::size_t bytes = 0; first < prepared.passages.size() && bytes < kBatchBytes; ++first) {
      batch.passages.push_back(encode(prepared.passages[first]));
      bytes += batch.passages.back().size();
      for (std::size_t tool = 0; tool < batch.vectors.size(); ++tool) {
        batch.vectors[tool].push_back(bytes_of(prepared.vectors[tool][first]));
        bytes += batch.vectors[tool].back().size();
      }
    }
    const auto persistence = caf::actor_cast<caf::strong_actor_ptr>(persistence_);
    if (!persistence) return stopping();
    auto written = std::make_shared<std::promise<Status>>();
    auto result = written->get_future();
    caf::anon_send(caf::actor_cast<PersistenceHandle>(persistence),
                   WritePassages{std::move(batch), [written](Status status) {
                                   written->set_value(std::move(status));
                                 }});
    if (result.wait_for(kWriteMax) != std::future_status::ready) {
      return Error{Errc::unavailable, "the store takes too long to write"};
    }
    try {
      if (Status status = result.get(); !status) return status;
    } catch (const std::future_error&) {  // It ended, and what waited with it.
      return stopping();
    }
  }
  return {};
}

}  // namespace parlance::actors
