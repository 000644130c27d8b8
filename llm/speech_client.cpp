#include "llm/speech_client.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "llm/speech_call.h"
#include "llm/speech_wire.h"

namespace parlance::llm {
namespace {

constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kVoiceBytesMax = 128;
constexpr std::string_view kSpace = " \t\r\n";
/// JSON around a transcript; and its text may be written in escapes, three bytes for one.
constexpr std::size_t kAnswerOverhead = 64 << 10;
constexpr std::size_t kEscapedBytes = 3;

Error invalid(std::string detail) {
  return {Errc::invalid_argument, std::move(detail)};
}

/// Whether `text` may stand in a header of a form: UTF-8 without control characters.
bool fits_header(std::string_view text) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
  return !text.empty() && text.size() <= kNameBytesMax && json::valid_utf8(text) &&
         std::none_of(text.begin(), text.end(), control);
}

Status check(const Recording& recording) {
  if (!fits_header(recording.name) || !fits_header(recording.content_type)) {
    return invalid(fmt::format(
        "the name and the type of a recording need 1 to {} bytes of UTF-8 without line breaks",
        kNameBytesMax));
  }
  const std::string& language = recording.language;
  const bool known = language.empty() || ((language.size() == 2 || language.size() == 3) &&
                                          std::all_of(language.begin(), language.end(),
                                                      [](char c) { return c >= 'a' && c <= 'z'; }));
  if (!known) return invalid("the language of a recording must be an ISO 639 code such as ar");
  return {};
}

class TranscribeCall final : public SpeechCall {
 public:
  TranscribeCall(SpeechCalls& calls, const Recording& recording, SpeechClient::Transcribed done)
      : SpeechCall(calls),
        name_(recording.name),
        content_type_(recording.content_type),
        language_(recording.language),
        done_(std::move(done)) {}
  ~TranscribeCall() override {
    stop();
    if (file_ >= 0) ::close(file_);
  }

  /// Takes a descriptor of its own.
  Status open(int descriptor) {
    struct stat about {};
    if (::fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
      return invalid("the recording is no regular file");
    }
    bytes_ = static_cast<std::uint64_t>(about.st_size);
    if (bytes_ == 0 || bytes_ > options().upload_bytes_max) {
      return invalid(fmt::format("the recording has {} bytes; 1 to {} are allowed", bytes_,
                                 options().upload_bytes_max));
    }
    file_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (file_ >= 0) return {};
    return Error{Errc::resource_exhausted, "no descriptor is left to send the recording with"};
  }

 private:
  http::Request request() override {
    http::Request out = request_to("/audio/transcriptions");
    out.headers.emplace_back("Accept: application/json");
    out.form.push_back({"model", options().transcription_model});
    // What every model takes; verbose_json, which tells the language too, only whisper-1 does.
    out.form.push_back({"response_format", "json"});
    if (!language_.empty()) out.form.push_back({"language", language_});
    http::FormPart file;
    file.name = "file";
    file.bytes = bytes_;
    file.file_name = name_;
    file.content_type = content_type_;
    file.read = [this](std::uint64_t at, std::span<char> into) { return read(at, into); };
    out.form.push_back(std::move(file));
    body_.clear();
    return out;
  }

  Result<std::size_t> read(std::uint64_t at, std::span<char> into) {
    ssize_t count = -1;
    do {
      count = ::pread(file_, into.data(), into.size(), static_cast<off_t>(at));
    } while (count < 0 && errno == EINTR);
    if (count <= 0) return Error{Errc::corrupted, "the recording cannot be read to its end"};
    sent(at + static_cast<std::uint64_t>(count) == bytes_);
    return static_cast<std::size_t>(count);
  }

  bool accepts(std::string_view /*content_type*/) const override { return true; }
  bool may_show(std::string_view /*sentence*/) const override { return true; }

  void take(std::string_view bytes) override {
    const std::size_t bytes_max = kEscapedBytes * options().transcript_bytes_max + kAnswerOverhead;
    if (bytes.size() <= bytes_max - body_.size()) {
      body_ += bytes;
      return;
    }
    fail(Errc::resource_exhausted, false,
         fmt::format("answered a recording with more than {} bytes", bytes_max));
  }

  void take_end() override {
    auto transcript = decode_transcript(body_, options().transcript_bytes_max, key());
    if (!transcript) {
      const Error error = std::move(transcript).error();
      fail(error.code, error.code == Errc::unavailable, error.detail);
      return;
    }
    served();
    const auto self = leave();
    done_(std::move(*transcript));
  }

  void tell(Error error) override { done_(std::move(error)); }

