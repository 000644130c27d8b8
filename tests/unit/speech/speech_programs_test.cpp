// The three tasks against the real program, and against ones that hang, die and lie.

#include "speech/speech_programs.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "speech/frame.h"
#include "tests/support/audio_files.h"
#include "tests/support/document_files.h"

namespace parlance::speech {
namespace {

using namespace std::chrono_literals;
using test::AudioFolder;

constexpr const char* kNoise = "-f lavfi -i anoisesrc=a=0.1:r=16000:d=3";
constexpr const char* kSilence = "-f lavfi -i anullsrc=r=16000:cl=mono -t 3";

/// Options under which each request starts its own child.
Options cold() {
  Options options;
  options.warm = 0;
  return options;
}

SpeechPrograms& programs() {
  static SpeechPrograms shared(cold());
  return shared;
}

Result<Clip> probe(const std::string& path) {
  const test::OpenFile file(path);
  return programs().probe(file.descriptor());
}

Clip clip_of(const std::string& path) {
  auto clip = probe(path);
  INFO(path << ": " << (clip ? "" : clip.error().detail));
  REQUIRE(clip.has_value());
  return *clip;
}

Error error_of(const std::string& path) {
  auto clip = probe(path);
  INFO(path);
  REQUIRE_FALSE(clip.has_value());
  return clip.error();
}

bool about(std::chrono::milliseconds actual, std::chrono::milliseconds expected) {
  return actual > expected - 200ms && actual < expected + 200ms;
}

std::string spoken(std::string_view text, std::string_view language) {
  std::string mp3;
  const Status status = programs().speak(text, language, [&](std::string_view bytes) {
    mp3 += bytes;
    return true;
  });
  INFO((status ? "" : status.error().detail));
  REQUIRE(status.has_value());
  return mp3;
}

constexpr std::string_view kHello = "echo 'parlance-speech 1'\n";

/// Forks as parlance-speech does; each child is the shell script that stands beside it.
constexpr const char* kForking = R"(#!/usr/bin/python3
import os, socket, sys
parent = socket.socket(fileno=0)
while True:
    _, ends, _, _ = socket.recv_fds(parent, 1, 1)
    if not ends:
        break
    child = os.fork()
    if child == 0:
        os.dup2(ends[0], 0)
        os.dup2(ends[0], 1)
        os.execv("/bin/sh", ["sh", os.path.dirname(sys.argv[0]) + "/child"])
    os.close(ends[0])
    pidfd = os.pidfd_open(child)
    socket.send_fds(parent, [b"f"], [pidfd])
    os.close(pidfd)
)";

/// Options with `program` in place of parlance-speech.
Options program_options(const AudioFolder& folder, const std::string& program) {
  Options options = cold();
  options.program = folder.write("program", program);
  std::filesystem::permissions(options.program, std::filesystem::perms::owner_all);
  options.probe_timeout = options.transcribe_timeout = options.speak_timeout = 1s;
  return options;
}

/// Options with a shell script in place of the children.
Options child_options(const AudioFolder& folder, const std::string& script) {
  folder.write("child", script + "\n");
  return program_options(folder, kForking);
}

struct SpeechError {
  Error probe;
  Error transcribe;
  Error speak;
};

SpeechError errors_with(const Options& options, const test::OpenFile& file) {
  SpeechPrograms programs(options);
  return {programs.probe(file.descriptor()).error(),
          programs.transcribe(file.descriptor(), "en").error(),
          programs.speak("Hello", "en", [](std::string_view) { return true; }).error()};
}

bool wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// The children of a process that are there or not reaped yet, in order.
std::vector<pid_t> children_of(const std::string& process) {
  std::vector<pid_t> found;
  std::error_code ended;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + process + "/task", ended)) {
    std::ifstream file(task.path() / "children");
    found.insert(found.end(), std::istream_iterator<pid_t>(file), {});
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<pid_t> programs_running() {
  return children_of("self");
}

/// Those that have been started after `others` were.
std::vector<pid_t> programs_besides(const std::vector<pid_t>& others) {
  std::vector<pid_t> found;
  const auto all = programs_running();
  std::set_difference(all.begin(), all.end(), others.begin(), others.end(),
                      std::back_inserter(found));
  return found;
}

/// The forked children of all programs of this process.
std::vector<pid_t> children() {
  std::vector<pid_t> found;
  for (const pid_t program : programs_running()) {
    const auto forked = children_of(std::to_string(program));
    found.insert(found.end(), forked.begin(), forked.end());
  }
  return found;
}

/// Empty once it is gone, which may be while it is read.
std::string status_of(pid_t process) {
  try {
    return test::read_file("/proc/" + std::to_string(process) + "/status");
  } catch (const std::exception&) {
    return {};
  }
}

bool is_confined(pid_t child) {
  return status_of(child).find("Seccomp:\t2") != std::string::npos;
}

/// Not even waiting to be reaped by whom it was left to.
bool is_gone(pid_t process) {
  const std::string status = status_of(process);
  return status.empty() || status.find("State:\tZ") != std::string::npos;
}

/// The one child that waits, once it does.
pid_t only_child() {
  REQUIRE(wait_until([] {
    const auto found = children();
    return found.size() == 1 && is_confined(found[0]);
  }));
  return children()[0];
}

}  // namespace

