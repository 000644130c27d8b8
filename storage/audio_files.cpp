#include "storage/audio_files.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/uuid.h"

namespace parlance::storage {
namespace {

namespace fs = std::filesystem;

struct Kind {
  std::string_view type;
  std::string_view extension;
};
constexpr int kLinkTries = 4;
constexpr std::array<Kind, 6> kKinds = {{{"audio/mpeg", "mp3"},
                                         {"audio/ogg", "ogg"},
                                         {"audio/webm", "webm"},
                                         {"audio/wav", "wav"},
                                         {"audio/mp4", "m4a"},
                                         {"audio/flac", "flac"}}};

Error system_error(std::string_view what) {
  return {Errc::unavailable, fmt::format("{}: {}", what, std::generic_category().message(errno))};
}

std::string file_name(std::string_view name, std::string_view extension) {
  return fmt::format("{}.{}", name, extension);
}

std::string_view extension_of(std::string_view type) {
  for (const Kind& kind : kKinds) {
    if (kind.type == type) return kind.extension;
  }
  return "bin";
}

Error no_recording() {
  return {Errc::not_found, "there is no such recording, or it is not kept any more"};
}

}  // namespace

AudioFiles::AudioFiles(std::string path, UniqueFd directory)
    : path_(std::move(path)), directory_(std::move(directory)) {}

Result<std::unique_ptr<AudioFiles>> AudioFiles::open(const std::string& directory) {
  if (::mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return system_error("making the folder of recordings");
  }
  UniqueFd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return system_error("opening the folder of recordings");
  return std::unique_ptr<AudioFiles>(new AudioFiles(directory, std::move(opened)));
}

Result<UniqueFd> AudioFiles::create() const {
  UniqueFd file(::openat(directory_.get(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file) return system_error("making a file for a recording");
  return file;
}

Result<AudioFiles::Folder> AudioFiles::link(int file, const SessionId& session,
                                            const std::string& name) const {
  const std::string unnamed = fmt::format("/proc/self/fd/{}", file);
  bool made = false;
  // The folder of a session goes with its last recording, perhaps right now.
  for (int tries = 0; tries < kLinkTries; ++tries) {
    made = ::mkdirat(directory_.get(), session.text.c_str(), S_IRWXU) == 0 || made;
    if (!made && errno != EEXIST) break;
    UniqueFd folder(
        ::openat(directory_.get(), session.text.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder &&
        ::linkat(AT_FDCWD, unnamed.c_str(), folder.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      return Folder{std::move(folder), made};
    }
    // A crash has left one before its message knew of it.
    if (folder && errno == EEXIST) ::unlinkat(folder.get(), name.c_str(), 0);
    if (errno != ENOENT && errno != EEXIST) break;
  }
  return system_error("naming a recording");
}

void AudioFiles::begin_to_keep(int file) {
  ::sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
}

Status AudioFiles::keep(int file, const SessionId& session, const Audio& audio) const {
  const std::string name = file_name(audio.name, extension_of(audio.type));
  const auto folder = link(file, session, name);
  if (!folder) return folder.error();
  // The first one waits for the disk; what the others ask for is then done already, mostly.
  if (::fsync(file) != 0 || ::fsync(folder->descriptor.get()) != 0 ||
      (folder->made && ::fsync(directory_.get()) != 0)) {
    const Error error = system_error("making a recording durable");
    ::unlinkat(folder->descriptor.get(), name.c_str(), 0);
    return error;
  }
  return {};
}

Result<OpenAudio> AudioFiles::read(const SessionId& session, std::string_view name) const {
  if (!valid_session_id(session.text) || !is_uuid(name)) return no_recording();
  for (const Kind& kind : kKinds) {
    const std::string path = session.text + '/' + file_name(name, kind.extension);
    UniqueFd file(::openat(directory_.get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file && errno == ENOENT) continue;
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) return system_error("opening a recording");
    return OpenAudio{std::make_shared<const UniqueFd>(std::move(file)),
                     static_cast<std::uint64_t>(status.st_size), kind.type};
  }
  return no_recording();
}

Status AudioFiles::remove(const SessionId& session, std::string_view name) const {
  if (!valid_session_id(session.text) || !is_uuid(name)) return {};
  for (const Kind& kind : kKinds) {
    const std::string path = session.text + '/' + file_name(name, kind.extension);
    if (::unlinkat(directory_.get(), path.c_str(), 0) == 0) break;
    if (errno != ENOENT) return system_error("removing a recording");
  }
  // The last one takes the folder with it.
  ::unlinkat(directory_.get(), session.text.c_str(), AT_REMOVEDIR);
  return {};
}

Status AudioFiles::erase(const SessionId& session) const {
  if (!valid_session_id(session.text)) return {};
  std::error_code error;
  fs::remove_all(fs::path(path_) / session.text, error);
  if (error) {
    return Error{Errc::unavailable, "removing a session's recordings: " + error.message()};
  }
  return {};
}

Status AudioFiles::sweep(std::chrono::milliseconds age_max,
                         const std::function<bool(const SessionId&)>& is_there,
                         const std::function<bool()>& go_on) const {
  std::optional<Error> failed;
  std::error_code error;
  for (fs::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
    if (!go_on()) break;
    const std::string session = it->path().filename().string();
    if (!valid_session_id(session)) continue;
    const Status swept = is_there({session}) ? sweep_session(session, age_max) : erase({session});
    if (!swept) failed = swept.error();
  }
  if (error) return Error{Errc::unavailable, "listing recordings: " + error.message()};
  if (failed) return *failed;
  return {};
}

Status AudioFiles::sweep_session(const std::string& name, std::chrono::milliseconds age_max) const {
  if (age_max.count() == 0) return {};
  const auto oldest = fs::file_time_type::clock::now() - age_max;
  std::error_code error;
  bool empty = true;
  for (fs::directory_iterator it(fs::path(path_) / name, error), end; !error && it != end;
       it.increment(error)) {
    const auto written = it->last_write_time(error);
    if (error) break;
    if (written >= oldest) {
      empty = false;
      continue;
    }
    fs::remove(it->path(), error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Error{Errc::unavailable, "removing old recordings: " + error.message()};
  }
  if (empty) ::unlinkat(directory_.get(), name.c_str(), AT_REMOVEDIR);  // Fails for a new one.
  return {};
}

}  // namespace parlance::storage