  const std::string name_;
  const std::string content_type_;
  const std::string language_;
  const SpeechClient::Transcribed done_;
  std::uint64_t bytes_ = 0;
  int file_ = -1;
  std::string body_;
};

class SpeakCall final : public SpeechCall {
 public:
  SpeakCall(SpeechCalls& calls, std::string text, std::string voice, SpeechClient::Bytes on_bytes,
            SpeechClient::Spoken done)
      : SpeechCall(calls),
        text_(std::move(text)),
        voice_(std::move(voice)),
        on_bytes_(std::move(on_bytes)),
        done_(std::move(done)) {}
  ~SpeakCall() override { stop(); }

  Status check() {
    if (voice_.empty() || voice_.size() > kVoiceBytesMax || !json::valid_utf8(voice_)) {
      return invalid(
          fmt::format("the name of a voice needs 1 to {} bytes of UTF-8", kVoiceBytesMax));
    }
    const bool good = text_.size() <= options().text_bytes_max && json::valid_utf8(text_);
    if (!good || !next_piece()) {
      return invalid(
          fmt::format("a text of {} bytes cannot be spoken; it needs 1 to {} bytes of "
                      "UTF-8, and not only white space",
                      text_.size(), options().text_bytes_max));
    }
    return {};
  }

 private:
  /// Goes on to what the next request says. False: nothing is left.
  bool next_piece() {
    at_ = text_.find_first_not_of(kSpace, at_ + piece_bytes_);
    if (at_ == std::string::npos) return false;
    piece_bytes_ =
        speech_piece(std::string_view(text_).substr(at_), options().request_characters_max);
    return true;
  }
  std::string_view piece() const {
    const std::string_view piece = std::string_view(text_).substr(at_, piece_bytes_);
    return piece.substr(0, piece.find_last_not_of(kSpace) + 1);
  }

  http::Request request() override {
    http::Request out = request_to("/audio/speech");
    out.headers.emplace_back("Content-Type: application/json");
    out.headers.emplace_back("Accept: audio/mpeg");
    out.body = encode_speech_request(options().speech_model, voice_, piece());
    spoken_ = false;
    return out;
  }

  bool accepts(std::string_view content_type) const override { return may_be_mp3(content_type); }
  bool may_show(std::string_view sentence) const override { return !may_repeat(sentence, piece()); }

  void take(std::string_view bytes) override {
    spoken_ = true;
    if (bytes.size() > options().speech_bytes_max - bytes_) {
      fail(Errc::resource_exhausted, false,
           fmt::format("answered with more than {} bytes of audio", options().speech_bytes_max));
      return;
    }
    bytes_ += bytes.size();
    on_bytes_(bytes);
  }

  void take_end() override {
    if (!spoken_) {
      fail(Errc::unavailable, true, "answered with no audio");
      return;
    }
    served();
    if (next_piece()) {
      enter();
      return;
    }
    const auto self = leave();
    done_({});
  }

  void tell(Error error) override { done_(std::move(error)); }

  const std::string text_;
  const std::string voice_;
  const SpeechClient::Bytes on_bytes_;
  const SpeechClient::Spoken done_;
  std::size_t at_ = 0;  // What is being said, of the text.
  std::size_t piece_bytes_ = 0;
  std::size_t bytes_ = 0;  // Of audio, in all.
  bool spoken_ = false;    // Some of it by this request.
};

/// Begins `call`, or tells it later that it cannot be.
SpeechId begin(SpeechCalls& calls, const std::shared_ptr<SpeechCall>& call, const Status& checked) {
  calls.running.emplace(call->id(), call);
  if (calls.options.base_url.empty()) {
    call->refuse({Errc::failed_precondition, "no provider of speech is configured"});
  } else if (!checked) {
    call->refuse(checked.error());
  } else {
    call->enter();
  }
  return call->id();
}

}  // namespace

SpeechClient::SpeechClient(http::TransferLoop& loop, SpeechOptions options,
                           std::function<double()> jitter)
    : calls_(std::make_unique<SpeechCalls>(loop, std::move(options), std::move(jitter))) {}

SpeechClient::~SpeechClient() {
  for (const auto& [id, call] : std::exchange(calls_->running, {})) call->stop();
}

SpeechId SpeechClient::transcribe(const Recording& recording, Transcribed done) {
  const auto call = std::make_shared<TranscribeCall>(*calls_, recording, std::move(done));
  Status checked = check(recording);
  if (checked) checked = call->open(recording.descriptor);
  return begin(*calls_, call, checked);
}

SpeechId SpeechClient::speak(std::string text, std::string voice, Bytes on_bytes, Spoken done) {
  if (voice.empty()) voice = calls_->options.voice;
  const auto call = std::make_shared<SpeakCall>(*calls_, std::move(text), std::move(voice),
                                                std::move(on_bytes), std::move(done));
  return begin(*calls_, call, call->check());
}

void SpeechClient::cancel(SpeechId call) {
  const auto found = calls_->running.find(call);
  if (found == calls_->running.end()) return;
  const std::shared_ptr<SpeechCall> ended = std::move(found->second);
  calls_->running.erase(found);
  ended->stop();
}

}  // namespace parlance::llm
