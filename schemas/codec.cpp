#include "schemas/codec.h"

#include <chrono>
#include <iterator>
#include <memory>
#include <optional>

#include "schemas/fields.h"

namespace parlance {
namespace {

using fields::Reader;
using fields::Writer;

// Layout: version byte, kind byte, time (varint ms), then the kind's fields in order.
constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kDurationMax = (std::uint64_t{1} << 48) - 1;

enum class Kind : std::uint8_t {
  message_accepted = 1,
  step_recorded = 2,
  run_ended = 3,
  run_failed = 4,
  lifecycle_changed = 5,
  documents_stored = 6,
  message_retried = 7,  // A message_accepted, and what it runs again.
  voice_accepted = 8,   // A message_accepted, what it runs again or nothing, and what was said.
  voice_step = 9,       // A step_recorded, and the recording.
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

void write(Writer& w, const Audio& audio) {
  w.text(audio.name);
  w.text(audio.type);
  w.number(audio.bytes);
  w.number(static_cast<std::uint64_t>(audio.duration.count()));
}

Audio read_audio(Reader& r) {
  Audio audio;
  audio.name = r.text();
  audio.type = r.text();
  audio.bytes = r.number();
  audio.duration = std::chrono::milliseconds(r.number() & kDurationMax);
  return audio;
}

bool is_of_voice(StepType type) {
  return type == StepType::transcript || type == StepType::audio;
}

void write(Writer& w, const MessageAccepted& e) {
  w.byte(static_cast<std::uint8_t>(e.on_busy));
  w.text(e.message_id.text);
  w.text(e.text);
  if (!e.retry_of.text.empty() || e.voice) w.text(e.retry_of.text);
  if (!e.voice) return;
  write(w, e.voice->audio);
  w.text(e.voice->language);
  w.text(e.voice->digest);
  w.text(e.voice->engine);
  w.text(e.voice->answer);
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
  if (!is_of_voice(e.type)) return;
  w.text(e.engine);
  write(w, e.audio);
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

VoiceInput read_voice(Reader& r) {
  VoiceInput voice;
  voice.audio = read_audio(r);
  voice.language = r.text();
  voice.digest = r.text();
  voice.engine = r.text();
  voice.answer = r.text();
  return voice;
}

StepRecorded read_step_recorded(Reader& r, StepType highest) {
  StepRecorded e;
  e.type = static_cast<StepType>(r.byte_up_to(static_cast<std::uint8_t>(highest)));
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

/// Of what came after the first version of its record.
std::optional<Kind> special_kind(const Event& event) {
  if (const auto* message = std::get_if<MessageAccepted>(&event)) {
    if (message->voice) return Kind::voice_accepted;
    if (!message->retry_of.text.empty()) return Kind::message_retried;
  }
  const auto* step = std::get_if<StepRecorded>(&event);
  if (step != nullptr && is_of_voice(step->type)) return Kind::voice_step;
  return std::nullopt;
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
  w.byte(static_cast<std::uint8_t>(special_kind(event).value_or(kKinds[event.index()])));
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
    case Kind::voice_accepted: {
      MessageAccepted message = read_message_accepted(r);
      message.retry_of.text = r.text();
      message.voice = std::make_shared<const VoiceInput>(read_voice(r));
      out.event = std::move(message);
      break;
    }
    case Kind::step_recorded:
      out.event = read_step_recorded(r, StepType::partial_answer);
      break;
    case Kind::voice_step: {
      StepRecorded step = read_step_recorded(r, StepType::audio);
      if (!is_of_voice(step.type)) return Error{Errc::corrupted, "a step of no voice message"};
      step.engine = r.text();
      step.audio = read_audio(r);
      out.event = std::move(step);
      break;
    }
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
