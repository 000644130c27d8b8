#include "net/voice_endpoints.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/log.h"
#include "dialects/platform.h"
#include "dialects/voice_form.h"
#include "net/await_reply.h"
#include "net/http_endpoints.h"
#include "net/spooled_body.h"
#include "net/voice_messages.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace platform = dialects::platform;
using dialects::Problem;

/// What a form says, and its recording.
struct Recording {
  platform::VoiceForm form;
  std::shared_ptr<const UniqueFd> file;
};
using ReadForm = std::variant<Recording, Problem>;

Problem unavailable(std::string detail) {
  return dialects::to_problem({Errc::unavailable, std::move(detail)});
}

/// Blocks on the disk.
ReadForm read_form(const UniqueFd& body, std::uint64_t bytes, const std::string& content_type,
                   const std::string& directory, std::uint64_t bytes_max) {
  Result<UniqueFd> file = open_unnamed_file(directory);
  if (!file) {
    log::error("a voice message cannot be kept reason={}", log::value(file.error().detail));
    return unavailable("the server cannot keep the recording now; try again later");
  }
  auto parsed = platform::parse_voice_form(body.get(), bytes, content_type, file->get());
  if (auto* problem = std::get_if<Problem>(&parsed)) {
    if (problem->status == 503) {
      log::error("a voice message cannot be kept reason={}", log::value(problem->detail));
    }
    return std::move(*problem);
  }
  if (const auto& form = std::get<platform::VoiceForm>(parsed); form.file_bytes > bytes_max) {
    return Problem{.status = 413,
                   .detail = fmt::format("the recording has {} bytes; at most {} are allowed "
                                         "(limits.audio_bytes_max)",
                                         form.file_bytes, bytes_max)};
  }
  return Recording{std::get<platform::VoiceForm>(std::move(parsed)),
                   std::make_shared<const UniqueFd>(std::move(*file))};
}

asio::awaitable<ReadForm> take_form(Core& core, HttpRequest& request) {
  std::function<ReadForm()> work =
      [body = request.spooled->file(), bytes = request.spooled->bytes(),
       content_type = request.content_type, directory = core.options().spool_directory,
       bytes_max = core.options().audio_bytes_max] {
        return read_form(*body, bytes, content_type, directory, bytes_max);
      };
  std::optional<ReadForm> read = co_await in_background<ReadForm>(core, std::move(work));
  if (!read) co_return unavailable("too much is being worked on; try again later");
  co_return std::move(*read);
}

asio::awaitable<HttpResponse> voice_message(Core& core, HttpRequest& request,
                                            std::function<void()>& on_leave) {
  if (!request.idempotency_key.empty() && !valid_idempotency_key(request.idempotency_key)) {
    co_return to_response(bad_idempotency_key(), request.id);
  }
  ReadForm read = co_await take_form(core, request);
  request.spooled.reset();
  if (const auto* problem = std::get_if<Problem>(&read)) {
    co_return to_response(*problem, request.id);
  }
  auto& recording = std::get<Recording>(read);
  VoiceUpload upload{.session = std::move(recording.form.session),
                     .language = std::move(recording.form.language),
                     .file = std::move(recording.file)};
  co_return co_await answer_voice_message(core, request, std::move(upload), on_leave);
}

}  // namespace

asio::awaitable<HttpResponse> answer_voice(Core& core, HttpRequest& request,
                                           std::function<void()>& on_leave) {
  if (request.route.endpoint == Endpoint::message_voice) {
    co_return co_await voice_message(core, request, on_leave);
  }
  co_return co_await answer_recording(core, request);
}

}  // namespace parlance::net
