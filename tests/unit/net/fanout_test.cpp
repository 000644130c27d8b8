#include "net/fanout.h"

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "actors/platform_gateway.h"
#include "base/json.h"
#include "tests/unit/base/seeded.h"

using namespace parlance;
using net::AttachOptions;
using net::Fanout;
using net::Frame;
using net::Subscriber;
using net::Wire;

namespace {

const SessionId watched_session{"c1"};

/// A session's log, and everything that is under way from it. Nothing happens before a test says
/// so: what was recorded is told later, and a page is read at some moment between its request and
/// its reply.
class FakeGateway final : public actors::SessionGateway {
 public:
  explicit FakeGateway(Fanout& fanout) : fanout_(fanout) {}

  // ---- The session's side ----

  EventSeq record(Event event) {
    log.push_back({{epoch, log.size() + 1}, {0}, std::move(event)});
    untold_.push_back([this, seq = log.size()] {
      fanout_.on_recorded(watched_session, std::span(log).subspan(seq - 1, 1));
    });
    return log.size();
  }
  /// Removes what there is, and records that.
  void erase() {
    erased = log.size();
    record(LifecycleChanged{LifecycleState::deactivated});
  }
  void write(const MessageId& id, const std::string& text) {
    writing = id;
    text_so_far += text;
    untold_.push_back([this, id, text] {
      fanout_.on_passing(watched_session, TextDelta{id, text});
    });
  }
  void reset(const MessageId& id) {
    text_so_far.clear();
    untold_.push_back([this, id] { fanout_.on_passing(watched_session, TextReset{id}); });
  }
  void end_writing() {
    writing.reset();
    text_so_far.clear();
  }

  // ---- Time ----

  bool tell_one() {
    if (untold_.empty()) return false;
    auto tell = std::move(untold_.front());
    untold_.pop_front();
    tell();
    return true;
  }
  /// Has the log read for the first request that waits; its reply comes with reply_one().
  bool read_one() {
    if (reads_.empty()) return false;
    auto read = std::move(reads_.front());
    reads_.pop_front();
    replies_.push_back(read());
    return true;
  }
  bool reply_one() {
    if (replies_.empty()) return false;
    auto reply = std::move(replies_.front());
    replies_.pop_front();
    reply();
    return true;
  }
  void settle() {
    while (tell_one() || read_one() || reply_one()) {
    }
  }

  // ---- SessionGateway ----

  std::size_t home_of(const SessionId&) const override { return 0; }
  void submit(const SessionId&, SubmitMessage, SubmitReply) override { FAIL(); }
  void cancel(const SessionId&, CancelMessage, StatusReply) override { FAIL(); }
  void ping(const SessionId&, std::string, PingReply) override { FAIL(); }
  actors::PlatformGateway& platform() override { throw std::logic_error("no platform here"); }
  actors::ConsoleGateway& console() override { throw std::logic_error("no console here"); }
  void create_client(Scope, AuthorizedReply) override { FAIL(); }
  void refresh_client(SessionId, std::string, AuthorizedReply) override { FAIL(); }
  void change_lifecycle(const SessionId&, LifecycleCommand, StatusReply) override { FAIL(); }
  void store(const SessionId&, StoreDocuments, StoreReply) override { FAIL(); }
  void await_end(const SessionId&, MessageId, StatusReply, SpeechReply) override { FAIL(); }
  void read_passages(const SessionId&, std::vector<PassageId>, PassagesReply) override { FAIL(); }
  bool in_background(std::function<void()>, std::function<void()>) override { return false; }
  std::uint64_t run_once(std::string, RunOnceReply) override {
    FAIL();
    return 0;
  }
  void cancel_run_once(std::uint64_t) override { FAIL(); }
  bool stopping() const override { return false; }
  bool ready() const override { return true; }
  void snapshot(const SessionId&, SnapshotReply reply) override {
    // In order with what is told: the reply waits in the same queue, with the text of now.
    std::optional<TextSnapshot> now;
    if (writing) now = TextSnapshot{*writing, text_so_far};
    untold_.push_back([reply = std::move(reply), now] { reply(now); });
  }
  void read(const SessionId&, ReadEvents range, PageReply reply) override {
    ++reads;
    reads_.push_back([this, range, reply = std::move(reply)]() -> std::function<void()> {
      if (broken) {
        return [reply] { reply(Error{Errc::unavailable, "broken"}); };
      }
      EventPage page;
      page.last = {epoch, log.size()};
      std::size_t begin = range.after;
      std::size_t end = std::min(log.size(), begin + range.events_max);
      if (range.from_end) {
        end = log.size();
        begin = end - std::min(end, range.events_max);
      }
      for (std::size_t i = std::max<std::size_t>(begin, erased); i < end; ++i) {
        page.events.push_back(log[i]);
      }
      return [reply, page] { reply(page); };
    });
  }

