// The answer to a query, put together from what the log says of its run. Pure; one reader per
// query, on any one thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dialects/problem.h"
#include "schemas/document.h"
#include "schemas/event.h"
#include "schemas/ids.h"

namespace parlance::dialects::kiss {

/// Longer passages are told by reference: GET /passages/{id}.
inline constexpr std::size_t kPassageInlineBytesMax = 4 << 10;

/// A passage as the action step names it.
struct UsedPassage {
  PassageId id;
  std::string document_id;
  std::string name;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  double score = 0;
  double distance = 0;
};

class RunReader {
 public:
  explicit RunReader(MessageId message) : message_(std::move(message)) {}

  /// Takes the next event of the log; those of other messages are ignored. True once the run's end
  /// was taken.
  bool add(const RecordedEvent& event);
  bool ended() const noexcept { return ended_; }

  /// The passages whose texts append_answer() wants, in order.
  std::vector<PassageId> passages() const;

  /// The answer, or why there is none: the run failed or was cancelled, or has not ended. `texts`
  /// are those of passages() that exist.
  std::variant<std::string, Problem> answer(const SessionId& client, std::string_view query,
                                            std::span<const PassageText> texts) const;

 private:
  void take(const StepRecorded& step);
  void take_passages(const std::string& output);

  const MessageId message_;
  std::string tool_;
  std::string text_;
  std::string embeddings_;  ///< How passages were searched; empty where none were.
  std::vector<UsedPassage> passages_;
  ModelUsage usage_;
  std::optional<Problem> problem_;
  bool ended_ = false;
};

}  // namespace parlance::dialects::kiss
