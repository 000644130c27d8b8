#include "actors/speech_loop.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "actors/worker_actor.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/nfc.h"
#include "base/thread.h"
#include "http/transfer_loop.h"
#include "llm/speech_client.h"
#include "speech/speech_programs.h"

namespace parlance::actors {
namespace {

using agent::Spoken;
using agent::Transcribed;

constexpr std::string_view kOfflineEar = "PocketSphinx (offline)";
constexpr std::string_view kOfflineVoice = "espeak-ng and LAME (offline)";
constexpr std::string_view kSpeechType = "audio/mpeg";
constexpr std::uint64_t kMp3HeadBytes = 3;
constexpr std::uint64_t kOfflineBytesPerMs = 8;  ///< 64 kbit/s, all of it: speech/mp3_encoder.h.

Error too_much_waits() {
  return {Errc::resource_exhausted,
          "too many voice messages are being heard or spoken; try again a little later"};
}

/// "pt" of "pt-BR": what providers take; empty where it is none.
std::string primary_language(std::string_view tag) {
  const std::string_view primary = tag.substr(0, tag.find_first_of("-_"));
  if (primary.size() < 2 || primary.size() > 3) return {};
  std::string out(primary);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// Which of the two offline voices speaks `text`: the Arabic one where most of its letters are.
std::string_view offline_language(std::string_view text) {
  std::size_t arabic = 0;
  std::size_t latin = 0;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte >= 0xd8 && byte <= 0xdb) ++arabic;  // First of two: U+0600 to U+06FF.
    if (byte < 0x80 && std::isalpha(byte) != 0) ++latin;
  }
  return arabic > latin ? "ar" : "en";
}

/// What the offline programs refuse is the message's own fault.
Error offline_error(Error error) {
  const bool of_message = error.code == Errc::failed_precondition ||
                          error.code == Errc::invalid_argument || error.code == Errc::too_large ||
                          error.code == Errc::unsupported;
  if (of_message) error.code = Errc::unprocessable;
  return error;
}

/// The offline voice passes over all letters but these; of a text that has none it says nothing.
bool has_speakable(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char byte) {
    return (byte >= 0xd8 && byte <= 0xdb) || (byte < 0x80 && std::isalnum(byte) != 0);
  });
}

/// For clients: what the system says of files is for the log.
Error cannot_keep(const Error& error) {
  log::error("a recording cannot be kept why={}", log::value(error.detail));
  return {Errc::unavailable, "the server cannot keep a recording now; try again later"};
}

/// Whether an ID3 tag or a frame's sync word is where mp3 begins. An answer is not looked into any
/// further: its maker is trusted, and a probe would cost each one some milliseconds.
bool begins_mp3(int file) {
  std::array<unsigned char, kMp3HeadBytes> head{};
  if (::pread(file, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size())) return false;
  const bool tag = head[0] == 'I' && head[1] == 'D' && head[2] == '3';
  return tag || (head[0] == 0xff && (head[1] & 0xe0) == 0xe0);
}

Status write_all(int file, std::uint64_t at, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      return Error{Errc::unavailable, fmt::format("speech cannot be written: {}",
                                                  std::generic_category().message(errno))};
    }
    at += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

class SpeechLoop::Impl {
 public:
  explicit Impl(Surroundings around)
      : around_(around),
        programs_(around.offline),
        transfers_(io_),
        client_(transfers_, around.provider),
        pool_(around.options.speech_workers),
        probe_pool_(around.options.probe_workers),
        work_(boost::asio::make_work_guard(io_)) {
    thread_ = std::thread([this] {
      name_thread("speech");
      io_.run();
    });
  }
  ~Impl() { stop(); }

  void stop();
  Call transcribe(SessionId session, Audio audio, std::string language, TranscribedReply reply);
  Call speak(SessionId session, std::string name, std::string text, std::string voice,
             GrownReply on_grown, SpokenReply reply);
  void cancel(Call call);
  void keep_upload_later(SessionId session, std::string name, std::shared_ptr<const UniqueFd> file,
                         KeptReply reply);

  const Surroundings around_;

 private:
  /// A call in progress. Whoever ends it takes it out of `calls_`, so that it ends once.
  struct Work {
    Call name = 0;
    SessionId session;
    std::atomic<bool> wanted{true};
    llm::SpeechId request = 0;  ///< The provider's; of the loop.

    // Of a Speak.
    std::string audio;
    std::string_view engine;
    std::shared_ptr<const UniqueFd> file;
    std::uint64_t bytes = 0;
    std::optional<Error> failed;
    GrownReply on_grown;
    SpokenReply on_spoken;