  std::vector<RecordedEvent> log;
  std::optional<MessageId> writing;
  std::string text_so_far;
  std::uint64_t epoch = 7;
  EventSeq erased = 0;  ///< So many of the log's first events are gone.
  bool broken = false;
  int reads = 0;

 private:
  Fanout& fanout_;
  std::deque<std::function<void()>> untold_;
  std::deque<std::function<std::function<void()>()>> reads_;
  std::deque<std::function<void()>> replies_;
};

/// Writes down what it is sent, and reads its queue only when told to.
class FakeSubscriber final : public Subscriber {
 public:
  FakeSubscriber(Fanout& fanout, Wire wire) : Subscriber(wire), fanout_(fanout) {}
  ~FakeSubscriber() override { fanout_.detach(*this); }

  void send(const Frame& frame, EventSeq seq, Pace pace) override {
    frames.push_back(frame);
    queued += frame->size();
    if (pace == Pace::paged) paged_queued_max = std::max(paged_queued_max, queued);
    const std::string_view bytes = *frame;
    std::string json;
    if (wire() == Wire::sse) {
      json = bytes.substr(bytes.find("data: ") + 6);
      json.resize(json.size() - 2);
      ids.push_back(bytes.starts_with("id: ") ? std::string(bytes.substr(4, bytes.find('\n') - 4))
                                              : std::string());
    } else if (wire() == Wire::plain) {
      json = bytes;
    } else {
      const auto length = static_cast<unsigned char>(bytes[1]);
      json = bytes.substr(length < 126 ? 2 : length == 126 ? 4 : 10);
    }
    const auto document = json::parse(json);
    REQUIRE(document.has_value());
    const auto text = [&](const char* name) {
      const auto* member = json::find_string(*document, name);
      return member != nullptr ? std::string(json::view(*member)) : std::string();
    };
    types.push_back(text("type"));
    const auto place = document->FindMember("seq");
    const EventSeq told = place != document->MemberEnd() ? place->value.GetUint64() : 0;
    seqs.push_back(told);
    if (told != 0 && seq == 0) replayed.push_back(told);
    if (seq != 0) {
      REQUIRE(seq == told);
      recorded.push_back(seq);
    }
    if (types.back() == "agent_snapshot") shown = text("text");
    if (types.back() == "agent_delta") shown += text("delta");
    if (types.back() == "agent_reset") shown.clear();
  }
  std::size_t queued_bytes() const override { return queued; }
  void fail(const Error& error) override { failure = error.detail; }
  void on_told(Told) override { ++told; }
  bool wants(net::Telling telling, const MessageId& message) override {
    return message == wanted && telling != net::Telling::other;
  }

  void drain() {
    queued = 0;
    if (attached()) fanout_.on_drained(*this);
  }

  std::vector<Frame> frames;
  std::vector<std::string> types;
  std::vector<std::string> ids;
  std::vector<EventSeq> seqs;      ///< Of every frame; 0 for those that have none.
  std::vector<EventSeq> recorded;  ///< Of frames that moved the position on.
  std::vector<EventSeq> replayed;  ///< Of frames that a replay told.
  std::string shown;               ///< The text that deltas and snapshots add up to.
  std::string failure;
  MessageId wanted{"m1"};  ///< On the plain wire: nothing is told but steps and text of it.
  std::size_t queued = 0;
  std::size_t paged_queued_max = 0;
  int told = 0;

