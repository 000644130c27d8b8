// What the operator's console reads, as JSON. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/console.h"
#include "schemas/event.h"

namespace parlance::dialects::console {

struct Node {
  std::string version = {};
  std::string environment = {};
  std::size_t cores = 0;
  std::chrono::seconds uptime{0};
  bool ready = false;
  bool stopping = false;
};

struct Connections {
  std::size_t http = 0;             ///< That are at a request, or between two.
  std::size_t chat_sockets = 0;     ///< WebSockets of /chat.
  std::size_t chat_streams = 0;     ///< Event streams of /chat.
  std::size_t message_streams = 0;  ///< Answers of the platform that are streamed.
  std::size_t client_sockets = 0;   ///< WebSockets of /ws.
  std::size_t consoles = 0;

  Connections& operator+=(const Connections& other);
};

/// What is told over time, in the order of a Sample's values.
inline constexpr std::array<std::string_view, 21> kSeries = {"runs",
                                                             "model_in_flight",
                                                             "model_queued",
                                                             "messages_per_s",
                                                             "completed_per_s",
                                                             "failed_per_s",
                                                             "tokens_in_per_s",
                                                             "tokens_out_per_s",
                                                             "first_token_p50_ms",
                                                             "first_token_p95_ms",
                                                             "sync_p50_ms",
                                                             "sync_p95_ms",
                                                             "records_per_s",
                                                             "connections",
                                                             "watchers",
                                                             "sessions_awake",
                                                             "bytes_sent_per_s",
                                                             "requests_per_s",
                                                             "cpu_percent",
                                                             "memory_bytes",
                                                             "store_bytes"};

/// One step of all series; NaN where nothing was measured, which is told as null. 32 bits are
/// enough for a chart.
struct Sample {
  WallTime at = {};
  std::array<float, kSeries.size()> values{};
};

/// A provider's view, with what it did within the last minute.
struct Provider {
  ProviderView view = {};
  std::optional<double> first_text_ms = {};  ///< Mean; nothing when there was no call.
  std::optional<double> answer_ms = {};
};

struct State {
  WallTime at = {};
  Node node = {};
  CoreActivity activity = {};  ///< Of all cores.
  std::size_t sessions_watched = 0;
  std::vector<Provider> providers = {};
  std::optional<StorageView> storage = {};  ///< Nothing while the first answer is on its way.
  Connections connections = {};
  std::optional<Sample> sample = {};  ///< The latest.
};

std::string to_json(const State& state);

/// {"step_ms", "at_ms": [...], "series": {"runs": [...], ...}}, the oldest first.
std::string history_json(std::chrono::milliseconds step, std::span<const Sample> samples);

/// Appends an event of a session's log as one JSON object without line breaks.
void append_event(std::string& out, const RecordedEvent& event);

/// One page of a log whose newest event has the place `last`.
std::string page_json(const SessionId& session, EventSeq last,
                      std::span<const RecordedEvent> events);

}  // namespace parlance::dialects::console