    // Of a Transcribe.
    TranscribedReply on_heard;
  };
  using SharedWork = std::shared_ptr<Work>;

  bool offline() const { return around_.provider.base_url.empty(); }
  Result<VoiceInput> keep_upload(const SessionId& session, std::string name, int file);
  SharedWork begin(SessionId session);
  bool end(const Work& work);
  bool run_offline(std::function<void()> work);
  void run_blocking(std::function<void()> work);
  void hear_offline(const SharedWork& work, const Audio& audio, const std::string& language);
  void hear(const SharedWork& work, const Audio& audio, const std::string& language);
  void speak_offline(const SharedWork& work, const std::string& text);
  void speak_online(const SharedWork& work, std::string text, std::string voice);
  bool take(Work& work, std::string_view bytes);
  void finish(Work& work, std::chrono::milliseconds duration);
  void end_hearing(const Work& work, Result<Transcribed> heard);
  void end_speaking(const Work& work, Result<Spoken> spoken);

  speech::SpeechPrograms programs_;
  boost::asio::io_context io_{1};
  http::TransferLoop transfers_;
  llm::SpeechClient client_;
  boost::asio::thread_pool pool_;  ///< Offline speech, and what ends any speech.
  std::atomic<std::size_t> waiting_{0};
  boost::asio::thread_pool probe_pool_;
  std::atomic<std::size_t> probes_waiting_{0};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::atomic<bool> stopped_{false};
  Mutex mutex_;
  Call last_ GUARDED_BY(mutex_) = 0;
  std::map<Call, SharedWork> calls_ GUARDED_BY(mutex_);
  std::thread thread_;
};

void SpeechLoop::Impl::stop() {
  if (stopped_.exchange(true)) return;
  {
    const MutexLock lock(mutex_);
    for (const auto& [name, work] : calls_) work->wanted = false;
    calls_.clear();
  }
  io_.stop();
  thread_.join();
  pool_.stop();
  probe_pool_.stop();
  pool_.join();
  probe_pool_.join();
}

SpeechLoop::Impl::SharedWork SpeechLoop::Impl::begin(SessionId session) {
  auto work = std::make_shared<Work>();
  work->session = std::move(session);
  const MutexLock lock(mutex_);
  work->name = ++last_;
  calls_.emplace(work->name, work);
  return work;
}

/// False: it was cancelled meanwhile, and nobody is to hear of it.
bool SpeechLoop::Impl::end(const Work& work) {
  const MutexLock lock(mutex_);
  return calls_.erase(work.name) > 0;
}

void SpeechLoop::Impl::cancel(Call call) {
  SharedWork work;
  {
    const MutexLock lock(mutex_);
    const auto found = calls_.find(call);
    if (found == calls_.end()) return;
    work = std::move(found->second);
    calls_.erase(found);
  }
  work->wanted = false;
  if (!offline()) transfers_.post([this, work] { client_.cancel(work->request); });
}

/// Blocking work, as much at once as there are threads.
bool SpeechLoop::Impl::run_offline(std::function<void()> work) {
  if (waiting_.fetch_add(1, std::memory_order_relaxed) >= around_.options.speech_waiting_max) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  run_blocking([this, work = std::move(work)] {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    work();
  });
  return true;
}

void SpeechLoop::Impl::run_blocking(std::function<void()> work) {
  boost::asio::post(pool_, [work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& error) {
      log::error("exception in speech what={}", log::value(error.what()));
    }
  });
}

// ---- Hearing ----

SpeechLoop::Call SpeechLoop::Impl::transcribe(SessionId session, Audio audio, std::string language,
                                              TranscribedReply reply) {
  const SharedWork work = begin(std::move(session));
  work->on_heard = std::move(reply);
  if (!offline()) {
    transfers_.post([this, work, audio = std::move(audio), language = std::move(language)] {
      hear(work, audio, language);
    });
  } else if (!run_offline([this, work, audio = std::move(audio), language = std::move(language)] {
               hear_offline(work, audio, language);
             })) {
    end_hearing(*work, too_much_waits());
  }
  return work->name;
}

void SpeechLoop::Impl::hear_offline(const SharedWork& work, const Audio& audio,
                                    const std::string& language) {
  if (!work->wanted) return;
  const auto file = around_.files.read(work->session, audio.name);
  if (!file) return end_hearing(*work, file.error());
  auto text = programs_.transcribe(file->file->get(), language,
                                   [&wanted = work->wanted] { return wanted.load(); });
  if (!text) return end_hearing(*work, offline_error(text.error()));
  end_hearing(*work, Transcribed{std::move(*text), std::string(kOfflineEar)});
}

