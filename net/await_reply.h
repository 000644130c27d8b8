// Waits in a coroutine for what is told by a callback. Thread: the core.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/core.h"

namespace parlance::net {

// What is given to a coroutine as a std::function must have been one before: GCC 12 copies a lambda
// that is made inside of a co_await expression bit by bit.

/// Awaits the one call of the callback that `start` is given. It goes on in a later turn of the
/// loop, since the callback may be called while `start` still runs.
#ifdef __clang_analyzer__
// Clang 14's takes the frames of Asio's coroutines for undefined memory, and so does not look here.
template <class Value, class Start>
boost::asio::awaitable<Value> reply_of(Start&& /*start*/) {
  std::abort();
}
#else
template <class Value, class Start>
boost::asio::awaitable<Value> reply_of(Start start) {
  namespace asio = boost::asio;
  auto initiate = [](auto handler, Start begin) {
    auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
    begin([waiting](Value value) {
      auto executor = asio::get_associated_executor(*waiting);
      asio::post(executor, [waiting, value = std::move(value)]() mutable {
        std::move (*waiting)(std::move(value));
      });
    });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(Value)>(
      std::move(initiate), asio::use_awaitable, std::move(start));
}
#endif

/// What `work` returns, run on a thread where it may take long. Nothing when too much waits there
/// already, or when it threw for want of memory.
template <class Value>
boost::asio::awaitable<std::optional<Value>> in_background(Core& core,
                                                           std::function<Value()> work) {
  auto result = std::make_shared<std::optional<Value>>();
  auto start = [&core, result, work = std::move(work)](std::function<void(bool)> reply) {
    auto guarded = [result, work] {
      try {
        result->emplace(work());
      } catch (const std::exception&) {
        result->reset();
      }
    };
    auto told = std::make_shared<std::function<void(bool)>>(std::move(reply));
    if (!core.gateway().in_background(std::move(guarded), [told] { (*told)(true); })) {
      (*told)(false);
    }
  };
  co_await reply_of<bool>(std::move(start));
  co_return std::move(*result);
}

/// Runs `work` on the core `there` and comes back; what was posted from there to `here` before is
/// done then.
boost::asio::awaitable<void> at_core(Core& here, Core& there, std::function<void(Core&)> work);

}  // namespace parlance::net
