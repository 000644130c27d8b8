#include "net/await_reply.h"

namespace parlance::net {

namespace asio = boost::asio;

asio::awaitable<void> at_core(Core& here, Core& there, std::function<void(Core&)> work) {
  auto start = [&here, &there, work = std::move(work)](std::function<void(bool)> reply) {
    asio::post(there.io(), [to = there.shared_from_this(), from = here.shared_from_this(), work,
                            reply = std::move(reply)]() mutable {
      work(*to);
      asio::post(from->io(), [reply = std::move(reply)] { reply(true); });
    });
  };
  co_await reply_of<bool>(std::move(start));
}

}  // namespace parlance::net
