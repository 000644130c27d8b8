#include "net/voice_messages.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "actors/platform_gateway.h"
#include "base/uuid.h"
#include "dialects/platform.h"
#include "net/await_reply.h"
#include "net/byte_range.h"
#include "net/file_body.h"
#include "net/header_list.h"
#include "net/message_actions.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace platform = dialects::platform;
using actors::RecordingFile;
using actors::SpeechProgress;
using dialects::Problem;

constexpr int kServerErrors = 500;

HttpResponse refused(const Problem& problem, const HttpRequest& request) {
  return to_response(problem, request.id);
}
HttpResponse refused(const Error& error, const HttpRequest& request) {
  return to_response(dialects::to_problem(error), request.id);
}

// ---- Following a run ----

/// What an answer waits for. The gateway's callbacks alone own it, since it owns the coroutine that
/// waits: where the node's stop lets go of the one, the other goes with it.
struct Waiter {
  std::function<void(bool)> changed;

  void wake() {
    if (const auto waiting = std::exchange(changed, nullptr)) waiting(true);
  }
};

/// How far a run is.
struct Following {
  SpeechProgress spoken;
  std::optional<Status> ended;
  std::weak_ptr<Waiter> waiter;
};
using SharedFollowing = std::shared_ptr<Following>;

SharedFollowing follow(Core& core, const SubmittedMessage& message) {
  auto following = std::make_shared<Following>();
  auto waiter = std::make_shared<Waiter>();
  following->waiter = waiter;
  core.gateway().await_end(
      message.session, message.run,
      [following, waiter](const Status& ended) {
        if (!following->ended) following->ended = ended;
        waiter->wake();
      },
      [following, waiter](SpeechProgress spoken) {
        following->spoken = std::move(spoken);
        waiter->wake();
      });
  return following;
}

asio::awaitable<void> next_change(SharedFollowing following) {
  if (following->waiter.expired()) {  // Nothing more is told.
    if (!following->ended) following->ended = Error{Errc::unavailable, "the server is stopping"};
    co_return;
  }
  auto start = [following](std::function<void(bool)> reply) {
    if (const auto waiter = following->waiter.lock()) waiter->changed = std::move(reply);
  };
  co_await reply_of<bool>(std::move(start));
}

/// The answer's mp3 while it is spoken.
class SpokenAnswer final : public BodyStream {
 public:
  SpokenAnswer(Core& core, SubmittedMessage message, SharedFollowing following)
      : core_(core.shared_from_this()),
        message_(std::move(message)),
        following_(std::move(following)) {}

  std::optional<std::uint64_t> length() const override { return std::nullopt; }
  asio::awaitable<Result<std::string>> next() override;

 private:
  asio::awaitable<Result<std::string>> end();

  const std::shared_ptr<Core> core_;
  SubmittedMessage message_;
  const SharedFollowing following_;
  std::uint64_t sent_ = 0;
};

asio::awaitable<Result<std::string>> SpokenAnswer::next() {
  while (sent_ >= following_->spoken.bytes) {
    if (following_->ended) co_return co_await end();
    co_await next_change(following_);
  }
  const SpeechProgress spoken = following_->spoken;
  Result<std::string> piece = co_await read_piece(*core_, spoken.file, sent_, spoken.bytes - sent_);
  if (piece) sent_ += piece->size();
  co_return piece;
}

/// Only what the log knows as the whole answer may look like one.
asio::awaitable<Result<std::string>> SpokenAnswer::end() {
  const Answer answer = co_await read_message_answer(*core_, message_, *following_->ended, {});
  const auto* message = std::get_if<platform::Message>(&answer);
  if (message != nullptr && message->audio.bytes == sent_) co_return std::string();
  co_return Error{Errc::unavailable, "the answer was not spoken to its end"};
}

// ---- Sending a voice message ----

asio::awaitable<Result<VoiceInput>> keep_recording(Core& core, const VoiceUpload& upload,
                                                   const std::string& name) {
  auto start = [&](actors::PlatformGateway::Reply<VoiceInput> reply) {
    core.gateway().platform().keep_recording(upload.session, name, upload.file, std::move(reply));
  };
  co_return co_await reply_of<Result<VoiceInput>>(std::move(start));
}

/// The recording is durable before the message that it belongs to.
asio::awaitable<std::variant<SubmittedMessage, Problem>> submit_voice(Core& core,
                                                                      const HttpRequest& request,
                                                                      const VoiceUpload& upload) {
  const Status found = co_await find_session(core, upload.session);
  if (!found) co_return dialects::to_problem(found.error());
  const std::string name = uuid7();
  Result<VoiceInput> kept = co_await keep_recording(core, upload, name);
  if (!kept) co_return dialects::to_problem(kept.error());
  kept->language = upload.language;

  PreparedMessage prepared{.session = upload.session, .command = {}, .user = {}};
  prepared.command.message_id.text = name;
  prepared.command.idempotency_key = request.idempotency_key;
  prepared.command.drawn_id = true;
  prepared.command.voice = std::make_shared<const VoiceInput>(std::move(*kept));
  auto submitted = co_await submit_message(core, std::move(prepared));
  // Where it is not known whether the message is in the log, as after a failed sync, it stays.
  const auto* message = std::get_if<SubmittedMessage>(&submitted);
  const auto* problem = std::get_if<Problem>(&submitted);
  const bool refused = problem != nullptr && problem->status < kServerErrors;
  if (refused || (message != nullptr && message->run.text != name)) {
    core.gateway().platform().remove_recording(upload.session, name);
  }
  co_return submitted;
}

