#include "speech/audio_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>

#include <unistd.h>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
}

#include "speech/audio_decoder.h"

namespace parlance::speech {
namespace {

// All that tells the kinds of audio apart; the time of libmagic's searches grows with the bytes.
constexpr std::size_t kHeadBytes = 16 << 10;
constexpr int kInputBytes = 32 << 10;
// What libav may read and decode ahead to learn a stream's rate and channels.
constexpr std::int64_t kProbeBytes = 256 << 10;
constexpr std::int64_t kAnalyzeUs = AV_TIME_BASE / 2;
constexpr int kStreamsMax = 16;

struct Kind {
  std::string_view found;  ///< What libmagic says.
  const char* type;
  const char* demuxer;
};
constexpr std::array<Kind, 13> kKinds = {{{"audio/x-wav", "audio/wav", "wav"},
                                          {"audio/wav", "audio/wav", "wav"},
                                          {"audio/ogg", "audio/ogg", "ogg"},
                                          {"video/ogg", "audio/ogg", "ogg"},
                                          {"application/ogg", "audio/ogg", "ogg"},
                                          {"audio/mpeg", "audio/mpeg", "mp3"},
                                          {"audio/x-m4a", "audio/mp4", "mov"},
                                          {"audio/mp4", "audio/mp4", "mov"},
                                          {"video/mp4", "audio/mp4", "mov"},
                                          {"video/webm", "audio/webm", "matroska"},
                                          {"audio/webm", "audio/webm", "matroska"},
                                          {"audio/flac", "audio/flac", "flac"},
                                          {"audio/x-flac", "audio/flac", "flac"}}};

std::string head_of(int descriptor, std::uint64_t size) {
  std::string head(std::min<std::uint64_t>(size, kHeadBytes), '\0');
  std::size_t filled = 0;
  while (filled < head.size()) {
    const ssize_t got =
        pread(descriptor, head.data() + filled, head.size() - filled, static_cast<off_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  head.resize(filled);
  return head;
}

/// A file that names another one is not followed.
int refuse_other_files(AVFormatContext* /*format*/, AVIOContext** /*input*/, const char* /*url*/,
                       int /*flags*/, AVDictionary** /*options*/) {
  return AVERROR(EPERM);
}

bool is_picture(const AVStream& stream) {
  return (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
}

bool has_video(const AVFormatContext& format) {
  return std::any_of(
      format.streams, format.streams + format.nb_streams, [](const AVStream* stream) {
        return stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !is_picture(*stream);
      });
}

}  // namespace

/// Where libav reads from.
struct AudioFile::Bytes {
  int descriptor;
  std::int64_t size;
  std::int64_t position = 0;

  static int read(void* opaque, std::uint8_t* to, int wanted) {
    auto& bytes = *static_cast<Bytes*>(opaque);
    const auto left = std::min<std::int64_t>(wanted, bytes.size - bytes.position);
    if (left <= 0) return AVERROR_EOF;
    ssize_t got = 0;
    do {
      got = pread(bytes.descriptor, to, static_cast<std::size_t>(left), bytes.position);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return AVERROR(errno);
    if (got == 0) return AVERROR_EOF;
    bytes.position += got;
    return static_cast<int>(got);
  }

  static std::int64_t seek(void* opaque, std::int64_t offset, int whence) {
    auto& bytes = *static_cast<Bytes*>(opaque);
    switch (whence & ~AVSEEK_FORCE) {
      case AVSEEK_SIZE:
        return bytes.size;
      case SEEK_SET:
        break;
      case SEEK_CUR:
        offset += bytes.position;
        break;
      case SEEK_END:
        offset += bytes.size;
        break;
      default:
        return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    return bytes.position = offset;
  }
};

void AudioFile::CloseInput::operator()(AVFormatContext* format) const {
  avformat_close_input(&format);
}

void AudioFile::FreeInput::operator()(AVIOContext* input) const {
  // The buffer is libav's own by now, which may have exchanged it.
  av_freep(&input->buffer);
  avio_context_free(&input);
}

AudioFile::AudioFile() = default;
AudioFile::AudioFile(AudioFile&&) noexcept = default;
AudioFile::~AudioFile() = default;

Heard<AudioFile> AudioFile::open(const confined::TypeDetector& detector, int descriptor,
                                 std::uint64_t size, std::string& type) {
  if (size == 0) return Outcome::empty;
  if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Outcome::broken;
  }
  type = detector.type_of(head_of(descriptor, size));
  const auto* const kind = std::find_if(kKinds.begin(), kKinds.end(),
                                        [&](const Kind& each) { return each.found == type; });
  if (kind == kKinds.end()) return Outcome::not_audio;
  type = kind->type;

  AudioFile file;
  Outcome outcome = file.open_as(kind->demuxer, descriptor, size);
  if (outcome == Outcome::done) outcome = file.choose_stream();
  if (outcome != Outcome::done) return outcome;
  return file;
}

Outcome AudioFile::open_as(const char* demuxer, int descriptor, std::uint64_t size) {
  av_log_set_level(AV_LOG_QUIET);
  bytes_ = std::make_unique<Bytes>(Bytes{descriptor, static_cast<std::int64_t>(size)});
  auto* const buffer = static_cast<std::uint8_t*>(av_malloc(kInputBytes));
  if (buffer == nullptr) return Outcome::too_complex;
  input_.reset(avio_alloc_context(buffer, kInputBytes, 0, bytes_.get(), &Bytes::read, nullptr,
                                  &Bytes::seek));
  if (!input_) {
    av_free(buffer);
    return Outcome::too_complex;
  }
  AVFormatContext* format = avformat_alloc_context();
  if (format == nullptr) return Outcome::too_complex;
  format->pb = input_.get();
  format->io_open = &refuse_other_files;
  format->probesize = kProbeBytes;
  format->max_analyze_duration = kAnalyzeUs;
  format->max_streams = kStreamsMax;
  // libav takes PCM for anything else that may hide in it, and would look for long.
  format->max_probe_packets = 1;
  format->protocol_whitelist = av_strdup("none");
  format->format_whitelist = av_strdup("wav,ogg,mp3,mov,mp4,m4a,matroska,webm,flac");
  // On failure it frees the format, not the input.
  const int opened = avformat_open_input(&format, nullptr, av_find_input_format(demuxer), nullptr);
  if (opened < 0) return opened == AVERROR(ENOMEM) ? Outcome::too_complex : Outcome::broken;
  format_.reset(format);
  // Before libav looks for the details of streams: those of video are not worth the risk.
  return has_video(*format) ? Outcome::has_video : Outcome::done;
}

Outcome AudioFile::choose_stream() {
  format_->codec_whitelist = av_strdup(kDecoders);
  const int found = avformat_find_stream_info(format_.get(), nullptr);
  if (found < 0) return found == AVERROR(ENOMEM) ? Outcome::too_complex : Outcome::broken;
  if (has_video(*format_)) return Outcome::has_video;
  stream_ = av_find_best_stream(format_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (stream_ < 0) return Outcome::no_audio;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (static_cast<int>(i) != stream_) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  return Outcome::done;
}

AudioFile::Next AudioFile::read(AVPacket& packet) {
  for (;;) {
    const int got = av_read_frame(format_.get(), &packet);
    if (got == AVERROR_EOF) return input_->error < 0 ? Next::broken : Next::end;
    if (got < 0) return Next::broken;
    if (packet.stream_index == stream_) return Next::packet;
    av_packet_unref(&packet);
  }
}

const AVStream& AudioFile::stream() const {
  return *format_->streams[stream_];
}

}  // namespace parlance::speech
