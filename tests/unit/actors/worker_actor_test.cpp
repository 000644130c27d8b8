#include "actors/worker_actor.h"

#include <atomic>
#include <future>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <catch2/catch.hpp>

namespace parlance::actors {
namespace {

TEST_CASE("workers that were stopped take nothing more, whoever still asks") {
  caf::actor_system_config config;
  caf::actor_system system(config);
  WorkerPool workers(system, 2, 1'000'000);
  std::promise<void> done;
  REQUIRE(workers.run([&] { done.set_value(); }));
  REQUIRE(done.get_future().wait_for(std::chrono::seconds(20)) == std::future_status::ready);

  std::atomic<bool> asking{false};
  std::thread timer([&] {
    while (workers.run([] {})) asking = true;
  });
  while (!asking) std::this_thread::yield();
  workers.stop();
  timer.join();
  CHECK(!workers.run([] {}));
}

}  // namespace
}  // namespace parlance::actors