TEST_CASE("each of the six kinds of audio is known by its content") {
  const AudioFolder folder;
  struct Kind {
    const char* name;
    const char* coding;
    const char* type;
  };
  const Kind kind = GENERATE(
      Kind{"a.wav", "-c:a pcm_s16le", "audio/wav"}, Kind{"b.wav", "-c:a pcm_f32le", "audio/wav"},
      Kind{"c.wav", "-c:a pcm_mulaw", "audio/wav"}, Kind{"a.ogg", "-c:a libopus", "audio/ogg"},
      Kind{"b.ogg", "-c:a libvorbis", "audio/ogg"}, Kind{"c.ogg", "-c:a flac", "audio/ogg"},
      Kind{"a.mp3", "-c:a libmp3lame", "audio/mpeg"},
      Kind{"b.mp3", "-c:a libmp3lame -ar 8000 -id3v2_version 0 -write_xing 0", "audio/mpeg"},
      Kind{"c.mp3", "-c:a libmp3lame -ar 22050 -id3v2_version 0", "audio/mpeg"},
      Kind{"d.mp3", "-c:a libmp3lame -ar 44100 -ac 2 -q:a 4", "audio/mpeg"},
      Kind{"a.m4a", "-c:a aac", "audio/mp4"}, Kind{"b.m4a", "-c:a alac", "audio/mp4"},
      Kind{"c.mp4", "-c:a aac -movflags +frag_keyframe+empty_moov", "audio/mp4"},
      Kind{"a.webm", "-c:a libopus", "audio/webm"}, Kind{"b.webm", "-c:a libvorbis", "audio/webm"},
      Kind{"c.webm", "-c:a libopus -live 1", "audio/webm"},
      Kind{"a.flac", "-c:a flac", "audio/flac"});
  INFO(kind.name << " " << kind.coding);
  const Clip clip = clip_of(folder.make(kind.name, kNoise, kind.coding));
  CHECK(clip.type == kind.type);
  INFO(clip.duration.count());
  CHECK(about(clip.duration, 3s));
}

TEST_CASE("a file is read from its start, wherever its descriptor stands") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  REQUIRE(lseek(file.descriptor(), 1000, SEEK_SET) == 1000);
  CHECK(programs().probe(file.descriptor()).has_value());
  CHECK(lseek(file.descriptor(), 0, SEEK_CUR) == 1000);
}

TEST_CASE("a name and a picture of the cover change nothing") {
  const AudioFolder folder;
  folder.make("cover.png", "-f lavfi -i color=red:s=64x64", "-frames:v 1");
  const std::string path =
      folder.make("a.mp3", kNoise, "-i " + folder.path("cover.png") + " -map 0 -map 1 -c:v copy");
  CHECK(clip_of(folder.copy(path, "a.txt")).type == "audio/mpeg");
}

