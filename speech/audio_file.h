// An audio file that a stranger sent, taken apart into packets by libav. libmagic says what it is,
// and only the demuxer of that kind looks at it: no name, no guess of libav, no other file and no
// network. Runs in the confined process, on its only thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/system/result.hpp>

#include "confined/type_detector.h"
#include "speech/frame.h"

struct AVFormatContext;
struct AVIOContext;
struct AVPacket;
struct AVStream;

namespace parlance::speech {

/// A value, or why there is none (never `done` or `piece`).
template <class T>
using Heard = boost::system::result<T, Outcome>;

class AudioFile {
 public:
  enum class Next : unsigned char { packet, end, broken };

  /// Reads `size` bytes of `descriptor` by position; both are the caller's until the file is gone.
  /// `type` becomes the MIME type, one of six, or with not_audio what the file is instead.
  /// Refuses: empty, not_audio, has_video, no_audio, broken.
  static Heard<AudioFile> open(const confined::TypeDetector& detector, int descriptor,
                               std::uint64_t size, std::string& type);

  AudioFile(AudioFile&&) noexcept;
  ~AudioFile();

  /// The next packet of the audio stream.
  Next read(AVPacket& packet);

  /// The audio stream: the best one, where there are several.
  const AVStream& stream() const;

 private:
  struct Bytes;
  struct CloseInput {
    void operator()(AVFormatContext* format) const;
  };
  struct FreeInput {
    void operator()(AVIOContext* input) const;
  };
  AudioFile();
  Outcome open_as(const char* demuxer, int descriptor, std::uint64_t size);
  Outcome choose_stream();

  // In this order: the format reads through the input, which reads the bytes.
  std::unique_ptr<Bytes> bytes_;
  std::unique_ptr<AVIOContext, FreeInput> input_;
  std::unique_ptr<AVFormatContext, CloseInput> format_;
  int stream_ = -1;
};

}  // namespace parlance::speech
