// Options of the front end: listeners, limits and times. The defaults suit one machine that serves
// some thousand chats; every limit has a stated refusal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace parlance::net {

/// Said of an address that others can reach, where nobody has to show a key.
inline constexpr std::string_view kOpenToOthers =
    "can be reached from other machines and no API keys are configured: give `api_keys`, or write "
    "`auth: none` on purpose";

/// What a key of the console has at least, and at most: it comes in a header.
inline constexpr std::size_t kConsoleKeyBytesMin = 16;
inline constexpr std::size_t kConsoleKeyBytesMax = 512;

struct Options {
  // ---- What /healthz tells of the process ----

  std::string version;      ///< Without characters that JSON escapes.
  std::string environment;  ///< Likewise: DEV, TEST or PRODUCTION.

  // ---- Where ----

  /// Addresses as "host:port", IPv6 as "[::1]:port". Port 0 takes a free one.
  std::vector<std::string> listen = {"127.0.0.1:8080", "127.0.0.1:8765", "127.0.0.1:8000",
                                     "127.0.0.1:8001"};

  // ---- Who ----

  /// Keys that a client may present. Empty: everything is open, which is refused for a listener
  /// that others can reach unless `auth_none` says so. From the environment or a file; never
  /// logged.
  std::vector<std::string> api_keys;
  /// What the operator's console is opened with, besides its page. Empty: nobody may. From the
  /// environment or a file; never logged.
  std::string console_key;
  /// Open on purpose, also beyond loopback (`auth: none`).
  bool auth_none = false;
  /// Origins such as "https://chat.example.org" whose pages may open sockets and change state,
  /// besides pages of the same host and port. Others get 403.
  /// Without keys these hosts are also the only ones besides loopback that may be asked for.
  std::vector<std::string> allowed_origins;

  // ---- Connections ----

  /// Open connections of the process. Also kept below its limit of open files. Past it: 503 with
  /// Retry-After, then closed.
  std::size_t connections_max = 16'000;
  /// Open connections of one client address; 0 is no limit. Past it: 503 with Retry-After.
  std::size_t connections_per_address_max = 0;
  /// Refused connections being told so at once; past it they are closed unanswered.
  std::size_t refusals_max = 64;
  /// How long a refused or failed connection may take to read its answer.
  std::chrono::milliseconds linger_timeout{2'000};
  /// Accepting pauses this long when the process or the system has no file descriptors left.
  std::chrono::milliseconds accept_pause{100};
  /// Granularity of the timeouts of WebSockets and event streams; one timer per core.
  std::chrono::milliseconds sweep_interval{1'000};

  // ---- HTTP ----

  std::size_t header_bytes_max = 16 << 10;           ///< Past it: 431.
  std::size_t body_bytes_max = 1 << 20;              ///< Past it: 413.
  std::chrono::milliseconds header_timeout{10'000};  ///< First byte to last of a header: 408.
  std::chrono::milliseconds body_timeout{30'000};    ///< For a body, or a MiB of a long one: 408.
  std::chrono::milliseconds write_timeout{30'000};   ///< For a whole answer.
  /// Between two requests, and before the first. Then the connection is closed.
  std::chrono::milliseconds keep_alive_timeout{60'000};

  // ---- Documents of the KISS stack ----

  /// One body of POST /documents, and one message of an authorized /ws. Past it: 413, close 1009.
  std::size_t documents_bytes_max = 64 << 20;
  /// Of all such bodies that a core holds at once. Past it: 503 with Retry-After, close 1013.
  std::size_t documents_bytes_total_max = 256 << 20;
  /// How long a /ws may be open without ON_AUTH. Then: close 4001.
  std::chrono::milliseconds ws_auth_timeout{10'000};

  // ---- Voice messages ----

  /// Where bodies of POST /api/v1/message/voice are kept while they arrive, in files without names.
  std::string spool_directory;
  std::size_t audio_bytes_max = 25 << 20;  ///< One recording. Past it: 413.
  /// Such bodies that a core takes in or works on at once. Past it: 503 with Retry-After.
  std::size_t uploads_max = 64;

  // ---- WebSocket ----

  /// Bytes of one message, over all its frames and after inflation. Past it: close 1009.
  std::size_t frame_bytes_max = 1 << 20;
  /// Bytes waiting to be sent to one client. Past it the slow reader is closed with 1013 and may
  /// resume from its cursor.
  std::size_t write_queue_bytes_max = 1 << 20;
  /// Commands of one connection that have no answer yet. At the limit its socket is not read.
  std::size_t commands_in_flight_max = 256;
  /// Pings, pongs and empty messages of one connection per sweep. Past it: close 1008.
  std::size_t control_frames_max = 1'000;
  /// Bytes of incomplete messages, and of those that wait behind commands of the same connection,
  /// per core. Past it: the connection that needs more is closed with 1013.
  std::size_t partial_bytes_max = 64 << 20;
  /// Silence before a ping; after two unanswered ones the connection is dead.
  std::chrono::milliseconds ping_interval{50'000};
  /// From the first byte of a message to its last, or for each MiB of it. Past it: close 1008.
  std::chrono::milliseconds read_timeout{30'000};
  /// For the peer's part of the closing handshake; then the socket is closed.
  std::chrono::milliseconds close_timeout{5'000};
  /// Agree to permessage-deflate (RFC 7692) where a client offers it. Costs time and, while a
  /// message is compressed, about 300 KiB per core; off by default.
  bool permessage_deflate = false;
  /// Shorter messages are sent as they are even with permessage-deflate.
  std::size_t deflate_bytes_min = 256;

  // ---- Server-sent events ----

  std::chrono::milliseconds sse_keep_alive{15'000};  ///< A comment after this much silence.
  std::chrono::milliseconds sse_retry{2'000};        ///< What clients are told to wait.

  // ---- Sessions as clients see them ----

  std::size_t message_bytes_max = 256 << 10;  ///< Text of one message or task.
  std::size_t ping_bytes_max = 1024;          ///< `data` of a ping message.
  /// Events of one page while a client catches up; the next page follows when the client has read
  /// most of the one before.
  std::size_t catch_up_events_max = 256;
  std::size_t catch_up_bytes_max = 128 << 10;
  std::size_t catch_up_low_water_bytes = 64 << 10;
  /// Newest events in a `gap` or `history` message, and their bytes.
  std::size_t snapshot_events_max = 256;
  std::size_t snapshot_bytes_max = 256 << 10;
  /// Newest events of `GET /history` without a limit, and the bytes of any one answer.
  std::size_t history_events_max = 10'000;
  std::size_t history_bytes_max = 4 << 20;
  /// Of all answers of /history that a core makes or sends at once.
  std::size_t history_bytes_total_max = 64 << 20;
};

}  // namespace parlance::net
