#include "dialects/console.h"

#include <cmath>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/json.h"

namespace parlance::dialects::console {
namespace {

using Buffer = rapidjson::StringBuffer;

/// Writes members of objects; a text must be valid UTF-8.
class Writer {
 public:
  explicit Writer(Buffer& buffer) : writer_(buffer) {}

  void key(std::string_view name) {
    writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void member(std::string_view name, std::string_view value) {
    key(name);
    text(value);
  }
  void member(std::string_view name, const char* value) { member(name, std::string_view(value)); }
  void member(std::string_view name, std::uint64_t value) {
    key(name);
    writer_.Uint64(value);
  }
  void member(std::string_view name, std::int64_t value) {
    key(name);
    writer_.Int64(value);
  }
  void member(std::string_view name, bool value) {
    key(name);
    writer_.Bool(value);
  }
  void member(std::string_view name, std::optional<double> value) {
    key(name);
    value ? real(*value) : null();
  }
  void null() { writer_.Null(); }
  void number(std::uint64_t value) { writer_.Uint64(value); }
  void text(std::string_view value) {
    writer_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  void real(double value) {
    const std::string digits = fmt::format("{:.6g}", value);
    writer_.RawValue(digits.data(), digits.size(), rapidjson::kNumberType);
  }
  template <class Members>
  void object(Members members) {
    writer_.StartObject();
    members();
    writer_.EndObject();
  }
  template <class Members>
  void object(std::string_view name, Members members) {
    key(name);
    object(std::move(members));
  }
  /// `write` writes one value of `list`.
  template <class List, class Write>
  void array(std::string_view name, const List& list, Write write) {
    key(name);
    writer_.StartArray();
    for (const auto& item : list) write(item);
    writer_.EndArray();
  }

 private:
  rapidjson::Writer<Buffer> writer_;
};

/// Of a sample's value; nothing for NaN.
std::optional<double> measured(float value) {
  if (std::isnan(value)) return std::nullopt;
  return value;
}

void write(Writer& w, const std::optional<Cost>& cost) {
  if (!cost) return w.null();
  w.object([&] {
    w.member("amount", std::optional(cost->amount));
    w.member("currency", cost->currency);
  });
}

std::string text_of(const Buffer& buffer) {
  return {buffer.GetString(), buffer.GetSize()};
}

void write(Writer& w, const RunView& run) {
  w.object([&] {
    w.member("session", run.session.text);
    w.member("message_id", run.message.text);
    w.member("activity", to_string(run.activity));
    w.member("started_ms", run.started.ms);
    w.member("waiting", std::uint64_t{run.waiting});
    w.member("text_bytes", std::uint64_t{run.text_bytes});
    w.member("watchers", std::uint64_t{run.watchers});
  });
}

void write(Writer& w, const SessionView& session) {
  w.object([&] {
    w.member("session", session.session.text);
    w.member("activity", to_string(session.activity));
    w.member("waiting", std::uint64_t{session.waiting});
    w.member("watchers", std::uint64_t{session.watchers});
    w.member("last_seq", std::uint64_t{session.last_seq});
    w.member("last_event", to_string(session.last_event));
    w.member("last_event_ms", session.last_event_at.ms);
    w.member("used_ms", session.used.ms);
  });
}

void write(Writer& w, const Provider& provider) {
  const ProviderView& view = provider.view;
  w.object([&] {
    w.member("name", json::to_valid_utf8(view.name));
    w.member("model", json::to_valid_utf8(view.model));
    w.member("offline", view.offline);
    w.member("named", view.named);
    w.member("in_flight", std::uint64_t{view.in_flight});
    w.member("in_flight_max", std::uint64_t{view.in_flight_max});
    w.member("waiting", std::uint64_t{view.waiting});
    w.member("queue_max", std::uint64_t{view.queue_max});
    w.member("breaker", to_string(view.breaker));
    w.member("open_for_ms", std::int64_t{view.open_for.count()});
    w.member("answered", view.answered);
    w.member("failed", view.failed);
    w.member("cancelled", view.cancelled);
    w.member("tokens_in", view.tokens_in);
    w.member("tokens_out", view.tokens_out);
    w.member("first_text_ms", provider.first_text_ms);
    w.member("answer_ms", provider.answer_ms);
    w.key("cost");
    write(w, view.cost);
  });
}

void write(Writer& w, const StorageView& storage) {
  w.object([&] {
    w.member("file_bytes", storage.file_bytes);
    w.key("log_bytes");
    storage.log_bytes ? w.number(*storage.log_bytes) : w.null();
    w.member("memory_bytes", storage.memory_bytes);
    w.member("compaction_pending_bytes", storage.compaction_pending_bytes);
    w.member("compactions_running", storage.compactions_running);
    w.member("disk_free_bytes", storage.disk_free_bytes);
    w.member("disk_bytes", storage.disk_bytes);
    w.member("refuses_writes", storage.refuses_writes);
  });
}

void write(Writer& w, const Connections& open) {
  w.object([&] {
    w.member("http", std::uint64_t{open.http});
    w.member("chat_sockets", std::uint64_t{open.chat_sockets});
    w.member("chat_streams", std::uint64_t{open.chat_streams});
    w.member("message_streams", std::uint64_t{open.message_streams});
    w.member("client_sockets", std::uint64_t{open.client_sockets});
    w.member("consoles", std::uint64_t{open.consoles});
  });
}

void write(Writer& w, const Node& node) {
  w.object([&] {
    w.member("version", node.version);
    w.member("environment", node.environment);
    w.member("cores", std::uint64_t{node.cores});
    w.member("uptime_s", std::int64_t{node.uptime.count()});
    w.member("ready", node.ready);
    w.member("stopping", node.stopping);
  });
}

void write(Writer& w, const Sample& sample) {
  w.object([&] {
    w.member("at_ms", sample.at.ms);
    for (std::size_t i = 0; i < kSeries.size(); ++i) {
      w.member(kSeries[i], measured(sample.values[i]));
    }
  });
}

// ---- Events of a log ----

struct EventWriter {
  Writer& w;

  void operator()(const MessageAccepted& message) const {
    constexpr std::string_view kOnBusy[] = {"queue", "reject", "interrupt", "steer"};
    w.member("type", "message_accepted");
    w.member("message_id", message.message_id.text);
    w.member("text", message.text);
    w.member("on_busy", kOnBusy[static_cast<std::size_t>(message.on_busy)]);
    if (!message.retry_of.text.empty()) w.member("retry_of", message.retry_of.text);
    if (message.voice) audio(message.voice->audio);
  }
  void operator()(const StepRecorded& step) const {
    w.member("type", "step_recorded");
    w.member("message_id", step.message_id.text);
    w.member("step_type", to_string(step.type));
    w.member("text", step.text);
    if (!step.tool_calls.empty()) {
      w.array("tool_calls", step.tool_calls, [this](const ToolCall& call) {
        w.object([&] {
          w.member("id", call.id);
          w.member("name", call.name);
          w.member("arguments", call.arguments);
        });
      });
    }
    if (!step.tool_results.empty()) {
      w.array("tool_results", step.tool_results, [this](const ToolResult& result) {
        w.object([&] {
          w.member("call_id", result.call_id);
          w.member("name", result.name);
          w.member("output", result.output);
          w.member("failed", result.failed);
        });
      });
    }
    if (!step.engine.empty()) w.member("engine", step.engine);
    if (!step.audio.name.empty()) audio(step.audio);
  }
  void operator()(const RunEnded& end) const {
    w.member("type", "run_ended");
    w.member("message_id", end.message_id.text);
    w.member("outcome", end.outcome == RunOutcome::completed ? "completed" : "cancelled");
    usage(end.usage);
  }
  void operator()(const RunFailed& end) const {
    w.member("type", "run_failed");
    w.member("message_id", end.message_id.text);
    w.member("error", end.error);
    w.member("code", to_string(end.code));
    usage(end.usage);
  }
  void operator()(const LifecycleChanged& change) const {
    w.member("type", "lifecycle_changed");
    w.member("state", to_string(change.state));
  }
  void operator()(const DocumentsStored& stored) const {
    w.member("type", "documents_stored");
    w.member("set", stored.set);
    w.array("tools", stored.tools, [this](const std::string& tool) { w.text(tool); });
    w.array("document_ids", stored.document_ids, [this](const std::string& id) { w.text(id); });
  }

  void usage(const ModelUsage& used) const {
    w.member("tokens_in", used.tokens_in);
    w.member("tokens_out", used.tokens_out);
  }
  void audio(const Audio& audio) const {
    w.object("audio", [&] {
      w.member("name", audio.name);
      w.member("type", audio.type);
      w.member("bytes", audio.bytes);
      w.member("duration_ms", std::int64_t{audio.duration.count()});
    });
  }
};

}  // namespace

Connections& Connections::operator+=(const Connections& other) {
  http += other.http;
  chat_sockets += other.chat_sockets;
  chat_streams += other.chat_streams;
  message_streams += other.message_streams;
  client_sockets += other.client_sockets;
  consoles += other.consoles;
  return *this;
}

std::string to_json(const State& state) {
  Buffer buffer;
  Writer w(buffer);
  const auto each = [&w](const auto& item) { write(w, item); };
  w.object([&] {
    w.member("at_ms", state.at.ms);
    w.array("nodes", std::span(&state.node, 1), each);
    w.object("runs", [&] {
      w.member("total", std::uint64_t{state.activity.runs});
      w.member("once", std::uint64_t{state.activity.runs_once});
      w.array("oldest", state.activity.oldest_runs, each);
    });
    w.object("sessions", [&] {
      w.member("awake", std::uint64_t{state.activity.sessions_awake});
      w.member("watched", std::uint64_t{state.sessions_watched});
      w.array("last_used", state.activity.last_used, each);
    });
    w.array("providers", state.providers, each);
    if (state.storage) {
      w.key("storage");
      write(w, *state.storage);
    }
    w.key("connections");
    write(w, state.connections);
    if (state.sample) {
      w.key("sample");
      write(w, *state.sample);
    }
  });
  return text_of(buffer);
}

std::string history_json(std::chrono::milliseconds step, std::span<const Sample> samples) {
  std::string out = fmt::format(R"({{"step_ms":{},"at_ms":[)", step.count());
  const auto list = [&](auto append) {
    bool first = true;
    for (const Sample& sample : samples) {
      if (!std::exchange(first, false)) out += ',';
      append(sample);
    }
    out += ']';
  };
  list([&](const Sample& sample) { fmt::format_to(std::back_inserter(out), "{}", sample.at.ms); });
  out += R"(,"series":{)";
  for (std::size_t i = 0; i < kSeries.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}\"{}\":[", i == 0 ? "" : ",", kSeries[i]);
    list([&](const Sample& sample) {
      const auto value = measured(sample.values[i]);
      value ? fmt::format_to(std::back_inserter(out), "{:.6g}", *value)
            : fmt::format_to(std::back_inserter(out), "null");
    });
  }
  out += "}}";
  return out;
}

void append_event(std::string& out, const RecordedEvent& event) {
  Buffer buffer;
  Writer w(buffer);
  w.object([&] {
    w.member("seq", event.cursor.seq);
    w.member("cursor", to_string(event.cursor));
    w.member("time", to_rfc3339(event.time));
    std::visit(EventWriter{w}, event.event);
  });
  out.append(buffer.GetString(), buffer.GetSize());
}

std::string page_json(const SessionId& session, EventSeq last,
                      std::span<const RecordedEvent> events) {
  std::string out = R"({"session":)";
  json::append_string(out, session.text);
  fmt::format_to(std::back_inserter(out), R"(,"last":{},"events":[)", last);
  for (const RecordedEvent& event : events) {
    if (&event != events.data()) out += ',';
    append_event(out, event);
  }
  out += "]}";
  return out;
}

}  // namespace parlance::dialects::console