TEST_CASE("what is not audio is unsupported, and said to be what it is") {
  const AudioFolder folder;
  CHECK(error_of(folder.write("text.mp3", "This is only a text.\nIt has two lines.\n")).detail ==
        "The file is not audio of a kind that is taken; it looks like text/plain. WAV, Ogg, MP3, "
        "M4A, WebM and FLAC are.");
  const std::string png = folder.make("a.png", "-f lavfi -i color=red:s=64x64", "-frames:v 1");
  const Error error = error_of(folder.copy(png, "a.wav"));
  CHECK(error.code == Errc::unsupported);
  CHECK(error.detail.find("image/png") != std::string::npos);
  CHECK(error_of(folder.make("a.mkv", kNoise, "-c:a libopus")).code == Errc::unsupported);
  CHECK(error_of(folder.make("a.aiff", kNoise, "")).code == Errc::unsupported);
}

TEST_CASE("a zip archive with an MP3 behind it is a zip archive") {
  const AudioFolder folder;
  const std::string mp3 = test::read_file(folder.make("a.mp3", kNoise, ""));
  const std::string zip = test::make_zip({{"a.txt", "hidden text"}});
  CHECK(error_of(folder.write("b.mp3", zip + mp3)).code == Errc::unsupported);
}

TEST_CASE("an MP3 with a zip archive behind it is an MP3, as long as it plays") {
  const AudioFolder folder;
  const std::string mp3 = test::read_file(folder.make("a.mp3", kNoise, ""));
  const std::string zip = test::make_zip({{"a.txt", test::random_bytes(20'000)}});
  const Clip clip = clip_of(folder.write("b.mp3", mp3 + zip));
  CHECK(clip.type == "audio/mpeg");
  INFO(clip.duration.count());
  // What looks like a packet in it is counted.
  CHECK(clip.duration > 2800ms);
  CHECK(clip.duration < 4s);
}

TEST_CASE("a video is unsupported, and said to be one") {
  const AudioFolder folder;
  const std::string video = std::string("-f lavfi -i testsrc=d=1:s=64x64 ") + kNoise;
  const Error mp4 = error_of(folder.make("a.mp4", video, "-c:v mpeg4 -c:a aac -shortest"));
  CHECK(mp4.code == Errc::unsupported);
  CHECK(mp4.detail == "The file is a video; send its sound alone.");
  CHECK(error_of(folder.make("a.webm", video, "-c:v libvpx -c:a libopus -shortest")).code ==
        Errc::unsupported);
}

TEST_CASE("a coding that is not on the list is unsupported") {
  const AudioFolder folder;
  const Error error = error_of(folder.make("a.wav", kNoise, "-c:a adpcm_yamaha"));
  CHECK(error.code == Errc::unsupported);
  CHECK(error.detail.find("coding") != std::string::npos);
}

TEST_CASE("audio that is too long names the limit and its option") {
  const AudioFolder folder;
  const std::string path =
      folder.make("long.mp3", "-f lavfi -i anullsrc=r=8000:cl=mono -t 660", "-b:a 8k");
  const Error error = error_of(path);
  CHECK(error.code == Errc::too_large);
  CHECK(error.detail ==
        "The audio is longer than the 600 s that are allowed (limits.audio_seconds_max).");
}

TEST_CASE("a WAV that claims two hours is as long as what is in it") {
  const AudioFolder folder;
  std::string wav = test::read_file(folder.make("a.wav", kNoise, "-bitexact"));
  const std::uint32_t claimed = 2 * 3600 * 32'000;
  std::memcpy(wav.data() + wav.find("data") + 4, &claimed, sizeof claimed);
  CHECK(about(clip_of(folder.write("b.wav", wav)).duration, 3s));
}

TEST_CASE("an M4A whose times claim a second is as long as what is in it") {
  const AudioFolder folder;
  std::string m4a = test::read_file(
      folder.make("a.m4a", "-f lavfi -i anoisesrc=r=16000:d=30", "-c:a aac -use_editlist 0"));
  // The table of times: version, one entry, so many packets, each so long.
  const std::size_t table = m4a.find("stts");
  REQUIRE(table != std::string::npos);
  const std::size_t entries = static_cast<unsigned char>(m4a[table + 11]);
  for (std::size_t i = 0; i < entries; ++i) {
    std::memcpy(m4a.data() + table + 12 + 8 * i + 4, "\0\0\0\1", 4);
  }
  CHECK(about(clip_of(folder.write("b.m4a", m4a)).duration, 30s));
}

TEST_CASE("a file that is cut off plays as far as it goes") {
  const AudioFolder folder;
  const char* const name = GENERATE("a.wav", "a.mp3", "a.ogg", "a.webm", "a.m4a", "a.flac");
  const std::string whole = test::read_file(folder.make(name, kNoise, "-movflags +faststart"));
  const Clip clip = clip_of(folder.write("cut", whole.substr(0, whole.size() / 2)));
  INFO(name << " " << clip.duration.count());
  CHECK(clip.duration > 1s);
  CHECK(clip.duration < 2s);
}

TEST_CASE("a file that is cut off in its structure cannot be read") {
  const AudioFolder folder;
  const std::string whole = test::read_file(folder.make("a.m4a", kNoise, ""));
  CHECK(error_of(folder.write("cut", whole.substr(0, whole.size() / 2))).code ==
        Errc::unprocessable);
}

TEST_CASE("an empty file is unprocessable and said to be empty") {
  const AudioFolder folder;
  CHECK(error_of(folder.write("a.mp3", "")).detail == "The file is empty.");
}

TEST_CASE("noise behind the head of an MP3 or a WAV without sound is unprocessable") {
  const AudioFolder folder;
  const std::string mp3 = test::read_file(folder.make("a.mp3", kNoise, ""));
  CHECK(error_of(folder.write("b.mp3", mp3.substr(0, 60) + test::random_bytes(100'000))).code ==
        Errc::unprocessable);
  CHECK(error_of(folder.write("c.mp3", "\xff\xfb\x90\x64" + test::random_bytes(100'000))).code ==
        Errc::unprocessable);
  const std::string wav = test::read_file(folder.make("a.wav", kNoise, "-bitexact"));
  CHECK(error_of(folder.write("b.wav", wav.substr(0, 44))).code == Errc::unprocessable);
}

TEST_CASE("an Opus file whose packets are overwritten is unprocessable") {
  const AudioFolder folder;
  std::string ogg = test::read_file(folder.make("a.flac", kNoise, ""));
  const std::string noise = test::random_bytes(ogg.size() - 9'000);
  ogg.replace(9'000, noise.size(), noise);
  CHECK(error_of(folder.write("b.flac", ogg)).code == Errc::unprocessable);
}

TEST_CASE("what is no regular file is refused before a child sees it") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  CHECK(programs().probe(ends[0]).error().code == Errc::invalid_argument);
  CHECK(programs().probe(-1).error().code == Errc::invalid_argument);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("silence is transcribed as nothing") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.ogg", kSilence, "-c:a libopus"));
  const auto text = programs().transcribe(file.descriptor(), "en");
  INFO((text ? "" : text.error().detail));
  REQUIRE(text.has_value());
  CHECK(text->empty());
}

TEST_CASE("words that were spoken are recognised") {
  const AudioFolder folder;
  const test::OpenFile file(folder.speak("a.wav", "hello world. one two three four."));
  const auto text = programs().transcribe(file.descriptor(), "en-GB");
  INFO((text ? *text : text.error().detail));
  REQUIRE(text.has_value());
  // It is not good at voices like this one; one word will do.
  const bool found = text->find("world") != std::string::npos ||
                     text->find("two") != std::string::npos ||
                     text->find("three") != std::string::npos;
  CHECK(found);
}

TEST_CASE("Arabic is not recognised, and it is said what to do") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kSilence, ""));
  const auto text = programs().transcribe(file.descriptor(), "ar");
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == Errc::failed_precondition);
  CHECK(text.error().detail ==
        "The offline recogniser knows English only; configure a provider of transcriptions for "
        "other languages.");
}

TEST_CASE("transcribing refuses what a probe refuses") {
  const AudioFolder folder;
  const test::OpenFile text(folder.write("a.mp3", "This is only a text.\n"));
  CHECK(programs().transcribe(text.descriptor(), "en").error().code == Errc::unsupported);
  Options options = cold();
  options.audio_max = 2s;
  const test::OpenFile longer(folder.make("a.wav", kNoise, ""));
  CHECK(SpeechPrograms(options).transcribe(longer.descriptor(), "en").error().code ==
        Errc::too_large);
}

TEST_CASE("English and Arabic are spoken as MP3 of about their length") {
  const AudioFolder folder;
  const Clip english = clip_of(
      folder.write("en.mp3", spoken("Good morning, how are you today? I am very well.", "en-US")));
  CHECK(english.type == "audio/mpeg");
  CHECK(english.duration > 2s);
  CHECK(english.duration < 8s);
  const Clip arabic =
      clip_of(folder.write("ar.mp3", spoken("صباح الخير، كيف حالك اليوم؟ أنا بخير.", "ar")));
  CHECK(arabic.type == "audio/mpeg");
  CHECK(arabic.duration > 2s);
  CHECK(arabic.duration < 12s);
}

TEST_CASE("text of both languages and of others is spoken with either voice") {
  const AudioFolder folder;
  const char* const language = GENERATE("en", "ar");
  const std::string mp3 = spoken(
      "Hello مرحبا 123 привет 你好 שלום हिन्दी। Ω \xe2\x84\xa6 "
      "🙂 "
      "\x01 "
      "<break/> "
      "[[h@]] "
      "\xe2\x80\x8f",
      language);
  CHECK(clip_of(folder.write("a.mp3", mp3)).duration > 2s);
}

TEST_CASE("speech stops when its listener leaves") {
  std::string text;
  while (text.size() < 60'000) text += "This goes on and on. ";
  int pieces = 0;
  const Status status =
      programs().speak(text, "en", [&](std::string_view) { return ++pieces < 2; });
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().code == Errc::cancelled);
  CHECK(pieces == 2);
}

TEST_CASE("a text that cannot be spoken is refused") {
  const auto error = [](std::string_view text, std::string_view language) {
    const Status status = programs().speak(text, language, [](std::string_view) { return true; });
    REQUIRE_FALSE(status.has_value());
    return status.error();
  };
  CHECK(error(std::string(65'537, 'a'), "en").detail ==
        "The text to speak has 65537 bytes; at most 65536 are allowed.");
  CHECK(error("", "en").code == Errc::invalid_argument);
  CHECK(error(" \n", "ar").code == Errc::invalid_argument);
  CHECK(error("\xff", "en").code == Errc::invalid_argument);
  CHECK(error("Bonjour", "fr").code == Errc::failed_precondition);
}

TEST_CASE("a child that dies costs its request alone") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  const SpeechError died =
      errors_with(child_options(folder, std::string(kHello) + "kill -SEGV $$"), file);
  CHECK(died.probe.code == Errc::unprocessable);
  CHECK(died.probe.detail == "The audio is broken or cut off and cannot be read.");
  CHECK(died.transcribe.code == Errc::unprocessable);
  CHECK(died.speak.code == Errc::unavailable);
}

TEST_CASE("a child that hangs costs its time") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  const SpeechError hung =
      errors_with(child_options(folder, std::string(kHello) + "exec sleep 100"), file);
  CHECK(hung.probe.code == Errc::unprocessable);
  CHECK(hung.probe.detail == "It took longer than the 1 s that are allowed.");
  CHECK(hung.transcribe.code == Errc::deadline_exceeded);
  CHECK(hung.speak.code == Errc::deadline_exceeded);
}

TEST_CASE("a child that lies is not believed") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  // Head: a duration of 8 bytes, the bytes that follow in 4, the outcome, and 3 of zero.
  const std::string script = GENERATE(
      // No such outcome; more bytes than an answer has; a longer clip than is taken; another type.
      "printf '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\143\\0\\0\\0'",
      "printf '\\0\\0\\0\\0\\0\\0\\0\\0\\377\\377\\377\\0\\0\\0\\0\\0'",
      "printf '\\0\\0\\0\\1\\0\\0\\0\\0\\11\\0\\0\\0\\0\\0\\0\\0audio/wav'",
      "printf '\\0\\0\\0\\0\\0\\0\\0\\0\\11\\0\\0\\0\\0\\0\\0\\0audio/wow'",
      "printf '\\0\\0\\0\\0\\0\\0\\0\\0\\3\\0\\0\\0\\2\\0\\0\\0a b'");
  INFO(script);
  SpeechPrograms programs(
      child_options(folder, std::string(kHello) + "head -c 8 > /dev/null\n" + script));
  CHECK(programs.probe(file.descriptor()).error().detail ==
        "The audio is broken or cut off and cannot be read.");
}

TEST_CASE("a program that is missing or does not start is unavailable") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  const char* const program = GENERATE("#!/bin/sh\nexit 3\n", "#!/bin/sh\nhead -c 1\n");
  INFO(program);
  const SpeechError silent = errors_with(program_options(folder, program), file);
  CHECK(silent.probe.code == Errc::unavailable);
  CHECK(silent.transcribe.code == Errc::unavailable);
  CHECK(silent.speak.code == Errc::unavailable);
  Options options = cold();
  options.program = "/nothing";
  CHECK(SpeechPrograms(options).probe(file.descriptor()).error().code == Errc::unavailable);
}

TEST_CASE("a child that cannot confine itself is unavailable") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  const SpeechError bare = errors_with(child_options(folder, "exit 5"), file);
  CHECK(bare.probe.code == Errc::unavailable);
  CHECK(bare.speak.code == Errc::unavailable);
}

TEST_CASE("a child with too little time is ended and said to have had too little") {
  Options options = cold();
  options.speak_timeout = 1s;
  std::string text;
  while (text.size() < 60'000) text += "This goes on and on. ";
  const Status status =
      SpeechPrograms(options).speak(text, "en", [](std::string_view) { return true; });
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().code == Errc::deadline_exceeded);
}

TEST_CASE("children that wait serve one request each and are replaced") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  Options options;
  options.warm = 2;
  const auto others = programs_running();
  {
    SpeechPrograms programs(options);
    REQUIRE(wait_until([] { return children().size() == 2; }));
    const auto before = children();
    CHECK(programs.probe(file.descriptor()).has_value());
    CHECK(wait_until([&] { return children().size() == 2 && children() != before; }));
  }
  CHECK(programs_running() == others);
}

TEST_CASE("one program is started for a task, and its children end with it") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  Options options;
  options.warm = 1;
  std::optional<SpeechPrograms> programs(options);
  const pid_t child = only_child();
  const auto before = programs_running();
  CHECK(programs->probe(file.descriptor()).has_value());
  CHECK(programs_running() == before);
  CHECK(wait_until([child] { return is_gone(child); }));
  const pid_t next = only_child();
  programs.reset();
  CHECK(wait_until([next] { return is_gone(next); }));
}

TEST_CASE("a child that was killed while it waited costs nothing") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  Options options;
  options.warm = 1;
  SpeechPrograms programs(options);
  const pid_t child = only_child();
  kill(child, SIGKILL);
  REQUIRE(wait_until([child] { return is_gone(child); }));
  CHECK(programs.probe(file.descriptor()).has_value());
}

TEST_CASE("a program that was killed is started again") {
  const AudioFolder folder;
  const test::OpenFile file(folder.make("a.wav", kNoise, ""));
  Options options;
  options.warm = GENERATE(0, 2);
  const auto others = programs_running();
  SpeechPrograms programs(options);
  CHECK(programs.probe(file.descriptor()).has_value());
  const auto before = programs_besides(others);
  REQUIRE(before.size() == 1);
  const auto waiting = children();
  kill(before[0], SIGKILL);
  REQUIRE(wait_until([&] { return is_gone(before[0]); }));
  REQUIRE(wait_until([&] { return std::all_of(waiting.begin(), waiting.end(), is_gone); }));
  CHECK(programs.probe(file.descriptor()).has_value());
  CHECK(programs_besides(others) != before);
}

TEST_CASE("a child holds no descriptor of the server") {
  Options options;
  options.warm = 1;
  const SpeechPrograms programs(options);
  const std::filesystem::path open("/proc/" + std::to_string(only_child()) + "/fd");
  CHECK(std::distance(std::filesystem::directory_iterator(open), {}) == 3);
}

}  // namespace parlance::speech