 private:
  Fanout& fanout_;
};

struct World {
  net::Options options;
  Fanout fanout{options};
  FakeGateway gateway{fanout};

  World() {
    options.catch_up_events_max = 4;
    options.catch_up_low_water_bytes = 300;
    options.snapshot_events_max = 5;
    fanout.set_gateway(&gateway);
  }
  std::unique_ptr<FakeSubscriber> watch(AttachOptions options_of_it = {},
                                        Wire wire = Wire::websocket) {
    auto made = std::make_unique<FakeSubscriber>(fanout, wire);
    fanout.attach(*made, watched_session, options_of_it);
    return made;
  }
  void step(const std::string& id = "m1") {
    gateway.record(StepRecorded{{id}, StepType::action, "s", {}, {}});
  }
  void settle_all(std::initializer_list<FakeSubscriber*> all) {
    for (int i = 0; i < 100; ++i) {
      gateway.settle();
      for (FakeSubscriber* one : all) one->drain();
    }
  }
};

std::vector<EventSeq> from_to(EventSeq first, EventSeq last) {
  std::vector<EventSeq> out;
  for (EventSeq seq = first; seq <= last; ++seq) out.push_back(seq);
  return out;
}

}  // namespace

TEST_CASE("a live watcher is told what is recorded from now on") {
  World world;
  world.step();
  world.gateway.settle();
  const auto watcher = world.watch();
  world.step();
  world.step();
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(2, 3));
  CHECK(world.gateway.reads == 0);
}

TEST_CASE("watchers of one form share the same bytes") {
  World world;
  const auto a = world.watch();
  const auto b = world.watch();
  const auto c = world.watch({}, Wire::sse);
  world.step();
  world.gateway.settle();
  CHECK(a->frames.at(0) == b->frames.at(0));
  CHECK(a->frames.at(0) != c->frames.at(0));
  CHECK(c->ids.at(0) == "7-1");
}

TEST_CASE("the users' messages are told to those who asked") {
  World world;
  const auto plain = world.watch();
  const auto acks = world.watch({.acks = true});
  world.gateway.record(MessageAccepted{{"m1"}, "hi", OnBusy::queue});
  world.step();
  world.gateway.settle();
  CHECK(plain->seqs == from_to(2, 2));
  CHECK(acks->seqs == from_to(1, 2));
}

TEST_CASE("on the plain wire only what is wanted is told, without framing") {
  World world;
  const auto plain = world.watch({.tokens = true}, Wire::plain);
  const auto other = world.watch({.tokens = true});
  world.gateway.settle();
  world.gateway.write({"m0"}, "no");
  world.step("m0");
  world.gateway.write({"m1"}, "yes");
  world.gateway.reset({"m1"});
  world.step("m1");
  world.gateway.record(RunEnded{{"m1"}, RunOutcome::completed, {}});
  world.gateway.settle();
  CHECK(plain->types == std::vector<std::string>{"agent_delta", "agent_reset", "agent_step"});
  CHECK(plain->frames.at(0)->starts_with('{'));
  CHECK(other->types.size() == 6);
}

TEST_CASE("on the plain wire another message's text so far is not told") {
  World world;
  world.gateway.write({"m0"}, "so far");
  const auto plain = world.watch({.tokens = true}, Wire::plain);
  const auto other = world.watch({.tokens = true});
  world.gateway.settle();
  CHECK(plain->types.empty());
  CHECK(other->types == std::vector<std::string>{"agent_snapshot"});
}

TEST_CASE("a cursor is served from the log, then live") {
  World world;
  for (int i = 0; i < 11; ++i) world.step();
  world.gateway.settle();
  const auto watcher = world.watch({.after = Cursor{7, 3}});
  world.settle_all({watcher.get()});
  REQUIRE(watcher->types.at(0) == "resumed");
  CHECK(watcher->recorded == from_to(4, 11));
  world.step();
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(4, 12));
}

