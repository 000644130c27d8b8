#pragma once
// One connection to the simulated upstream: reads requests, plays answers. HTTP/1.1 with keep-alive
// and pipelining; a request is looked at only when the answer before it is complete.
//
// An answer is either streamed (events of a ChatReply, each its own HTTP chunk, written when due;
// what is due at the same time goes out in one write) or one plain body. Both pass through
// a BodyWriter, which is where bodies are split and cut as the script says. The client's closing is
// noticed at any time: the socket is always watched for reading.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/fd.h"
#include "benchmarks/support/http.h"
#include "benchmarks/upstream/body_writer.h"
#include "benchmarks/upstream/chat_reply.h"
#include "benchmarks/upstream/script.h"

namespace parlance::benchmarks {

class UpstreamServer;

class UpstreamConnection : public EventSource {
 public:
  UpstreamConnection(UpstreamServer& server, Fd socket);
  ~UpstreamConnection() override;

  void on_ready(uint32_t events) override;

  size_t index() const { return index_; }
  void set_index(size_t index) { index_ = index; }

 private:
  enum class State { idle, waiting_plain, streaming, ending };

  struct Request {
    std::string_view method;
    std::string_view path;   // without the query and a leading "/v1"
    std::string_view query;  // without "?"
    std::string_view head;
    std::string_view body;
    size_t body_bytes = 0;  // also of an upload, of which `body` is the start
  };

  /// A recording that comes in and is not kept.
  struct Upload {
    std::string method;
    std::string path;
    std::string head;
    std::string start;
    size_t bytes = 0;
    size_t left = 0;
  };

  // Input.
  void read_input();
  void serve_buffered();
  bool take_request();
  bool take_upload();
  bool take_chunked_body(const HttpHead& head, std::string& body, size_t& bytes);
  void dispatch(const Request& request);
  void dispatch_model_call(const Request& request);
  void dispatch_control(const Request& request);

  // Answers.
  void answer_now(int status, std::string_view body);
  void begin_call(Behaviour behaviour);
  void answer_chat(const Request& request);
  void answer_embeddings(const Request& request);
  void answer_transcription(const Request& request);
  void answer_speech(const Request& request);
  bool answer_fault(bool stream);
  void answer_error();
  void answer_plain(int status, std::string body, std::string_view type, int64_t wait_ns);
  void begin_stream(ChatReply reply);
  void pump();
  void pump_stream();
  void pump_plain();
  bool send_pieces();
  void wait_until_due();
  void put_head(int status, std::string_view type, std::optional<size_t> length);
  void end_answer();
  void end_connection();

  // Output.
  bool flush();
  size_t unsent() const { return out_.size() - out_sent_; }
  void watch_writable(bool wanted);
  void close_now(bool reset);
  void drop();

  UpstreamServer& server_;
  Fd socket_;
  size_t index_ = 0;
  Timer timer_;
  State state_ = State::idle;
  bool dropped_ = false;
  bool call_active_ = false;

  std::string in_;
  size_t in_taken_ = 0;
  bool continue_sent_ = false;
  std::optional<Upload> upload_;
  bool keep_alive_ = true;
  bool chunked_ = true;  // streamed bodies are; not to an HTTP/1.0 client

  std::string out_;
  size_t out_sent_ = 0;
  bool watching_writable_ = false;

  // The answer that is being played.
  Behaviour behaviour_;
  BodyWriter body_;
  std::optional<ChatReply> reply_;
  int plain_status_ = 200;
  std::string plain_body_;
  std::string_view plain_type_;
  int64_t due_ns_ = 0;        // of what comes next
  int64_t piece_due_ns_ = 0;  // of the next piece of what is split
  bool wait_drawn_ = false;   // due_ns_ includes the next event's wait
  bool head_sent_ = false;
  bool body_over_ = false;
};

}  // namespace parlance::benchmarks
