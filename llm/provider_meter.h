// What came of the calls to one provider, counted for the whole node. Any thread: nothing but
// atomics, which those who read them see one by one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "llm/options.h"
#include "schemas/console.h"
#include "schemas/model_call.h"

namespace parlance::llm {

class ProviderGate;

class ProviderMeter {
 public:
  using Time = std::chrono::steady_clock::duration;

  void begun() noexcept { in_flight_.fetch_add(1, kRelaxed); }
  /// The first delta of a try, `after` its begin.
  void wrote_first(Time after) noexcept;
  void answered(Time after, const ModelUsage& usage) noexcept;
  /// `usage`: what was told before.
  void failed(const ModelUsage& usage) noexcept;
  void cancelled(const ModelUsage& usage) noexcept;

  void read(ProviderView& out) const noexcept;

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;

  void ended(const ModelUsage& usage) noexcept;

  std::atomic<std::uint64_t> in_flight_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> cancelled_{0};
  std::atomic<std::uint64_t> tokens_in_{0};
  std::atomic<std::uint64_t> tokens_out_{0};
  std::atomic<std::uint64_t> first_texts_{0};
  std::atomic<std::uint64_t> first_text_us_{0};
  std::atomic<std::uint64_t> answer_us_{0};
};

}  // namespace parlance::llm