void SpeechLoop::Impl::hear(const SharedWork& work, const Audio& audio,
                            const std::string& language) {
  if (!work->wanted) return;
  const auto file = around_.files.read(work->session, audio.name);
  if (!file) return end_hearing(*work, file.error());
  // Providers tell the format by the extension.
  const std::string extension = audio.type == "audio/mp4"    ? "m4a"
                                : audio.type == "audio/mpeg" ? "mp3"
                                                             : audio.type.substr(6);
  const llm::Recording recording{file->file->get(), "voice." + extension, audio.type,
                                 primary_language(language)};
  work->request = client_.transcribe(recording, [this, work](Result<llm::Transcript> heard) {
    if (!heard) return end_hearing(*work, heard.error());
    end_hearing(*work, Transcribed{std::move(heard->text), around_.provider.transcription_model});
  });
}

void SpeechLoop::Impl::end_hearing(const Work& work, Result<Transcribed> heard) {
  if (heard) heard->text = to_nfc(heard->text);  // As what users write.
  if (end(work)) work.on_heard(std::move(heard));
}

// ---- Speaking ----

SpeechLoop::Call SpeechLoop::Impl::speak(SessionId session, std::string name, std::string text,
                                         std::string voice, GrownReply on_grown,
                                         SpokenReply reply) {
  const SharedWork work = begin(std::move(session));
  work->audio = std::move(name);
  work->on_grown = std::move(on_grown);
  work->on_spoken = std::move(reply);
  if (!offline()) {
    transfers_.post([this, work, text = std::move(text), voice = std::move(voice)]() mutable {
      speak_online(work, std::move(text), std::move(voice));
    });
  } else if (!run_offline([this, work, text = std::move(text)] { speak_offline(work, text); })) {
    end_speaking(*work, too_much_waits());
  }
  return work->name;
}

/// Some more mp3, as it comes; false when it is to end.
bool SpeechLoop::Impl::take(Work& work, std::string_view bytes) {
  if (!work.wanted || work.failed) return false;
  if (const Status written = write_all(work.file->get(), work.bytes, bytes); !written) {
    work.failed = cannot_keep(written.error());
    return false;
  }
  const bool begins = work.bytes < kMp3HeadBytes;
  work.bytes += bytes.size();
  if (work.bytes < kMp3HeadBytes) return true;
  if (begins && !begins_mp3(work.file->get())) {
    work.failed = Error{Errc::unavailable, fmt::format("what {} makes is no mp3", work.engine)};
    return false;
  }
  work.on_grown({work.audio, work.file, work.bytes, std::string(work.engine)});
  return true;
}

void SpeechLoop::Impl::speak_offline(const SharedWork& work, const std::string& text) {
  if (!work->wanted) return;
  if (!has_speakable(text)) {
    return end_speaking(*work, Error{Errc::unprocessable,
                                     "The offline voice speaks English and Arabic only, and the "
                                     "answer has no letters of either; configure a provider of "
                                     "speech for other languages."});
  }
  auto file = around_.files.create();
  if (!file) return end_speaking(*work, cannot_keep(file.error()));
  work->engine = kOfflineVoice;
  work->file = std::make_shared<const UniqueFd>(std::move(*file));
  const Status spoken =
      programs_.speak(text, offline_language(text),
                      [this, work](std::string_view mp3) { return take(*work, mp3); });
  if (work->failed) return end_speaking(*work, *work->failed);
  if (!spoken) return end_speaking(*work, offline_error(spoken.error()));
  finish(*work, std::chrono::milliseconds(work->bytes / kOfflineBytesPerMs));
}

void SpeechLoop::Impl::speak_online(const SharedWork& work, std::string text, std::string voice) {
  if (!work->wanted) return;
  auto file = around_.files.create();
  if (!file) return end_speaking(*work, cannot_keep(file.error()));
  work->engine = around_.provider.speech_model;
  work->file = std::make_shared<const UniqueFd>(std::move(*file));
  work->request = client_.speak(
      std::move(text), std::move(voice),
      [this, work](std::string_view mp3) {
        if (take(*work, mp3) || !work->failed) return;
        client_.cancel(work->request);
        end_speaking(*work, *work->failed);
      },
      [this, work](const Status& spoken) {
        if (!spoken) return end_speaking(*work, spoken.error());
        run_blocking([this, work] { finish(*work, {}); });
      });
}

