// Voice messages of the agent platform: an upload becomes a message, its answer is sent while it is
// spoken, and recordings are fetched. Coroutines; thread: the core that is given, which outlives
// them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/unique_fd.h"
#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// An upload whose form was found good.
struct VoiceUpload {
  SessionId session;
  std::string language;                  ///< Empty when the client gave none.
  std::shared_ptr<const UniqueFd> file;  ///< The recording alone, without a name.
};

/// Submits the message and answers with the mp3 as it is made, or with both messages as JSON.
/// `on_leave` as of answer() in net/http_endpoints.h; the run does not end where the client leaves.
boost::asio::awaitable<HttpResponse> answer_voice_message(Core& core, const HttpRequest& request,
                                                          VoiceUpload upload,
                                                          std::function<void()>& on_leave);

/// GET /api/v1/message/{id}/audio?session_id=
boost::asio::awaitable<HttpResponse> answer_recording(Core& core, const HttpRequest& request);

}  // namespace parlance::net
