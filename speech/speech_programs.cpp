#include "speech/speech_programs.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "confined/mime_type.h"
#include "speech/child_pool.h"
#include "speech/frame.h"

namespace parlance::speech {
namespace {

using Clock = std::chrono::steady_clock;
using confined::ChildProcess;

constexpr std::chrono::milliseconds kAskedAgain{200};
constexpr std::array<std::string_view, 6> kTypes = {"audio/wav", "audio/ogg",  "audio/mpeg",
                                                    "audio/mp4", "audio/webm", "audio/flac"};

bool known_type(std::string_view type) {
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

/// Whether `tag`, such as "en-GB", is of `language`.
bool is_language(std::string_view tag, std::string_view language) {
  const std::string_view primary = tag.substr(0, tag.find_first_of("-_"));
  return std::equal(
      primary.begin(), primary.end(), language.begin(), language.end(),
      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

std::span<const char> bytes_of(const RequestHead& head) {
  return {reinterpret_cast<const char*>(&head), sizeof head};
}

std::span<char> bytes_of(AnswerHead& head) {
  return {reinterpret_cast<char*>(&head), sizeof head};
}

/// A sentence for the client about its file.
Error refusal(Outcome outcome, const std::string& type, const Options& options) {
  switch (outcome) {
    case Outcome::not_audio:
      return {Errc::unsupported,
              fmt::format("The file is not audio of a kind that is taken; it looks like {}. WAV, "
                          "Ogg, MP3, M4A, WebM and FLAC are.",
                          type)};
    case Outcome::has_video:
      return {Errc::unsupported, "The file is a video; send its sound alone."};
    case Outcome::no_audio:
      return {Errc::unsupported, "The file has no audio in it."};
    case Outcome::unknown_coding:
      return {
          Errc::unsupported,
          "The audio in the file is of a coding that is not taken. PCM, Opus, Vorbis, MP3, AAC, "
          "ALAC and FLAC are."};
    case Outcome::too_long:
      return {Errc::too_large, fmt::format("The audio is longer than the {} s that are allowed "
                                           "(limits.audio_seconds_max).",
                                           options.audio_max.count())};
    case Outcome::empty:
      return {Errc::unprocessable, "The file is empty."};
    case Outcome::not_playable:
      return {Errc::unprocessable, "The audio is damaged; it cannot be played."};
    case Outcome::too_complex:
      return {Errc::unprocessable, "The audio takes more memory to read than is allowed."};
    case Outcome::done:
    case Outcome::piece:
    case Outcome::broken:
    case Outcome::failed:
      break;
  }
  return {Errc::unprocessable, "The audio is broken or cut off and cannot be read."};
}

Error not_there() {
  return {Errc::unavailable,
          "Audio cannot be handled at the moment: parlance-speech is missing or cannot start on "
          "this server."};
}

Result<std::uint64_t> size_of(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    return Error{Errc::invalid_argument, "audio is read from regular files only"};
  }
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

struct SpeechPrograms::Parts {
  explicit Parts(Options given) : options(std::move(given)) {}
  ChildPool& pool(Task task) { return pools[static_cast<std::size_t>(task)]; }

  const Options options;
  std::array<ChildPool, kTaskNames.size()> pools{{{options, Task::probe},
                                                  {options, Task::transcribe},
                                                  {options, Task::speak_english},
                                                  {options, Task::speak_arabic}}};
};

/// One request and the child that serves it, which ends with it.
class SpeechPrograms::Request {
 public:
  struct Answer {
    AnswerHead head;
    std::string bytes;
  };

  Request(Parts& parts, Task task) : parts_(parts), task_(task) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    child_.reset();
    parts_.pool(task_).refill();
  }

  /// Hands a child the file of `size` bytes, or `text`. Errors: unavailable.
  Status send(int descriptor, std::uint64_t size, std::string_view text) {
    Status sent;
    // Those that wait die all with the program that forked them.
    for (int tries = 0; tries <= std::max(parts_.options.warm, 0); ++tries) {
      auto child = parts_.pool(task_).take();
      if (!child) return not_there();
      child_.emplace(std::move(*child));
      sent = hear_ready();
      if (sent) {
        sent_at_ = Clock::now();
        sent = hand_over({size}, descriptor, text);
      }
      if (sent) return {};
      if (sent.error().code == Errc::deadline_exceeded) break;
    }
    if (sent_at_ != Clock::time_point()) return lost(sent.error());
    log::error("the program for speech cannot confine itself task={} error={}", name(),
               log::value(sent.error().detail));
    return not_there();
  }

  /// Waits for the first word of an answer, unless `go_on` says no. Errors: cancelled.
  Status await(const std::function<bool()>& go_on) {
    const auto deadline = deadline_from_now();
    while (Clock::now() < deadline) {
      if (!go_on()) return Error{Errc::cancelled, "nobody wants to know any more"};
      const auto word = child_->await_word(std::min(deadline, Clock::now() + kAskedAgain));
      if (word || word.error().code != Errc::deadline_exceeded) break;
    }
    return {};
  }

  /// What a child says is checked as if a stranger had sent it: one may have been taken over.
  Result<Answer> receive() {
    Answer answer;
    const auto deadline = deadline_from_now();
    auto heard = child_->receive(bytes_of(answer.head), deadline);
    if (!heard) return lost(heard.error());
    const AnswerHead& head = answer.head;
    if (static_cast<std::uint8_t>(head.outcome) >= kOutcomes || head.bytes > kAnswerBytesMax) {
      return lied();
    }
    answer.bytes.resize(head.bytes);
    heard = child_->receive(answer.bytes, deadline);
    if (!heard) return lost(heard.error());
    return answer;
  }

  Error lied() {
    log::warn("the program for speech broke its framing task={}", name());
    return broken();
  }

 private:
  Status hear_ready() {
    char ready[kReady.size()];
    auto heard = child_->receive(ready, Clock::now() + kStartTimeout);
    if (heard && std::string_view(ready, sizeof ready) != kReady) {
      return Error{Errc::unavailable, "the child says something else"};
    }
    return heard;
  }

  Status hand_over(const RequestHead& head, int descriptor, std::string_view text) {
    const auto deadline = deadline_from_now();
    auto sent = child_->send(bytes_of(head), descriptor, deadline);
    if (sent) sent = child_->send(text, deadline);
    return sent;
  }

  Error lost(const Error& error) {
    const auto limit = time_limit(parts_.options, task_);
    // How a forked child ended nobody tells. One that ends by itself when its time is nearly over
    // had as much processor time, which is limited by the same number.
    const auto late = std::chrono::duration_cast<std::chrono::milliseconds>(limit) * 9 / 10;
    const auto taken =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - sent_at_);
    const bool timed_out = error.code == Errc::deadline_exceeded || taken >= late;
    child_->end();
    log::warn("the program for speech did not finish task={} after_ms={} timed_out={}", name(),
              taken.count(), timed_out);
    if (timed_out) {
      return {task_ == Task::probe ? Errc::unprocessable : Errc::deadline_exceeded,
              fmt::format("It took longer than the {} s that are allowed.", limit.count())};
    }
    return broken();
  }

  Error broken() const {
    if (task_ == Task::probe || task_ == Task::transcribe) {
      return refusal(Outcome::broken, {}, parts_.options);
    }
    return {Errc::unavailable, "The text could not be spoken."};
  }

  ChildProcess::Deadline deadline_from_now() const {
    return Clock::now() + time_limit(parts_.options, task_);
  }
  const char* name() const { return kTaskNames[static_cast<std::size_t>(task_)]; }

  Parts& parts_;
  const Task task_;
  std::optional<ChildProcess> child_;
  Clock::time_point sent_at_;
};

SpeechPrograms::SpeechPrograms(Options options)
    : parts_(std::make_unique<Parts>(std::move(options))) {}

SpeechPrograms::~SpeechPrograms() = default;

Result<Clip> SpeechPrograms::probe(int descriptor) {
  const auto size = size_of(descriptor);
  if (!size) return size.error();
  Request request(*parts_, Task::probe);
  if (auto sent = request.send(descriptor, *size, {}); !sent) return sent.error();
  auto answer = request.receive();
  if (!answer) return answer.error();
  if (answer->bytes.size() > kTypeBytesMax || !confined::is_mime_type(answer->bytes)) {
    return request.lied();
  }
  const AnswerHead& head = answer->head;
  if (head.outcome != Outcome::done) return refusal(head.outcome, answer->bytes, parts_->options);
  const std::chrono::milliseconds duration(head.duration_ms);
  if (!known_type(answer->bytes) || duration < std::chrono::milliseconds(0) ||
      duration > parts_->options.audio_max) {
    return request.lied();
  }
  return Clip{std::move(answer->bytes), duration};
}

Result<std::string> SpeechPrograms::transcribe(int descriptor, std::string_view language,
                                               const std::function<bool()>& go_on) {
  if (!language.empty() && !is_language(language, "en")) {
    return Error{Errc::failed_precondition,
                 "The offline recogniser knows English only; configure a provider of "
                 "transcriptions for other languages."};
  }
  const auto size = size_of(descriptor);
  if (!size) return size.error();
  Request request(*parts_, Task::transcribe);
  if (auto sent = request.send(descriptor, *size, {}); !sent) return sent.error();
  if (auto waited = request.await(go_on); !waited) return waited.error();
  auto answer = request.receive();
  if (!answer) return answer.error();
  const Outcome outcome = answer->head.outcome;
  const bool valid = outcome == Outcome::done ? json::valid_utf8(answer->bytes)
                                              : confined::is_mime_type(answer->bytes);
  if (!valid) return request.lied();
  if (outcome != Outcome::done) return refusal(outcome, answer->bytes, parts_->options);
  return std::move(answer->bytes);
}

Status SpeechPrograms::speak(std::string_view text, std::string_view language,
                             const std::function<bool(std::string_view mp3)>& on_bytes) {
  const bool arabic = is_language(language, "ar");
  if (!arabic && !is_language(language, "en")) {
    return Error{Errc::failed_precondition,
                 "The offline voice speaks English and Arabic only; configure a provider of "
                 "speech for other languages."};
  }
  if (text.size() > parts_->options.text_bytes_max) {
    return Error{Errc::too_large,
                 fmt::format("The text to speak has {} bytes; at most {} are allowed.", text.size(),
                             parts_->options.text_bytes_max)};
  }
  if (!json::valid_utf8(text) || text.find_first_not_of(" \t\r\n") == std::string_view::npos ||
      text.find('\0') != std::string_view::npos) {
    return Error{Errc::invalid_argument, "The text to speak is empty or not UTF-8."};
  }
  Request request(*parts_, arabic ? Task::speak_arabic : Task::speak_english);
  if (auto sent = request.send(-1, text.size(), text); !sent) return sent.error();
  for (;;) {
    const auto answer = request.receive();
    if (!answer) return answer.error();
    if (answer->head.outcome == Outcome::done) return {};
    if (answer->head.outcome != Outcome::piece || answer->bytes.empty()) return request.lied();
    if (!on_bytes(answer->bytes)) return Error{Errc::cancelled, "the listener left"};
  }
}

}  // namespace parlance::speech