/// Makes the speech durable. Blocks.
void SpeechLoop::Impl::finish(Work& work, std::chrono::milliseconds duration) {
  if (!work.wanted) return;
  if (work.bytes < kMp3HeadBytes) {
    return end_speaking(
        work, Error{Errc::unavailable, fmt::format("what {} made is no mp3", work.engine)});
  }
  Audio audio{work.audio, std::string(kSpeechType), work.bytes, duration};
  if (const Status kept = around_.files.keep(work.file->get(), work.session, audio); !kept) {
    return end_speaking(work, cannot_keep(kept.error()));
  }
  if (!work.wanted) {  // The session may be erased by now.
    const Status removed = around_.files.remove(work.session, work.audio);
    if (!removed) log::warn("a recording stays why={}", log::value(removed.error().detail));
    return;
  }
  end_speaking(work, Spoken{std::move(audio), std::string(work.engine)});
}

void SpeechLoop::Impl::end_speaking(const Work& work, Result<Spoken> spoken) {
  if (end(work)) work.on_spoken(std::move(spoken));
}

// ---- Uploads ----

Result<VoiceInput> SpeechLoop::Impl::keep_upload(const SessionId& session, std::string name,
                                                 int file) {
  storage::AudioFiles::begin_to_keep(file);
  const auto clip = programs_.probe(file);
  if (!clip) return clip.error();
  const off_t bytes = ::lseek(file, 0, SEEK_END);
  VoiceInput voice;
  voice.audio = {std::move(name), clip->type, static_cast<std::uint64_t>(std::max<off_t>(bytes, 0)),
                 clip->duration};
  voice.digest = sha256_of_file(file);
  if (voice.digest.empty()) return Error{Errc::unavailable, "the recording cannot be read"};
  if (const Status kept = around_.files.keep(file, session, voice.audio); !kept) {
    return cannot_keep(kept.error());
  }
  return voice;
}

void SpeechLoop::Impl::keep_upload_later(SessionId session, std::string name,
                                         std::shared_ptr<const UniqueFd> file, KeptReply reply) {
  if (probes_waiting_.fetch_add(1, std::memory_order_relaxed) >=
      around_.options.probes_waiting_max) {
    probes_waiting_.fetch_sub(1, std::memory_order_relaxed);
    return reply(Error{Errc::unavailable, "too many recordings wait to be looked into; try again"});
  }
  boost::asio::post(probe_pool_, [this, session = std::move(session), name = std::move(name),
                                  file = std::move(file), reply = std::move(reply)] {
    probes_waiting_.fetch_sub(1, std::memory_order_relaxed);
    Result<VoiceInput> kept = Error{Errc::unavailable, "the server has no memory for that now"};
    try {
      kept = keep_upload(session, name, file->get());
    } catch (const std::exception& error) {
      log::error("exception in a probe what={}", log::value(error.what()));
    }
    reply(std::move(kept));
  });
}

// ---- From any thread ----

SpeechLoop::SpeechLoop(Surroundings surroundings) : impl_(std::make_unique<Impl>(surroundings)) {}
SpeechLoop::~SpeechLoop() = default;

void SpeechLoop::stop() {
  impl_->stop();
}

SpeechLoop::Call SpeechLoop::transcribe(SessionId session, Audio audio, std::string language,
                                        TranscribedReply reply) {
  return impl_->transcribe(std::move(session), std::move(audio), std::move(language),
                           std::move(reply));
}

SpeechLoop::Call SpeechLoop::speak(SessionId session, std::string name, std::string text,
                                   std::string voice, GrownReply on_grown, SpokenReply reply) {
  return impl_->speak(std::move(session), std::move(name), std::move(text), std::move(voice),
                      std::move(on_grown), std::move(reply));
}

void SpeechLoop::cancel(Call call) {
  impl_->cancel(call);
}

void SpeechLoop::erase(const SessionId& session, const SessionGateway::StatusReply& reply) {
  const bool taken = impl_->around_.workers.run(
      [impl = impl_.get(), session, reply] { reply(impl->around_.files.erase(session)); });
  if (taken) return;
  reply(Error{Errc::unavailable, "too much waits for the workers to remove recordings now"});
}

const storage::AudioFiles& SpeechLoop::files() const noexcept {
  return impl_->around_.files;
}

void SpeechLoop::keep_upload(SessionId session, std::string name,
                             std::shared_ptr<const UniqueFd> file, KeptReply reply) {
  impl_->keep_upload_later(std::move(session), std::move(name), std::move(file), std::move(reply));
}

}  // namespace parlance::actors