TEST_CASE("a cursor at the end of the log only says so") {
  World world;
  world.step();
  world.gateway.settle();
  const auto watcher = world.watch({.after = Cursor{7, 1}});
  world.gateway.settle();
  CHECK(watcher->types == std::vector<std::string>{"resumed"});
}

TEST_CASE("the zero cursor is the beginning of any log") {
  World world;
  world.step();
  world.gateway.settle();
  const auto watcher = world.watch({.after = Cursor{}});
  world.gateway.settle();
  CHECK(watcher->types.at(0) == "resumed");
  CHECK(watcher->recorded == from_to(1, 1));
}

TEST_CASE("a cursor that cannot be served is a gap with the newest history") {
  World world;
  for (int i = 0; i < 9; ++i) world.step();
  world.gateway.settle();
  for (const Cursor cursor : {Cursor{6, 2}, Cursor{7, 10}}) {
    const auto watcher = world.watch({.after = cursor}, Wire::sse);
    world.gateway.settle();
    REQUIRE(watcher->types == std::vector<std::string>{"gap"});
    CHECK(watcher->ids.at(0) == "7-9");
    const auto document =
        json::parse(watcher->frames.at(0)->substr(watcher->frames.at(0)->find("data: ") + 6));
    CHECK((*document)["history"].Size() == 5);
  }
  const auto watcher = world.watch({.after = Cursor{6, 2}});
  world.gateway.settle();
  world.step();
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(10, 10));
}

TEST_CASE("who may hold what was erased is told of a gap, and who holds nothing is not") {
  World world;
  for (int i = 0; i < 3; ++i) world.step();
  world.gateway.settle();
  const auto live = world.watch();
  const auto caught_up = world.watch({.after = Cursor{}});
  world.gateway.settle();
  world.gateway.erase();
  world.gateway.settle();
  CHECK(live->types == std::vector<std::string>{"gap"});
  CHECK(caught_up->types.back() == "gap");
  CHECK(caught_up->recorded == from_to(1, 3));
  for (const EventSeq seq : {EventSeq{1}, EventSeq{3}}) {
    const auto late = world.watch({.after = Cursor{7, seq}});
    world.gateway.settle();
    CHECK(late->types == std::vector<std::string>{"gap"});
  }
  for (const Cursor cursor : {Cursor{}, Cursor{7, 4}}) {
    const auto fresh = world.watch({.after = cursor});
    world.gateway.settle();
    CHECK(fresh->types == std::vector<std::string>{"resumed"});
  }
}

TEST_CASE("what is erased while a watcher reads it is a gap") {
  World world;
  for (int i = 0; i < 9; ++i) world.step();
  world.gateway.settle();
  const auto watcher = world.watch({.after = Cursor{}});
  REQUIRE(world.gateway.read_one());
  REQUIRE(world.gateway.reply_one());
  CHECK(watcher->recorded == from_to(1, 4));
  world.gateway.erase();
  world.settle_all({watcher.get()});
  CHECK(watcher->types.back() == "gap");
  CHECK(watcher->recorded == from_to(1, 4));
}

TEST_CASE("what is recorded between the read and its reply is not lost") {
  World world;
  world.step();
  world.gateway.settle();
  const auto watcher = world.watch({.after = Cursor{7, 0}});
  REQUIRE(world.gateway.read_one());
  world.step();
  REQUIRE(world.gateway.tell_one());
  REQUIRE(world.gateway.reply_one());
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(1, 2));
}

TEST_CASE("what is told while an empty page is on its way is read again") {
  World world;
  const auto watcher = world.watch({.after = Cursor{7, 0}});
  REQUIRE(world.gateway.read_one());
  world.step();
  REQUIRE(world.gateway.tell_one());
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(1, 1));
}

TEST_CASE("what was read before it was told is not told twice") {
  World world;
  const auto watcher = world.watch({.after = Cursor{7, 0}});
  world.step();
  world.step();
  REQUIRE(world.gateway.read_one());
  REQUIRE(world.gateway.reply_one());
  CHECK(watcher->recorded == from_to(1, 2));
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(1, 2));
}