std::string both_messages(const SubmittedMessage& message, const platform::Message& answer) {
  return fmt::format(R"({{"message":{},"answer":{}}})",
                     platform::message_json(message.session, message.user),
                     platform::message_json(message.session, answer));
}

asio::awaitable<Result<RecordingFile>> read_recording(Core& core, const SessionId& session,
                                                      const std::string& name) {
  auto start = [&](actors::PlatformGateway::Reply<RecordingFile> reply) {
    core.gateway().platform().read_recording(session, name, std::move(reply));
  };
  co_return co_await reply_of<Result<RecordingFile>>(std::move(start));
}

void name_messages(HttpResponse& response, const SubmittedMessage& message,
                   const std::string& answer, const std::string& engine) {
  response.headers.emplace_back("X-Message-Id", answer);
  response.headers.emplace_back("X-Transcript-Id", message.user.id);
  const bool printable =
      std::all_of(engine.begin(), engine.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (printable && !engine.empty()) response.headers.emplace_back("X-Speech-Engine", engine);
}

/// Of a run that has ended.
asio::awaitable<HttpResponse> answer_of_ended(Core& core, const HttpRequest& request,
                                              SubmittedMessage& message, Status ended) {
  const Answer read = co_await read_message_answer(core, message, std::move(ended), {});
  if (const auto* problem = std::get_if<Problem>(&read)) co_return refused(*problem, request);
  const auto& answer = std::get<platform::Message>(read);
  HttpResponse response{.status = 201};
  if (request.wants_json) {
    response.body = both_messages(message, answer);
    co_return response;
  }
  Result<RecordingFile> file = co_await read_recording(core, message.session, answer.audio.name);
  if (!file) co_return refused(file.error(), request);
  response.content_type = "audio/mpeg";
  response.stream = std::make_shared<FileBody>(core, std::move(file->file), 0, file->bytes);
  name_messages(response, message, answer.id, answer.engine);
  co_return response;
}

}  // namespace

asio::awaitable<HttpResponse> answer_voice_message(Core& core, const HttpRequest& request,
                                                   VoiceUpload upload,
                                                   std::function<void()>& on_leave) {
  auto submitted = co_await submit_voice(core, request, upload);
  upload.file.reset();
  if (const auto* problem = std::get_if<Problem>(&submitted)) co_return refused(*problem, request);
  auto& message = std::get<SubmittedMessage>(submitted);
  const SharedFollowing following = follow(core, message);
  on_leave = [following] {
    following->ended = Error{Errc::cancelled, "nobody waits for the answer"};
    if (const auto waiter = following->waiter.lock()) waiter->wake();
  };
  while (!following->ended && (request.wants_json || following->spoken.bytes == 0)) {
    co_await next_change(following);
  }
  on_leave = nullptr;
  const bool replayed = message.replayed;
  HttpResponse response;
  if (following->ended) {
    response = co_await answer_of_ended(core, request, message, *following->ended);
  } else {
    response = {.status = 201, .content_type = "audio/mpeg"};
    name_messages(response, message, following->spoken.name, following->spoken.engine);
    response.stream = std::make_shared<SpokenAnswer>(core, std::move(message), following);
  }
  if (replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  co_return response;
}

// ---- Fetching a recording ----

asio::awaitable<HttpResponse> answer_recording(Core& core, const HttpRequest& request) {
  const auto session = request.target.parameter("session_id");
  if (!session) {
    co_return refused(Problem{.status = 400, .detail = "`session_id` is missing in the query"},
                      request);
  }
  const SessionId id{std::string(*session)};
  if (!is_uuid(id.text)) co_return refused(platform::no_such_session(), request);
  const Status found = co_await find_session(core, id);
  if (!found) co_return refused(found.error(), request);
  Result<RecordingFile> recording = co_await read_recording(core, id, request.route.name);
  if (!recording) co_return refused(recording.error(), request);

  const std::string etag = fmt::format("\"{}\"", request.route.name);
  const std::uint64_t bytes = recording->bytes;
  HttpResponse response{.cache_control = "private, no-cache"};
  response.headers = {{"Accept-Ranges", "bytes"}, {"ETag", etag}};
  if (names_etag(request.if_none_match, etag)) {
    response.status = 304;
    co_return response;
  }
  const bool current = request.if_range.empty() || request.if_range == etag;
  const auto asked = parse_byte_range(current ? std::string_view(request.range) : "", bytes);
  if (std::holds_alternative<NoSuchRange>(asked)) {
    response = refused(
        Problem{.status = 416,
                .detail = fmt::format("the recording has {} bytes; ask for some of these", bytes)},
        request);
    response.headers.emplace_back("Content-Range", fmt::format("bytes */{}", bytes));
    co_return response;
  }
  std::uint64_t begin = 0;
  std::uint64_t count = bytes;
  if (const auto* range = std::get_if<ByteRange>(&asked)) {
    begin = range->first;
    count = range->last - range->first + 1;
    response.status = 206;
    response.headers.emplace_back("Content-Range",
                                  fmt::format("bytes {}-{}/{}", range->first, range->last, bytes));
  }
  response.content_type = recording->type;
  response.stream = std::make_shared<FileBody>(core, std::move(recording->file), begin, count);
  co_return response;
}

}  // namespace parlance::net
