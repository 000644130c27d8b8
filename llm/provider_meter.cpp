#include "llm/provider_meter.h"

namespace parlance::llm {
namespace {

std::uint64_t microseconds(ProviderMeter::Time time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

std::chrono::microseconds to_time(std::uint64_t us) {
  return std::chrono::microseconds(static_cast<std::int64_t>(us));
}

}  // namespace

void ProviderMeter::wrote_first(Time after) noexcept {
  first_texts_.fetch_add(1, kRelaxed);
  first_text_us_.fetch_add(microseconds(after), kRelaxed);
}

void ProviderMeter::answered(Time after, const ModelUsage& usage) noexcept {
  ended(usage);
  answered_.fetch_add(1, kRelaxed);
  answer_us_.fetch_add(microseconds(after), kRelaxed);
}

void ProviderMeter::failed(const ModelUsage& usage) noexcept {
  ended(usage);
  failed_.fetch_add(1, kRelaxed);
}

void ProviderMeter::cancelled(const ModelUsage& usage) noexcept {
  ended(usage);
  cancelled_.fetch_add(1, kRelaxed);
}

void ProviderMeter::ended(const ModelUsage& usage) noexcept {
  in_flight_.fetch_sub(1, kRelaxed);
  tokens_in_.fetch_add(usage.tokens_in, kRelaxed);
  tokens_out_.fetch_add(usage.tokens_out, kRelaxed);
}

void ProviderMeter::read(ProviderView& out) const noexcept {
  out.in_flight = in_flight_.load(kRelaxed);
  out.answered = answered_.load(kRelaxed);
  out.failed = failed_.load(kRelaxed);
  out.cancelled = cancelled_.load(kRelaxed);
  out.tokens_in = tokens_in_.load(kRelaxed);
  out.tokens_out = tokens_out_.load(kRelaxed);
  out.first_texts = first_texts_.load(kRelaxed);
  out.first_text_time = to_time(first_text_us_.load(kRelaxed));
  out.answer_time = to_time(answer_us_.load(kRelaxed));
}

}  // namespace parlance::llm