TEST_CASE("the next page waits until the queue is low") {
  World world;
  for (int i = 0; i < 40; ++i) world.step();
  world.gateway.settle();
  const auto watcher = world.watch({.after = Cursor{7, 0}});
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(1, 4));
  watcher->drain();
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(1, 8));
  world.settle_all({watcher.get()});
  CHECK(watcher->recorded == from_to(1, 40));
}

TEST_CASE("a hole in what is told sends a live watcher back to the log") {
  World world;
  const auto watcher = world.watch();
  world.step();
  world.gateway.settle();
  for (int i = 0; i < 3; ++i) world.step();
  // Seq 2 and 3 are never told.
  world.fanout.on_recorded(watched_session, std::span(world.gateway.log).subspan(3, 1));
  world.gateway.settle();
  CHECK(watcher->recorded == from_to(1, 4));
}

TEST_CASE("a log that cannot be read fails the watcher") {
  World world;
  world.step();
  world.gateway.broken = true;
  const auto watcher = world.watch({.after = Cursor{7, 0}});
  world.gateway.settle();
  CHECK(watcher->failure == "broken");
}

TEST_CASE("a watcher may die while the log is read for it") {
  World world;
  world.step();
  world.gateway.settle();
  auto watcher = world.watch({.tokens = true, .after = Cursor{7, 0}});
  REQUIRE(world.gateway.read_one());
  watcher.reset();
  CHECK(world.fanout.sessions() == 0);
  const auto another = world.watch();  // Takes the same slot.
  world.gateway.settle();
  CHECK(another->types.empty());
}

TEST_CASE("deltas go to those who asked for tokens") {
  World world;
  const auto plain = world.watch();
  const auto tokens = world.watch({.tokens = true});
  world.gateway.settle();
  world.gateway.write({"m1"}, "a");
  world.gateway.write({"m1"}, "b");
  world.gateway.settle();
  CHECK(plain->types.empty());
  CHECK(tokens->shown == "ab");
  world.gateway.reset({"m1"});
  world.gateway.settle();
  CHECK(tokens->types.back() == "agent_reset");
}

TEST_CASE("who attaches in the middle of an answer first gets the text so far") {
  World world;
  world.gateway.write({"m1"}, "so ");
  const auto watcher = world.watch({.tokens = true});
  world.gateway.write({"m1"}, "far");
  world.gateway.settle();
  CHECK(watcher->types == std::vector<std::string>{"agent_snapshot", "agent_delta"});
  CHECK(watcher->shown == "so far");
}

TEST_CASE("a stalled run is told to everybody, but not before the first frame") {
  World world;
  const auto live = world.watch();
  const auto opening = world.watch({.after = Cursor{7, 0}});
  world.fanout.on_passing(watched_session, RunStalled{{"m1"}, "disk full"});
  CHECK(live->types == std::vector<std::string>{"agent_error"});
  CHECK(opening->types.empty());
}

TEST_CASE("a message sent twice has its run told again and once") {
  World world;
  const auto watcher = world.watch();
  const EventSeq accepted = world.gateway.record(MessageAccepted{{"m1"}, "hi", OnBusy::queue});
  world.step("m1");
  world.step("other");
  world.gateway.record(RunEnded{{"m1"}, RunOutcome::completed, {}});
  world.step("other");
  world.gateway.settle();
  const auto before = watcher->seqs.size();
  world.fanout.replay(*watcher, {"m1"}, {7, accepted});
  world.settle_all({watcher.get()});
  CHECK(watcher->replayed == std::vector<EventSeq>{2, 4});
  CHECK(watcher->seqs.size() == before + 2);
  CHECK(watcher->told == 1);
}

