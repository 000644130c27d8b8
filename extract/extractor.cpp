#include "extract/extractor.h"

#include <csignal>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/log.h"
#include "confined/child_process.h"
#include "confined/mime_type.h"
#include "extract/frame.h"

namespace parlance::extract {
namespace {

using Why = Failure::Why;
using confined::ChildProcess;
using Clock = std::chrono::steady_clock;

constexpr const char* kProgramName = "parlance-extract";
constexpr std::size_t kNameBytesMax = 80;

/// The bytes of the UTF-8 sequence at the start of well-formed `text`.
std::size_t sequence_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/// Controls, and the marks that would turn the rest of a sentence around.
bool unsafe_in_sentence(std::string_view sequence) {
  if (sequence.size() == 1) {
    return static_cast<unsigned char>(sequence[0]) < 0x20 || sequence[0] == 0x7f ||
           sequence[0] == '"';
  }
  if (sequence.size() == 2) return sequence < "\xc2\xa0";
  return sequence == "\xe2\x80\xa8" || sequence == "\xe2\x80\xa9" ||
         (sequence >= "\xe2\x80\xaa" && sequence <= "\xe2\x80\xae") ||
         (sequence >= "\xe2\x81\xa6" && sequence <= "\xe2\x81\xa9");
}

/// `name` in quotes, safe inside a sentence and not too long for it.
std::string quoted(const File& file, std::size_t index) {
  if (file.name.empty()) return fmt::format("number {}", index + 1);
  const std::string name = json::to_valid_utf8(file.name.substr(0, 4 * kNameBytesMax));
  std::string safe;
  for (std::string_view rest = name; !rest.empty();) {
    const std::string_view sequence = rest.substr(0, sequence_bytes(rest));
    if (safe.size() + sequence.size() > kNameBytesMax) {
      safe += "...";
      break;
    }
    safe += unsafe_in_sentence(sequence) ? "?" : sequence;
    rest.remove_prefix(sequence.size());
  }
  return fmt::format("\"{}\"", safe);
}

Why why_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::unsupported_type:
      return Why::unsupported_type;
    case Outcome::too_large:
    case Outcome::too_deep:
      return Why::too_large;
    case Outcome::text:
    case Outcome::unknown_encoding:
    case Outcome::broken:
    case Outcome::encrypted:
    case Outcome::empty:
      break;
  }
  return Why::unreadable;
}

/// What is wrong with the file, to follow its name.
std::string complaint(Outcome outcome, const std::string& type) {
  switch (outcome) {
    case Outcome::unsupported_type:
      return fmt::format(
          "has a type that is not supported ({}); text, Markdown, HTML, CSV, JSON, PDF, DOCX, XLSX "
          "and PPTX are.",
          type.empty() ? "unknown" : type);
    case Outcome::unknown_encoding:
      return "is text in an encoding that was not recognised; send it as UTF-8.";
    case Outcome::encrypted:
      return "is encrypted; send it without a password.";
    case Outcome::too_large:
      return "is too large to read, unpacked or in text, pages or entries; send it in parts.";
    case Outcome::too_deep:
      return "is nested too deeply to read.";
    case Outcome::empty:
      return "has no text in it.";
    case Outcome::text:
    case Outcome::broken:
      break;
  }
  return "is broken or cut off and cannot be read.";
}

/// One batch: the child that serves it, started when it is needed, and what it said so far.
class Batch {
 public:
  Batch(const Options& options, std::span<const File> files) : options_(options), files_(files) {}

  std::variant<std::vector<Text>, Failure> run() {
    for (index_ = 0; index_ < files_.size(); ++index_) {
      if (auto failure = read_one()) return std::move(*failure);
    }
    return std::move(texts_);
  }

 private:
  std::optional<Failure> read_one() {
    const File& file = files_[index_];
    if (file.bytes.size() > options_.file_bytes_max) {
      return failure(Why::too_large, fmt::format("has {} bytes; at most {} are allowed.",
                                                 file.bytes.size(), options_.file_bytes_max));
    }
    if (!child_) {
      if (auto failed = start()) return failed;
    }
    const RequestHead request{file.bytes.size()};
    AnswerHead answer;
    const auto deadline = Clock::now() + options_.file_timeout;
    auto talked = child_->send({reinterpret_cast<const char*>(&request), sizeof request}, deadline);
    if (talked) talked = child_->send(file.bytes, deadline);
    if (talked)
      talked = child_->receive({reinterpret_cast<char*>(&answer), sizeof answer}, deadline);
    if (!talked) return lost(talked.error());
    return take_answer(answer, deadline);
  }

