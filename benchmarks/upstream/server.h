#pragma once
// The simulated upstream as a server: what its connections share, and its routes.
//
//   POST [/v1]/chat/completions      the script's next behaviour, streamed or plain
//   POST [/v1]/embeddings            unit vectors; texts with words in common are near each other
//   GET  [/v1]/models
//   POST [/v1]/audio/transcriptions  some words; the form is read without being kept
//   POST [/v1]/audio/speech          silence as MP3, in pieces
//   GET  /stats                      what has been counted so far
//   GET  /requests                   the last 64 chat bodies as a JSON array (?route=embeddings,
//                                    transcriptions or speech for those; of a form its size and
//                                    texts; &headers=1 for objects with "headers" and "body")
//   PUT  /script                     another script, from its beginning; POST /reset: counters,
//   recorded requests and the script's
//                                    place as at the start
//
// Thread: one. The server owns its connections.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/fd.h"
#include "benchmarks/upstream/script.h"
#include "benchmarks/upstream/settings.h"
#include "benchmarks/upstream/vocabulary.h"

namespace parlance::benchmarks {

class UpstreamConnection;

struct UpstreamStats {
  uint64_t connections = 0;  // accepted so far
  uint64_t requests = 0;     // model calls: chat, embeddings, audio
  uint64_t active = 0;       // begun and not ended
  uint64_t completed = 0;    // ended as the script wanted it, faults included
  uint64_t cancelled = 0;    // the client closed before the end
  uint64_t tokens = 0;       // handed to the kernel or about to be
  uint64_t bytes = 0;        // written to sockets
};

class UpstreamServer {
 public:
  /// Takes a listening socket.
  UpstreamServer(EventLoop& loop, Fd listener, const UpstreamSettings& settings, Script script);
  ~UpstreamServer();

  EventLoop& loop() { return loop_; }
  const UpstreamSettings& settings() const { return settings_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  UpstreamStats& stats() { return stats_; }
  Script& script() { return script_; }

  /// Remembers a request for GET /requests.
  void record(Route route, std::string_view head, std::string_view body);

  std::string stats_json() const;
  std::string requests_json(Route route, bool with_headers) const;
  void replace_script(Script script);
  void reset();

  /// Closes and forgets `connection`; it lives until the end of the current round of events.
  void drop(UpstreamConnection& connection);

 private:
  class Acceptor;
  struct RecordedRequest {
    Route route;
    std::string head;
    std::string body;
  };

  void accept_all();

  EventLoop& loop_;
  Fd listener_;
  UpstreamSettings settings_;
  Vocabulary vocabulary_;
  Script script_at_start_;
  Script script_;
  UpstreamStats stats_;
  std::deque<RecordedRequest> recorded_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<std::unique_ptr<UpstreamConnection>> connections_;
};

}  // namespace parlance::benchmarks