TEST_CASE("a replay joins the live run in the order of its events") {
  World world;
  const EventSeq accepted = world.gateway.record(MessageAccepted{{"m1"}, "hi", OnBusy::queue});
  world.step("m1");
  world.gateway.settle();
  const auto watcher = world.watch();
  world.fanout.replay(*watcher, {"m1"}, {7, accepted});
  REQUIRE(world.gateway.read_one());  // Sees seq 2 only.
  world.step("m1");
  world.step("other");
  world.gateway.record(RunEnded{{"m1"}, RunOutcome::completed, {}});
  while (world.gateway.tell_one()) {
  }
  CHECK(watcher->seqs == std::vector<EventSeq>{4});  // The other message does not wait.
  world.settle_all({watcher.get()});
  CHECK(watcher->seqs == std::vector<EventSeq>{4, 2, 3, 5});
}

TEST_CASE("what a replay read before it was told is not told again") {
  World world;
  const auto watcher = world.watch();
  const EventSeq accepted = world.gateway.record(MessageAccepted{{"m1"}, "hi", OnBusy::queue});
  world.step("m1");
  world.step("other");
  world.fanout.replay(*watcher, {"m1"}, {7, accepted});
  REQUIRE(world.gateway.read_one());
  REQUIRE(world.gateway.reply_one());
  CHECK(watcher->seqs == std::vector<EventSeq>{2});
  world.step("m1");
  world.gateway.settle();
  CHECK(watcher->seqs == std::vector<EventSeq>{2, 3, 4});
}

TEST_CASE("what is remembered of replays is bounded where nothing happens") {
  World world;
  const int runs = 3 * static_cast<int>(net::kReplaysMax);
  std::vector<EventSeq> accepted;
  for (int i = 0; i < runs; ++i) {
    const MessageId id{"m" + std::to_string(i)};
    accepted.push_back(world.gateway.record(MessageAccepted{id, "hi", OnBusy::queue}));
    world.gateway.record(RunEnded{id, RunOutcome::completed, {}});
  }
  world.gateway.settle();
  const auto watcher = world.watch();  // Without a cursor: its place is not known.
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < runs; ++i) {
      world.fanout.replay(*watcher, {"m" + std::to_string(i)},
                          {7, accepted[static_cast<std::size_t>(i)]});
      world.settle_all({watcher.get()});
      CHECK(watcher->replays() <= net::kReplaysMax);
    }
    CHECK(watcher->told == (round + 1) * runs);
    CHECK(watcher->replayed.size() == static_cast<std::size_t>((round + 1) * runs));
  }
  world.step("m0");
  world.gateway.settle();
  CHECK(watcher->recorded.size() == 1);
  CHECK(watcher->replays() == 0);
}

TEST_CASE("history is told on request") {
  World world;
  world.step();
  const auto watcher = world.watch();
  world.fanout.send_history(*watcher);
  world.gateway.settle();
  CHECK(watcher->types == std::vector<std::string>{"agent_step", "history"});
  CHECK(watcher->told == 1);
}