  std::optional<Failure> start() {
    const std::string program = confined::program_path(options_.program, kProgramName);
    auto child = ChildProcess::start(
        program,
        {std::to_string(options_.memory_bytes_max), std::to_string(options_.cpu_max.count()),
         std::to_string(options_.text_bytes_max), std::to_string(options_.file_bytes_max)});
    if (!child) {
      log::error("cannot start the reader of documents error={}", log::value(child.error().detail));
      return unavailable();
    }
    child_.emplace(std::move(*child));
    char ready[kReady.size()];
    const auto heard = child_->receive(ready, Clock::now() + options_.file_timeout);
    if (!heard || std::string_view(ready, sizeof ready) != kReady) {
      const int status = child_->end();
      log::error(
          "the reader of documents did not start or cannot confine itself program={} status={}",
          log::value(program), status);
      return unavailable();
    }
    return std::nullopt;
  }

  /// What a child says is checked as if a stranger had sent it: one may have taken it over.
  std::optional<Failure> take_answer(const AnswerHead& answer, ChildProcess::Deadline deadline) {
    const auto outcome = static_cast<std::uint8_t>(answer.outcome);
    const bool is_text = answer.outcome == Outcome::text;
    if (outcome >= kOutcomes || answer.leaving > 1 || answer.type_bytes > kTypeBytesMax ||
        answer.text_bytes > options_.text_bytes_max || is_text != (answer.text_bytes > 0)) {
      return lied();
    }
    if (answer.text_bytes > options_.batch_text_bytes_max - text_bytes_) {
      return failure(Why::too_large,
                     fmt::format("and the files before it have more text than the {} bytes that "
                                 "are allowed together; send fewer at a time.",
                                 options_.batch_text_bytes_max));
    }
    Text text;
    text.type.resize(answer.type_bytes);
    text.text.resize(answer.text_bytes);
    auto heard = child_->receive(text.type, deadline);
    if (heard) heard = child_->receive(text.text, deadline);
    if (!heard) return lost(heard.error());
    if (!confined::is_mime_type(text.type) || !json::valid_utf8(text.text)) return lied();
    if (!is_text) return failure(why_of(answer.outcome), complaint(answer.outcome, text.type));
    text_bytes_ += text.text.size();
    texts_.push_back(std::move(text));
    if (answer.leaving != 0) child_.reset();
    return std::nullopt;
  }

  std::optional<Failure> lost(const Error& error) {
    if (error.code == Errc::deadline_exceeded) {
      return failure(Why::timed_out,
                     fmt::format("took longer to read than the {} ms that are allowed.",
                                 options_.file_timeout.count()));
    }
    const int status = child_->end();
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    log::warn("the reader of documents died signal={} status={} file_bytes={}", signal, status,
              files_[index_].bytes.size());
    if (signal == SIGXCPU) {
      return failure(Why::timed_out, "took more time to compute than is allowed.");
    }
    return failure(Why::unreadable, complaint(Outcome::broken, {}));
  }

  std::optional<Failure> lied() {
    log::warn("the reader of documents broke its framing file_bytes={}",
              files_[index_].bytes.size());
    return failure(Why::unreadable, complaint(Outcome::broken, {}));
  }

  std::optional<Failure> unavailable() {
    return Failure{Why::unavailable, index_,
                   fmt::format("Documents cannot be read at the moment: {} is missing or cannot "
                               "start on this server. The file {} was not looked at.",
                               kProgramName, quoted(files_[index_], index_))};
  }

  std::optional<Failure> failure(Why why, const std::string& what) {
    return Failure{why, index_,
                   fmt::format("The file {} {}", quoted(files_[index_], index_), what)};
  }

  const Options& options_;
  const std::span<const File> files_;
  std::size_t index_ = 0;
  std::size_t text_bytes_ = 0;
  std::vector<Text> texts_;
  std::optional<ChildProcess> child_;
};

}  // namespace

std::variant<std::vector<Text>, Failure> extract_texts(const Options& options,
                                                       std::span<const File> files) {
  return Batch(options, files).run();
}

}  // namespace parlance::extract
