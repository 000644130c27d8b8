// Limits of reading audio, of recognising and of making speech. See speech/speech_programs.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace parlance::speech {

struct Options {
  /// Path of the program parlance-speech. Empty: the one beside the running program.
  std::string program;

  /// Longest audio that is taken. Raise transcribe_timeout with it.
  std::chrono::seconds audio_max{600};

  /// Address space of a process. Its libraries take about 200 MiB of it, the recogniser's model
  /// 120 MiB more.
  std::size_t memory_bytes_max = std::size_t{768} << 20;

  /// Wall time, and CPU time, for finding out about a file.
  std::chrono::seconds probe_timeout{5};

  /// Wall time, and CPU time, for recognising what is said in a file. The offline recogniser takes
  /// a quarter to the whole of the audio's own time.
  std::chrono::seconds transcribe_timeout{600};

  /// Wall time until the next piece of speech, and CPU time for all of it.
  std::chrono::seconds speak_timeout{120};

  /// Bytes of one text to speak.
  std::size_t text_bytes_max = std::size_t{64} << 10;

  /// Processes of a kind kept forked and confined, each waiting for one request; 0 forks them when
  /// they are asked for.
  int warm = 2;
};

}  // namespace parlance::speech
