// parlance-speech: reads, recognises and makes speech for the server, confined. Started by
// speech/child_pool.cpp, with one socket as standard input and output. It loads what its task needs
// and then only forks (confined/fork_loop.h); each child confines itself, serves one request and
// ends, see speech/frame.h. Usage:
// parlance-speech probe|transcribe|speak-en|speak-ar MEMORY_BYTES CPU_SECONDS AUDIO_SECONDS
// TEXT_BYTES

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include <unistd.h>

#include "base/thread.h"
#include "confined/confinement.h"
#include "confined/descriptor_io.h"
#include "confined/fork_loop.h"
#include "speech/audio_probe.h"
#include "speech/frame.h"
#include "speech/mp3_encoder.h"
#include "speech/recognizer.h"
#include "speech/synthesizer.h"
#include "speech/transcription.h"

namespace {

using namespace parlance;
using namespace parlance::speech;
using confined::read_all;
using confined::TypeDetector;
using confined::write_all;

constexpr int kBadUsage = 2;
constexpr int kNotLoaded = 3;
constexpr int kBadRequest = 4;
constexpr int kNotConfined = 5;

// So that what is made of ten years of audio still fits its numbers.
constexpr std::uint64_t kSecondsCap = 315'360'000;

struct Arguments {
  Task task = Task::probe;
  std::uint64_t memory_bytes = 0;
  std::uint64_t cpu_seconds = 0;
  std::uint64_t audio_seconds = 0;
  std::uint64_t text_bytes = 0;
};

bool read_arguments(int argc, char** argv, Arguments& arguments) {
  if (argc != 6) return false;
  const auto* const task =
      std::find(kTaskNames.begin(), kTaskNames.end(), std::string_view(argv[1]));
  if (task == kTaskNames.end()) return false;
  arguments.task = static_cast<Task>(task - kTaskNames.begin());
  std::uint64_t* const places[] = {&arguments.memory_bytes, &arguments.cpu_seconds,
                                   &arguments.audio_seconds, &arguments.text_bytes};
  for (int i = 0; i < 4; ++i) {
    const std::string_view text = argv[i + 2];
    const auto read = std::from_chars(text.data(), text.data() + text.size(), *places[i]);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return false;
  }
  arguments.audio_seconds = std::min(arguments.audio_seconds, kSecondsCap);
  return true;
}

/// What a task needs, loaded before the first fork.
struct Loaded {
  std::optional<TypeDetector> detector;
  std::optional<Recognizer> recognizer;
  std::optional<Synthesizer> synthesizer;
  std::optional<Mp3Encoder> encoder;
};

template <class T>
Status keep(std::optional<T>& place, Result<T> loaded) {
  if (!loaded) return loaded.error();
  place.emplace(std::move(*loaded));
  return {};
}

Status load(Task task, Loaded& loaded) {
  if (task == Task::speak_english || task == Task::speak_arabic) {
    auto status =
        keep(loaded.synthesizer, Synthesizer::load(task == Task::speak_arabic ? "ar" : "en"));
    if (status) status = keep(loaded.encoder, Mp3Encoder::open(loaded.synthesizer->rate()));
    return status;
  }
  auto status = keep(loaded.detector, TypeDetector::load());
  if (status) prepare_probe(*loaded.detector);
  if (status && task == Task::transcribe) status = keep(loaded.recognizer, Recognizer::load());
  return status;
}

int answer(Outcome outcome, std::string_view bytes, std::chrono::milliseconds duration = {}) {
  bytes = bytes.substr(0, kAnswerBytesMax);
  AnswerHead head;
  head.outcome = outcome;
  head.duration_ms = duration.count();
  head.bytes = static_cast<std::uint32_t>(bytes.size());
  const bool written = write_all(STDOUT_FILENO, &head, sizeof head) &&
                       write_all(STDOUT_FILENO, bytes.data(), bytes.size());
  return written ? 0 : kBadRequest;
}

std::string_view short_type(const std::string& type) {
  return std::string_view(type).substr(0, kTypeBytesMax);
}

int probe(const Loaded& loaded, int file, std::uint64_t size, std::chrono::seconds audio_max) {
  const Probe found = probe_audio(*loaded.detector, file, size, audio_max);
  return answer(found.outcome, short_type(found.type), found.duration);
}

int transcribe(Loaded& loaded, int file, std::uint64_t size, std::chrono::seconds audio_max) {
  const Transcription heard =
      transcribe_audio(*loaded.recognizer, *loaded.detector, file, size, audio_max);
  if (heard.outcome != Outcome::done) return answer(heard.outcome, short_type(heard.type));
  return answer(heard.text.size() <= kAnswerBytesMax ? Outcome::done : Outcome::too_complex,
                heard.text);
}

int speak(Loaded& loaded, std::uint64_t size) {
  std::string text(size, '\0');
  if (!read_all(STDIN_FILENO, text.data(), text.size())) return kBadRequest;
  Mp3Encoder& encoder = *loaded.encoder;
  bool heard = true;
  const auto send = [&](std::string_view mp3) {
    for (; heard && !mp3.empty();
         mp3.remove_prefix(std::min<std::size_t>(mp3.size(), kAnswerBytesMax))) {
      heard = answer(Outcome::piece, mp3) == 0;
    }
    return heard;
  };
  const bool spoken = loaded.synthesizer->speak(
      text, [&](std::span<const std::int16_t> samples) { return send(encoder.encode(samples)); });
  if (spoken) send(encoder.finish());
  return heard ? answer(spoken ? Outcome::done : Outcome::failed, {}) : kBadRequest;
}

int serve(const Arguments& arguments, Loaded& loaded) {
  RequestHead request;
  int file = -1;
  if (!confined::read_all_with_descriptor(STDIN_FILENO, &request, sizeof request, file)) return 0;
  const std::chrono::seconds audio_max(arguments.audio_seconds);
  const bool speaks = arguments.task == Task::speak_english || arguments.task == Task::speak_arabic;
  if (speaks ? request.bytes > arguments.text_bytes : file < 0) return kBadRequest;
  try {
    if (speaks) return speak(loaded, request.bytes);
    if (arguments.task == Task::probe) return probe(loaded, file, request.bytes, audio_max);
    return transcribe(loaded, file, request.bytes, audio_max);
  } catch (const std::bad_alloc&) {
    return answer(Outcome::too_complex, {});
  }
}

/// A child's life.
int confine_and_serve(const Arguments& arguments, Loaded& loaded) {
  const Status confined =
      confined::confine({arguments.memory_bytes, std::chrono::seconds(arguments.cpu_seconds), 1});
  if (!confined) return kNotConfined;
  if (!write_all(STDOUT_FILENO, kReady.data(), kReady.size())) return 0;
  return serve(arguments, loaded);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read_arguments(argc, argv, arguments)) {
    std::fputs("usage: parlance-speech TASK MEMORY_BYTES CPU_SECONDS AUDIO_SECONDS TEXT_BYTES\n",
               stderr);
    return kBadUsage;
  }
  // It takes seconds, which the server's cores must not feel.
  if (arguments.task == Task::transcribe) become_patient_thread();
  Loaded loaded;
  const Status ready = load(arguments.task, loaded);
  if (!ready) {
    std::fprintf(stderr, "parlance-speech: %s\n", ready.error().detail.c_str());
    return kNotLoaded;
  }
  confined::serve_forks([&] { return confine_and_serve(arguments, loaded); });
  _exit(0);
}