/// Random interleavings of everything, against what must hold for each watcher.
TEST_CASE("watchers see every event once and in order whatever the timing") {
  test::Seeded random("fanout");
  struct Watcher {
    std::unique_ptr<FakeSubscriber> subscriber;
    AttachOptions options;
    EventSeq log_at_attach = 0;
    std::map<std::string, int> replays_asked;
  };
  for (int round = 0; round < 400; ++round) {
    World world;
    FakeGateway& gateway = world.gateway;
    std::vector<Watcher> watchers;
    std::map<std::string, EventSeq> accepted;  // Message id -> its place.
    std::set<std::string> ended;
    int next_message = 0;

    const auto check_order = [&](const Watcher& watcher) {
      const FakeSubscriber& seen = *watcher.subscriber;
      for (std::size_t i = 1; i < seen.recorded.size(); ++i) {
        REQUIRE(seen.recorded[i] > seen.recorded[i - 1]);
      }
    };

    for (int action = 0; action < 120; ++action) {
      switch (random.below(12)) {
        case 0: {
          const std::string id = "m" + std::to_string(next_message++);
          accepted[id] = gateway.record(MessageAccepted{{id}, "hi", OnBusy::queue});
          break;
        }
        case 1:
        case 2: {
          if (accepted.empty()) break;
          const auto message =
              std::next(accepted.begin(), static_cast<long>(random.below(accepted.size())));
          if (ended.contains(message->first)) break;
          if (random.one_in(4)) {
            gateway.record(RunEnded{{message->first}, RunOutcome::completed, {}});
            ended.insert(message->first);
          } else {
            world.step(message->first);
          }
          break;
        }
        case 3:
          gateway.write({"w"}, std::to_string(action) + ' ');
          break;
        case 4:
          if (random.one_in(3) && gateway.writing) gateway.reset({"w"});
          break;
        case 5: {
          if (watchers.size() >= 5) break;
          Watcher made;
          made.options.tokens = random.one_in(2);
          made.options.acks = random.one_in(2);
          if (!random.one_in(3)) {
            made.options.after = Cursor{7, random.below(gateway.log.size() + 1)};
          }
          made.log_at_attach = gateway.log.size();
          made.subscriber =
              world.watch(made.options, random.one_in(2) ? Wire::sse : Wire::websocket);
          watchers.push_back(std::move(made));
          break;
        }
        case 6:
          if (!watchers.empty() && random.one_in(3)) {
            const std::size_t leaving = random.below(watchers.size());
            check_order(watchers[leaving]);
            watchers.erase(watchers.begin() + static_cast<long>(leaving));
          }
          break;
        case 7: {
          if (watchers.empty() || accepted.empty()) break;
          Watcher& watcher = watchers[random.below(watchers.size())];
          const auto message =
              std::next(accepted.begin(), static_cast<long>(random.below(accepted.size())));
          ++watcher.replays_asked[message->first];
          world.fanout.replay(*watcher.subscriber, {message->first}, {7, message->second});
          break;
        }
        case 8:
          if (!watchers.empty()) watchers[random.below(watchers.size())].subscriber->drain();
          break;
        case 9:
          gateway.tell_one();
          break;
        case 10:
          gateway.read_one();
          break;
        default:
          gateway.reply_one();
      }
    }
    for (int i = 0; i < 300; ++i) {
      gateway.settle();
      for (Watcher& watcher : watchers) watcher.subscriber->drain();
    }

    for (const Watcher& watcher : watchers) {
      const FakeSubscriber& seen = *watcher.subscriber;
      check_order(watcher);
      if (watcher.options.after) REQUIRE(seen.types.at(0) == "resumed");
      // Every event after the cursor (or after the attach) that it may see, by one way or another.
      const EventSeq after =
          watcher.options.after ? watcher.options.after->seq : watcher.log_at_attach;
      std::map<EventSeq, int> times;
      for (const EventSeq seq : seen.recorded) ++times[seq];
      std::map<EventSeq, int> told;
      for (const EventSeq seq : seen.seqs) {
        if (seq != 0) ++told[seq];
      }
      for (const auto& [seq, count] : times) REQUIRE(count == 1);
      for (const RecordedEvent& event : gateway.log) {
        const bool visible =
            watcher.options.acks || !std::holds_alternative<MessageAccepted>(event.event);
        const std::string& id = message_of(event.event).text;
        const int asked = watcher.replays_asked.contains(id) ? watcher.replays_asked.at(id) : 0;
        INFO("round " << round << " seq " << event.cursor.seq << " message " << id << " asked "
                      << asked);
        if (!visible) {
          REQUIRE(told[event.cursor.seq] == 0);
        } else if (event.cursor.seq > after) {
          REQUIRE(told[event.cursor.seq] >= 1);
          REQUIRE(told[event.cursor.seq] <= 1 + asked);
        } else if (watcher.options.after) {
          REQUIRE(told[event.cursor.seq] <= asked);
        }
        if (visible && asked > 0) REQUIRE(told[event.cursor.seq] >= 1);
      }
      if (watcher.options.tokens && gateway.writing) {
        REQUIRE(seen.shown == gateway.text_so_far);
      }
      REQUIRE(seen.failure.empty());
    }
  }
}
