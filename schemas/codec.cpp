#include "schemas/codec.h"

#include <iterator>

#include "schemas/fields.h"

namespace parlance {
namespace {

using fields::Reader;
using fields::Writer;

// Layout: version byte, kind byte, time (varint ms), then the kind's fields in order.
constexpr std::uint8_t kVersion = 1;

enum class Kind : std::uint8_t {
  message_accepted = 1,
  step_recorded = 2,
  run_ended = 3,
  run_failed = 4,
  lifecycle_changed = 5,
  documents_stored = 6,
  message_retried = 7,  // A message_accepted, and what it runs again.
};

void write(Writer& w, const ModelUsage& usage) {
  w.number(usage.tokens_in);
  w.number(usage.tokens_out);
}

ModelUsage read_usage(Reader& r) {
  ModelUsage usage;
  usage.tokens_in = r.number();
  usage.tokens_out = r.number();
  return usage;
}

void write(Writer& w, const MessageAccepted& e) {
  w.byte(static_cast<std::uint8_t>(e.on_busy));
  w.text(e.message_id.text);
  w.text(e.text);
  if (!e.retry_of.text.empty()) w.text(e.retry_of.text);
}

void write(Writer& w, const StepRecorded& e) {
  w.byte(static_cast<std::uint8_t>(e.type));
  w.text(e.message_id.text);
  w.text(e.text);
  w.number(e.tool_calls.size());
  for (const ToolCall& call : e.tool_calls) {
    w.text(call.id);
    w.text(call.name);
    w.text(call.arguments);
  }
  w.number(e.tool_results.size());
  for (const ToolResult& result : e.tool_results) {
    w.byte(result.failed ? 1 : 0);
    w.text(result.call_id);
    w.text(result.name);
    w.text(result.output);
  }
}

void write(Writer& w, const RunEnded& e) {
  w.byte(static_cast<std::uint8_t>(e.outcome));
  w.text(e.message_id.text);
  write(w, e.usage);
}

void write(Writer& w, const RunFailed& e) {
  w.byte(static_cast<std::uint8_t>(e.code));
  w.text(e.message_id.text);
  w.text(e.error);
  write(w, e.usage);
}

void write(Writer& w, const LifecycleChanged& e) {
  w.byte(static_cast<std::uint8_t>(e.state));
}

void write(Writer& w, const DocumentsStored& e) {
  w.number(e.set);
  w.text(e.digest);
  w.texts(e.tools);
  w.texts(e.document_ids);
}

MessageAccepted read_message_accepted(Reader& r) {
  MessageAccepted e;
  e.on_busy = static_cast<OnBusy>(r.byte_up_to(static_cast<std::uint8_t>(OnBusy::steer)));
  e.message_id.text = r.text();
  e.text = r.text();
  return e;
}

Event read_step_recorded(Reader& r) {
  StepRecorded e;
  e.type = static_cast<StepType>(r.byte_up_to(static_cast<std::uint8_t>(StepType::partial_answer)));
  e.message_id.text = r.text();
  e.text = r.text();
  for (std::size_t left = r.count(); left > 0 && r.ok(); --left) {
    ToolCall& call = e.tool_calls.emplace_back();
    call.id = r.text();
    call.name = r.text();
    call.arguments = r.text();
  }
  for (std::size_t left = r.count(); left > 0 && r.ok(); --left) {
    ToolResult& result = e.tool_results.emplace_back();
    result.failed = r.byte_up_to(1) == 1;
    result.call_id = r.text();
    result.name = r.text();
    result.output = r.text();
  }
  return e;
}

Event read_run_ended(Reader& r) {
  RunEnded e;
  e.outcome = static_cast<RunOutcome>(r.byte_up_to(1));
  e.message_id.text = r.text();
  e.usage = read_usage(r);
  return e;
}

Event read_run_failed(Reader& r) {
  RunFailed e;
  e.code = static_cast<Errc>(r.byte_up_to(static_cast<std::uint8_t>(Errc::outdated)));
  e.message_id.text = r.text();
  e.error = r.text();
  e.usage = read_usage(r);
  return e;
}

Event read_lifecycle_changed(Reader& r) {
  constexpr auto kHighest = static_cast<std::uint8_t>(LifecycleState::deactivated);
  return LifecycleChanged{static_cast<LifecycleState>(r.byte_up_to(kHighest))};
}

Event read_documents_stored(Reader& r) {
  DocumentsStored e;
  e.set = r.number();
  e.digest = r.text();
  e.tools = r.texts();
  e.document_ids = r.texts();
  return e;
}

}  // namespace

std::string encode(const Event& event, WallTime time) {
  constexpr Kind kKinds[] = {Kind::message_accepted,  Kind::step_recorded,
                             Kind::run_ended,         Kind::run_failed,
                             Kind::lifecycle_changed, Kind::documents_stored};
  static_assert(std::variant_size_v<Event> == std::size(kKinds));
  std::string out;
  Writer w(out);
  w.byte(kVersion);
  const auto* message = std::get_if<MessageAccepted>(&event);
  const bool retried = message != nullptr && !message->retry_of.text.empty();
  w.byte(static_cast<std::uint8_t>(retried ? Kind::message_retried : kKinds[event.index()]));
  w.number(static_cast<std::uint64_t>(time.ms));
  std::visit([&w](const auto& e) { write(w, e); }, event);
  return out;
}

Result<DecodedEvent> decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.byte() != kVersion) return Error{Errc::corrupted, "event of an unknown version"};
  const auto kind = static_cast<Kind>(r.byte());
  DecodedEvent out;
  out.time.ms = static_cast<std::int64_t>(r.number());
  switch (kind) {
    case Kind::message_accepted:
      out.event = read_message_accepted(r);
      break;
    case Kind::message_retried: {
      MessageAccepted message = read_message_accepted(r);
      message.retry_of.text = r.text();
      if (message.retry_of.text.empty()) {
        return Error{Errc::corrupted, "a message that runs nothing again"};
      }
      out.event = std::move(message);
      break;
    }
    case Kind::step_recorded:
      out.event = read_step_recorded(r);
      break;
    case Kind::run_ended:
      out.event = read_run_ended(r);
      break;
    case Kind::run_failed:
      out.event = read_run_failed(r);
      break;
    case Kind::lifecycle_changed:
      out.event = read_lifecycle_changed(r);
      break;
    case Kind::documents_stored:
      out.event = read_documents_stored(r);
      break;
    default:
      return Error{Errc::corrupted, "event of an unknown kind"};
  }
  if (!r.ok()) return Error{Errc::corrupted, "event cut short or with a value out of range"};
  if (!r.at_end()) return Error{Errc::corrupted, "bytes left over after an event"};
  return out;
}

}  // namespace parlance
