#include "schemas/console.h"

namespace parlance {

const char* to_string(RunActivity activity) noexcept {
  switch (activity) {
    case RunActivity::recording:
      return "recording";
    case RunActivity::calling:
      return "calling";
    case RunActivity::writing:
      return "writing";
    case RunActivity::acting:
      return "acting";
    case RunActivity::searching:
      return "searching";
    case RunActivity::listening:
      return "listening";
    case RunActivity::speaking:
      return "speaking";
  }
  return "";
}

const char* to_string(SessionActivity activity) noexcept {
  switch (activity) {
    case SessionActivity::asleep:
      return "asleep";
    case SessionActivity::loading:
      return "loading";
    case SessionActivity::idle:
      return "idle";
    case SessionActivity::running:
      return "running";
    case SessionActivity::broken:
      return "broken";
  }
  return "";
}

const char* to_string(LastEvent event) noexcept {
  switch (event) {
    case LastEvent::none:
      return "none";
    case LastEvent::message:
      return "message";
    case LastEvent::step:
      return "step";
    case LastEvent::completed:
      return "completed";
    case LastEvent::cancelled:
      return "cancelled";
    case LastEvent::failed:
      return "failed";
    case LastEvent::other:
      return "other";
  }
  return "";
}

const char* to_string(ProviderView::Breaker breaker) noexcept {
  switch (breaker) {
    case ProviderView::Breaker::none:
      return "none";
    case ProviderView::Breaker::closed:
      return "closed";
    case ProviderView::Breaker::open:
      return "open";
    case ProviderView::Breaker::half_open:
      return "half_open";
  }
  return "";
}

}  // namespace parlance
