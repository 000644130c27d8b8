#include "net/outbound_queue.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/unique_fd.h"

using namespace parlance::net;
using parlance::UniqueFd;

namespace {

struct Pair {
  UniqueFd ours, theirs;
  Pair() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
  }
  std::string read_all() const {
    std::string out;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = recv(theirs.get(), buffer, sizeof buffer, 0)) > 0) {
      out.append(buffer, static_cast<std::size_t>(got));
    }
    return out;
  }
};

Frame frame(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

}  // namespace

TEST_CASE("queued frames are written in order and the queue keeps nothing") {
  const Pair pair;
  OutboundQueue queue;
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string text = std::to_string(i) + ';';
    expected += text;
    queue.push(frame(text), static_cast<parlance::EventSeq>(i));
  }
  CHECK(queue.bytes() == expected.size());
  std::uint64_t written = 0;
  CHECK(queue.flush(pair.ours.get(), written) == OutboundQueue::Flushed::all);
  CHECK(written == expected.size());
  CHECK(queue.empty());
  CHECK(queue.bytes() == 0);
  CHECK(queue.last_seq_written() == 199);
  CHECK(pair.read_all() == expected);
}

TEST_CASE("a full socket blocks and goes on where it stopped") {
  const Pair pair;
  OutboundQueue queue;
  std::string expected;
  for (int i = 0; i < 64; ++i) {
    const std::string text(40'000, static_cast<char>('a' + i % 26));
    expected += text;
    queue.push(frame(text));
  }
  std::string got;
  std::uint64_t written = 0;
  int rounds = 0;
  while (queue.flush(pair.ours.get(), written) == OutboundQueue::Flushed::blocked) {
    got += pair.read_all();
    CHECK(queue.bytes() == expected.size() - written);
    REQUIRE(++rounds < 1000);
  }
  got += pair.read_all();
  CHECK(rounds > 0);
  CHECK(got == expected);
}

TEST_CASE("dropping what was not begun keeps the rest of the frame that was") {
  const Pair pair;
  OutboundQueue queue;
  queue.push(frame("first"), 1);
  queue.push(frame(std::string(4 << 20, 'x')), 2);
  queue.push(frame("never"), 3);
  std::uint64_t written = 0;
  REQUIRE(queue.flush(pair.ours.get(), written) == OutboundQueue::Flushed::blocked);
  CHECK(queue.last_seq_written() == 1);
  queue.drop_unsent();
  queue.push(frame("bye"));
  std::string got;
  int rounds = 0;
  while (queue.flush(pair.ours.get(), written) == OutboundQueue::Flushed::blocked) {
    got += pair.read_all();
    REQUIRE(++rounds < 1000);
  }
  got += pair.read_all();
  CHECK(got == "first" + std::string(4 << 20, 'x') + "bye");
}

TEST_CASE("a frame that was not begun is dropped whole") {
  OutboundQueue queue;
  queue.push(frame("a"));
  queue.push(frame("b"));
  queue.drop_unsent();
  CHECK(queue.empty());
  CHECK(queue.bytes() == 0);
}

TEST_CASE("a closed peer is a failure") {
  Pair pair;
  pair.theirs.reset();
  OutboundQueue queue;
  queue.push(frame("x"));
  std::uint64_t written = 0;
  CHECK(queue.flush(pair.ours.get(), written) == OutboundQueue::Flushed::failed);
}
