#include "schemas/codec.h"

#include <cstring>

namespace parlance {
namespace {

// Layout: version byte, kind byte, time (varint ms), then the kind's fields in order.
// Integers are LEB128 varints; strings and lists are a varint count and then their content.
constexpr std::uint8_t kVersion = 1;

enum class Kind : std::uint8_t {
  message_accepted = 1,
  step_recorded = 2,
  run_ended = 3,
  run_failed = 4,
};

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void byte(std::uint8_t value) { out_ += static_cast<char>(value); }
  void number(std::uint64_t value) {
    while (value >= 0x80) {
      byte(static_cast<std::uint8_t>(value) | 0x80);
      value >>= 7;
    }
    byte(static_cast<std::uint8_t>(value));
  }
  void text(std::string_view value) {
    number(value.size());
    out_ += value;
  }
  void usage(const ModelUsage& usage) {
    number(usage.tokens_in);
    number(usage.tokens_out);
  }

 private:
  std::string& out_;
};

/// Reads fields in order; after the first failure every read yields an empty value and `ok` is
/// false, so that the caller checks once at the end.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  std::uint8_t byte() {
    if (in_.empty()) return fail<std::uint8_t>();
    const auto value = static_cast<std::uint8_t>(in_.front());
    in_.remove_prefix(1);
    return value;
  }
  /// A byte that is at most `highest`, for enumerations.
  std::uint8_t byte_up_to(std::uint8_t highest) {
    const std::uint8_t value = byte();
    return value <= highest ? value : fail<std::uint8_t>();
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t part = byte();
      if (shift == 63 && part > 1) break;  // More than 64 bits.
      value |= static_cast<std::uint64_t>(part & 0x7f) << shift;
      if ((part & 0x80) == 0) return value;
    }
    return fail<std::uint64_t>();
  }
  /// A count of things of which each takes at least one byte.
  std::size_t count() {
    const std::uint64_t value = number();
    return value <= in_.size() ? static_cast<std::size_t>(value) : fail<std::size_t>();
  }
  std::string text() {
    const std::size_t size = count();
    std::string value(in_.substr(0, size));
    in_.remove_prefix(size);
    return value;
  }
  ModelUsage usage() {
    ModelUsage usage;
    usage.tokens_in = number();
    usage.tokens_out = number();
    return usage;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }

 private:
  template <class T>
  T fail() {
    ok_ = false;
    in_ = {};
    return T{};
  }
  std::string_view in_;
  bool ok_ = true;
};

void write(Writer& w, const MessageAccepted& e) {
  w.byte(static_cast<std::uint8_t>(e.on_busy));
  w.text(e.message_id.text);
  w.text(e.text);
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
  w.usage(e.usage);
}

void write(Writer& w, const RunFailed& e) {
  w.byte(static_cast<std::uint8_t>(e.code));
  w.text(e.message_id.text);
  w.text(e.error);
  w.usage(e.usage);
}

Event read_message_accepted(Reader& r) {
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
  e.usage = r.usage();
  return e;
}

Event read_run_failed(Reader& r) {
  RunFailed e;
  e.code = static_cast<Errc>(r.byte_up_to(static_cast<std::uint8_t>(Errc::internal)));
  e.message_id.text = r.text();
  e.error = r.text();
  e.usage = r.usage();
  return e;
}

}  // namespace

std::string encode(const Event& event, WallTime time) {
  constexpr Kind kKinds[] = {Kind::message_accepted, Kind::step_recorded, Kind::run_ended,
                             Kind::run_failed};
  static_assert(std::variant_size_v<Event> == std::size(kKinds));
  std::string out;
  Writer w(out);
  w.byte(kVersion);
  w.byte(static_cast<std::uint8_t>(kKinds[event.index()]));
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
    case Kind::step_recorded:
      out.event = read_step_recorded(r);
      break;
    case Kind::run_ended:
      out.event = read_run_ended(r);
      break;
    case Kind::run_failed:
      out.event = read_run_failed(r);
      break;
    default:
      return Error{Errc::corrupted, "event of an unknown kind"};
  }
  if (!r.ok()) return Error{Errc::corrupted, "event cut short or with a value out of range"};
  if (!r.at_end()) return Error{Errc::corrupted, "bytes left over after an event"};
  return out;
}

}  // namespace parlance
