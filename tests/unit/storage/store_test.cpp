#include "storage/store.h"

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <rocksdb/db.h>
#include <sys/resource.h>

#include "schemas/codec.h"
#include "storage/keys.h"
#include "tests/unit/base/seeded.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::storage {
namespace {

constexpr std::size_t kAnyBytes = 1 << 20;

Options small(const std::string& directory) {
  Options options;
  options.directory = directory;
  options.write_buffer_bytes = 1 << 20;
  options.block_cache_bytes = 1 << 20;
  return options;
}

std::unique_ptr<Store> must_open(const std::string& directory) {
  auto store = Store::open(small(directory));
  if (!store) FAIL(store.error().detail);
  return std::move(*store);
}

AppendRecord message(const std::string& id, const std::string& text = "text",
                     const std::string& key = {}) {
  return {encode(MessageAccepted{{id}, text, OnBusy::queue}, {1}), id, key};
}
AppendRecord step(const std::string& id, const std::string& text = "step") {
  return {encode(StepRecorded{{id}, StepType::final_answer, text, {}, {}}, {1}), {}, {}};
}
AppendRecord end(const std::string& id) {
  return {encode(RunEnded{{id}, RunOutcome::completed, {}}, {1}), {}, {}};
}

AppendRequest request(const std::string& session, EventSeq last, std::vector<AppendRecord> records,
                      std::optional<EventSeq> unfinished = {},
                      std::optional<EventSeq> unfinished_before = {}) {
  AppendRequest out;
  out.session = {session};
  out.last = last;
  out.records = std::move(records);
  out.unfinished = unfinished;
  out.unfinished_before = unfinished_before;
  return out;
}

std::vector<RecordOutcome> must_append(Store& store, AppendRequest request) {
  auto outcomes = store.append({&request, 1});
  if (!outcomes) FAIL(outcomes.error().detail);
  if (!(*outcomes)[0]) FAIL((*outcomes)[0].error().detail);
  return std::move(*(*outcomes)[0]);
}

/// A store in a directory of its own.
struct Fixture {
  test::TempDir directory;
  std::unique_ptr<Store> store = must_open(directory.path());

  std::vector<RecordOutcome> append(AppendRequest request) {
    return must_append(*store, std::move(request));
  }
  /// Steps 1 to `count` of session "s", each with a text of `bytes`.
  void fill(int count, std::size_t bytes = 4) {
    std::vector<AppendRecord> records;
    records.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) records.push_back(step("m", std::string(bytes, 'x')));
    append(request("s", 0, std::move(records)));
  }
  void reopen() {
    store.reset();
    store = must_open(directory.path());
  }
  EventPage read(const ReadEvents& range, const std::string& session = "s") const {
    auto page = store->read({session}, range);
    if (!page) FAIL(page.error().detail);
    return std::move(*page);
  }
  SessionImage load(const std::string& session = "s", std::size_t tail = kAnyBytes) const {
    auto image = store->load({session}, tail);
    if (!image) FAIL(image.error().detail);
    return std::move(*image);
  }
};

std::vector<EventSeq> places(const std::vector<RecordedEvent>& events) {
  std::vector<EventSeq> out;
  out.reserve(events.size());
  for (const RecordedEvent& event : events) out.push_back(event.cursor.seq);
  return out;
}

std::string text_of(const RecordedEvent& recorded) {
  if (const auto* accepted = std::get_if<MessageAccepted>(&recorded.event)) return accepted->text;
  return std::get<StepRecorded>(recorded.event).text;
}

using Places = std::vector<EventSeq>;

ReadEvents forward(EventSeq after, std::size_t events_max = 256,
                   std::size_t bytes_max = kAnyBytes) {
  ReadEvents range;
  range.after = after;
  range.events_max = events_max;
  range.bytes_max = bytes_max;
  return range;
}
ReadEvents backward(std::optional<EventSeq> before, std::size_t events_max = 256,
                    std::size_t bytes_max = kAnyBytes) {
  ReadEvents range = forward(0, events_max, bytes_max);
  range.before = before;
  range.from_end = !before.has_value();
  return range;
}
constexpr auto kFromEnd = std::nullopt;

// ---- Order ----

TEST_CASE("an unknown session is empty") {
  const Fixture f;
  const SessionImage image = f.load();
  CHECK(image.last.seq == 0);
  CHECK(image.events.empty());
  CHECK(f.read({}).events.empty());
  CHECK(f.read({}).last.seq == 0);
}

TEST_CASE("the first event has place 1, and the next ones have no hole") {
  Fixture f;
  CHECK(f.append(request("s", 0, {message("a"), step("a")}))[1].seq == 2);
  CHECK(f.append(request("s", 2, {end("a")}))[0].seq == 3);
  CHECK(places(f.read({}).events) == Places{1, 2, 3});
}

TEST_CASE("a dropped duplicate leaves no hole") {
  Fixture f;
  f.append(request("s", 0, {message("a")}));
  const auto outcomes = f.append(request("s", 1, {message("a"), message("b")}));
  CHECK(outcomes[0].duplicate);
  CHECK(outcomes[1].seq == 2);
}

TEST_CASE("events come back with their content, time and epoch") {
  Fixture f;
  f.append(request("s", 0,
                   {{encode(StepRecorded{{"m"}, StepType::action, "نص", {}, {}}, {77}), {}, {}}}));
  const RecordedEvent event = f.read({}).events.at(0);
  CHECK(event.cursor == Cursor{f.store->epoch(), 1});
  CHECK(event.time.ms == 77);
  CHECK(text_of(event) == "نص");
}

TEST_CASE("a group of many sessions gives each its own places") {
  Fixture f;
  std::vector<AppendRequest> group;
  group.reserve(50);
  for (int i = 0; i < 50; ++i) {
    group.push_back(request("s" + std::to_string(i), 0, {message("m", std::to_string(i))}));
  }
  REQUIRE(f.store->append(group).has_value());
  for (int i = 0; i < 50; ++i) {
    const auto events = f.read({}, "s" + std::to_string(i)).events;
    REQUIRE(events.size() == 1);
    CHECK(text_of(events[0]) == std::to_string(i));
  }
}

TEST_CASE("an empty group succeeds") {
  Fixture f;
  CHECK(f.store->append({}).has_value());
}

TEST_CASE("a session id that is a prefix of another has its own log") {
  Fixture f;
  f.append(request("a", 0, {message("m", "in a")}));
  f.append(request("ab", 0, {message("m", "in ab"), message("n", "in ab")}));
  f.append(request("a-", 0, {message("m", "in a-")}));
  CHECK(places(f.read({}, "a").events) == Places{1});
  CHECK(text_of(f.read(backward(kFromEnd), "a").events.at(0)) == "in a");
  CHECK(f.load("ab").last.seq == 2);
}

TEST_CASE("a message id of one session is not seen in one whose id is a prefix") {
  Fixture f;
  f.append(request("a", 0, {message("bm", "x", "bk")}));
  CHECK_FALSE(f.append(request("ab", 0, {message("m", "x", "k")}))[0].duplicate);
}

// ---- Duplicates ----

TEST_CASE("a message id that is in the log is a duplicate of the first") {
  Fixture f;
  f.append(request("s", 0, {message("a", "first")}));
  const RecordOutcome again = f.append(request("s", 1, {message("a", "first")}))[0];
  CHECK(again.duplicate);
  CHECK(again.same_content);
  CHECK(again.seq == 1);
}

TEST_CASE("a message id with another text has other content") {
  Fixture f;
  f.append(request("s", 0, {message("a", "first")}));
  const RecordOutcome again = f.append(request("s", 1, {message("a", "second")}))[0];
  CHECK(again.duplicate);
  CHECK_FALSE(again.same_content);
}

TEST_CASE("an idempotency key with the same message is a duplicate of the first") {
  Fixture f;
  f.append(request("s", 0, {message("a", "first", "key")}));
  const RecordOutcome again = f.append(request("s", 1, {message("a", "first", "key")}))[0];
  CHECK(again.duplicate);
  CHECK(again.same_content);
}

TEST_CASE("an idempotency key with another message has other content") {
  Fixture f;
  f.append(request("s", 0, {message("a", "first", "key")}));
  const auto [id, text] = GENERATE(table<std::string, std::string>({{"b", "first"}, {"b", "x"}}));
  const RecordOutcome again = f.append(request("s", 1, {message(id, text, "key")}))[0];
  CHECK(again.duplicate);
  CHECK_FALSE(again.same_content);
  CHECK(again.seq == 1);
}

TEST_CASE("a duplicate is not written") {
  Fixture f;
  f.append(request("s", 0, {message("a", "first", "key")}));
  f.append(request("s", 1, {message("a", "second"), message("b", "third", "key")}));
  CHECK(f.load().last.seq == 1);
}

TEST_CASE("duplicates are seen after the store is opened again") {
  Fixture f;
  f.append(request("s", 0, {message("a", "first", "key")}));
  f.reopen();
  CHECK(f.append(request("s", 1, {message("a", "first")}))[0].duplicate);
  CHECK(f.append(request("s", 1, {message("b", "first", "key")}))[0].duplicate);
}

TEST_CASE("the same id twice in one request is written once") {
  Fixture f;
  const auto outcomes = f.append(request("s", 0, {message("a", "x"), message("a", "x")}));
  CHECK_FALSE(outcomes[0].duplicate);
  CHECK(outcomes[1].duplicate);
  CHECK(outcomes[1].same_content);
  CHECK(outcomes[1].seq == 1);
  CHECK(f.load().last.seq == 1);
}

TEST_CASE("the same idempotency key twice in one request is written once") {
  Fixture f;
  const auto outcomes =
      f.append(request("s", 0, {step("z"), message("a", "x", "key"), message("b", "x", "key")}));
  CHECK(outcomes[2].duplicate);
  CHECK_FALSE(outcomes[2].same_content);
  CHECK(outcomes[2].seq == 2);
  CHECK(f.load().last.seq == 2);
}

AppendRecord question(const std::string& id, const std::string& text, const std::string& key = "") {
  AppendRecord out = message(id, text, key);
  out.only_if_known = true;
  return out;
}

TEST_CASE("whether a message is known can be asked without recording it") {
  Fixture f;
  f.append(request("s", 0, {message("a", "x", "key")}));
  const auto outcomes = f.append(request("s", 1,
                                         {question("a", "x"), question("b", "x"), message("b"),
                                          question("b", "other"), question("c", "x", "key")},
                                         1, 1));
  REQUIRE(outcomes.size() == 5);
  CHECK(outcomes[0].duplicate);
  CHECK(outcomes[0].same_content);
  CHECK(outcomes[0].seq == 1);
  CHECK_FALSE(outcomes[1].duplicate);
  CHECK_FALSE(outcomes[1].recorded());
  CHECK(outcomes[2].seq == 2);
  CHECK(outcomes[2].recorded());
  CHECK(outcomes[3].duplicate);
  CHECK_FALSE(outcomes[3].same_content);
  CHECK(outcomes[4].duplicate);
  CHECK(f.load().last.seq == 2);
}

TEST_CASE("a key that comes with a repeat is one more name for the message") {
  Fixture f;
  f.append(request("s", 0, {message("a", "x")}));
  CHECK(f.append(request("s", 1, {message("a", "x", "key")}, 1, 1))[0].duplicate);
  f.reopen();
  const RecordOutcome again = f.append(request("s", 1, {message("b", "x", "key")}, 1, 1))[0];
  CHECK(again.duplicate);
  CHECK(again.seq == 1);
}

TEST_CASE("a key that comes with another text is no name for the message") {
  Fixture f;
  f.append(request("s", 0, {message("a", "x")}));
  CHECK(f.append(request("s", 1, {message("a", "y", "key")}, 1, 1))[0].duplicate);
  CHECK(f.append(request("s", 1, {message("b", "z", "key")}, 1, 1))[0].recorded());
}

TEST_CASE("the key of one message is refused with another that is known, too") {
  Fixture f;
  f.append(request("s", 0, {message("a", "x"), message("b", "y", "key")}));
  const RecordOutcome mixed = f.append(request("s", 2, {message("a", "x", "key")}, 1, 1))[0];
  CHECK(mixed.duplicate);
  CHECK_FALSE(mixed.same_content);
}

TEST_CASE("what is in memory tells that an id, a key or a whole session is new") {
  Fixture f;
  CHECK(f.store->surely_empty({"s"}));
  CHECK(f.store->surely_new({"s"}, "a", "key"));
  f.append(request("s", 0, {message("a", "x", "key")}));
  CHECK_FALSE(f.store->surely_empty({"s"}));
  CHECK(f.store->surely_empty({"s2"}));
  CHECK_FALSE(f.store->surely_new({"s"}, "a", ""));
  CHECK_FALSE(f.store->surely_new({"s"}, "b", "key"));
  CHECK(f.store->surely_new({"s"}, "b", ""));
  CHECK(f.store->surely_new({"s2"}, "a", "key"));
}

TEST_CASE("what was written before a restart is never taken for new") {
  Fixture f;
  f.append(request("s", 0, {message("a", "x", "key")}));
  f.reopen();
  CHECK_FALSE(f.store->surely_empty({"s"}));
  CHECK_FALSE(f.store->surely_new({"s"}, "a", ""));
  CHECK_FALSE(f.store->surely_new({"s"}, "b", "key"));
}

TEST_CASE("a record that cannot be read fails the request that needs it, and no other") {
  Fixture f;
  AppendRecord damaged = message("a", "x");
  damaged.bytes = "no event";
  f.append(request("bad", 0, {damaged}));
  const std::vector<AppendRequest> group = {request("good", 0, {message("m")}),
                                            request("bad", 1, {step("a"), message("a", "x")}),
                                            request("other", 0, {message("m")})};
  const auto outcomes = f.store->append(group);
  REQUIRE(outcomes.has_value());
  REQUIRE(outcomes->size() == 3);
  CHECK((*outcomes)[0].has_value());
  REQUIRE_FALSE((*outcomes)[1].has_value());
  CHECK((*outcomes)[1].error().code == Errc::corrupted);
  CHECK((*outcomes)[2].has_value());
  CHECK_FALSE(f.store->refuses_writes());
  CHECK(f.load("good").last.seq == 1);
  CHECK(f.load("other").last.seq == 1);
  CHECK_FALSE(f.store->load({"bad"}, kAnyBytes).has_value());
  CHECK(f.append(request("good", 1, {message("n")}))[0].seq == 2);
}

// ---- What is unfinished ----

TEST_CASE("the marker of unfinished work follows what was appended") {
  struct Case {
    const char* what;
    std::optional<EventSeq> before;      // The marker before.
    std::optional<EventSeq> unfinished;  // As the request says.
    std::vector<AppendRecord> records;
    std::optional<EventSeq> after;
  };
  // Place 1 is the message "old"; what is appended comes after place 5.
  const Case c = GENERATE(values<Case>({
      {"a new message alone", {}, {}, {message("new")}, 6},
      {"a step, then a new message", {}, {}, {step("x"), message("new")}, 7},
      {"two new messages", {}, {}, {message("new"), message("newer")}, 6},
      {"a duplicate only", {}, {}, {message("old")}, {}},
      {"a duplicate and a new message", {}, {}, {message("old"), message("new")}, 6},
      {"an end and nothing left", 1, {}, {end("old")}, {}},
      {"an end and a new message", 1, {}, {end("old"), message("new")}, 7},
      {"an end, and another is left", 1, 3, {end("old")}, 3},
      {"an end, another is left, and a new message", 1, 3, {end("old"), message("new")}, 3},
      {"a step of what goes on", 1, 1, {step("old")}, 1},
      {"a new message behind what goes on", 1, 1, {message("new")}, 1},
      {"nothing recorded", 1, {}, {}, 1},
  }));
  CAPTURE(c.what);
  Fixture f;
  f.append(request("s", 0, {message("old"), step("old"), step("old"), step("old"), step("old")}));
  if (!c.before) f.append(request("s", 4, {step("old")}, {}, 1));  // Clears it; place 5 as it was.
  REQUIRE(f.load().unfinished == c.before);

  f.append(request("s", 5, c.records, c.unfinished, c.before));
  CHECK(f.load().unfinished == c.after);
}

TEST_CASE("sessions with unfinished messages are found, by their whole ids") {
  Fixture f;
  f.append(request("a", 0, {message("m")}));
  f.append(request("ab", 0, {message("m")}));
  f.append(request("done", 0, {message("m")}));
  f.append(request("done", 1, {end("m")}, {}, 1));
  f.reopen();
  const auto unfinished = f.store->unfinished_sessions();
  REQUIRE(unfinished.has_value());
  CHECK(*unfinished == std::vector<SessionId>{{"a"}, {"ab"}});
}

// ---- Text in progress ----

AppendRequest part(std::uint32_t index, const std::string& text, std::uint32_t dropped = 0) {
  AppendRequest out;
  out.session = {"s"};
  out.last = 1;
  out.unfinished = 1;
  out.partial = PartialText{{"m"}, index, text};
  out.parts_dropped = dropped;
  return out;
}

TEST_CASE("the parts of a text in progress are joined when it is loaded") {
  Fixture f;
  f.append(request("s", 0, {message("m")}));
  f.append(part(1, "one "));
  f.append(part(2, "two "));
  f.append(part(3, "ثلاثة"));
  f.reopen();
  const SessionImage image = f.load();
  CHECK(image.partial_message.text == "m");
  CHECK(image.partial_text == "one two ثلاثة");
  CHECK(image.partial_parts == 4);
}

TEST_CASE("a dropped text is gone") {
  Fixture f;
  f.append(request("s", 0, {message("m")}));
  f.append(part(1, "one "));
  f.append(part(2, "two "));
  AppendRequest drop = request("s", 1, {step("m")}, 1);
  drop.parts_dropped = 3;
  f.append(drop);
  CHECK(f.load().partial_text.empty());
  CHECK(f.load().partial_parts == 0);
}

TEST_CASE("a text that begins anew replaces the longer one before it") {
  Fixture f;
  f.append(request("s", 0, {message("m")}));
  for (std::uint32_t i = 1; i <= 3; ++i) f.append(part(i, "old "));
  f.append(part(1, "new", 4));
  CHECK(f.load().partial_text == "new");
  CHECK(f.load().partial_parts == 2);
}

TEST_CASE("a text without an unfinished message is not loaded") {
  Fixture f;
  f.append(request("s", 0, {message("m")}));
  f.append(part(1, "one "));
  f.append(request("s", 1, {end("m")}, {}, 1));
  CHECK(f.load().partial_text.empty());
}

TEST_CASE("keeping text leaves the log and what is unfinished alone") {
  Fixture f;
  f.append(request("s", 0, {message("m")}));
  f.append(part(1, "one "));
  CHECK(f.load().last.seq == 1);
  CHECK(f.load().unfinished == 1);
}

// ---- Loading ----

TEST_CASE("a load keeps to its bytes, from the end") {
  Fixture f;
  f.fill(10, 1'000);
  const SessionImage image = f.load("s", 3'500);
  CHECK(image.last.seq == 10);
  CHECK(places(image.events) == Places{8, 9, 10});
}

TEST_CASE("a load takes no event that alone is over its bytes") {
  Fixture f;
  f.fill(2, 1'000);
  const SessionImage image = f.load("s", 100);
  CHECK(image.events.empty());
  CHECK(image.last.seq == 2);
}

TEST_CASE("a load takes all since the oldest unfinished message, however much it is") {
  Fixture f;
  f.fill(10, 1'000);
  f.append(request("s", 10, {}, {}));
  f.append(request("s", 10, {step("m", std::string(1'000, 'x'))}, 4));
  CHECK(places(f.load("s", 100).events) == Places{4, 5, 6, 7, 8, 9, 10, 11});
}

TEST_CASE("a load takes the whole log where it fits") {
  Fixture f;
  f.fill(3);
  CHECK(places(f.load().events) == Places{1, 2, 3});
}

// ---- Reading ----

TEST_CASE("a forward read begins after its place") {
  Fixture f;
  f.fill(5);
  CHECK(places(f.read(forward(3)).events) == Places{4, 5});
}

TEST_CASE("a forward read of a page is bounded by events") {
  Fixture f;
  f.fill(5);
  const EventPage page = f.read(forward(1, 2));
  CHECK(places(page.events) == Places{2, 3});
  CHECK(page.last.seq == 5);
}

TEST_CASE("a forward read of a page is bounded by bytes") {
  Fixture f;
  f.fill(5, 1'000);
  CHECK(places(f.read(forward(0, 256, 2'500)).events) == Places{1, 2});
}

TEST_CASE("a read returns at least one event, whatever its bytes") {
  Fixture f;
  f.fill(2, 1'000);
  CHECK(places(f.read(forward(0, 256, 1)).events) == Places{1});
  CHECK(places(f.read(backward(kFromEnd, 256, 1)).events) == Places{2});
}

TEST_CASE("a forward read from the end of the log is empty") {
  Fixture f;
  f.fill(3);
  CHECK(f.read(forward(3)).events.empty());
  CHECK(f.read(forward(4)).events.empty());
}

TEST_CASE("a forward read after the greatest place is empty") {
  Fixture f;
  f.fill(3);
  CHECK(f.read(forward(UINT64_MAX)).events.empty());
}

TEST_CASE("a backward read ends before its place, in log order") {
  Fixture f;
  f.fill(5);
  CHECK(places(f.read(backward(4, 2)).events) == Places{2, 3});
}

TEST_CASE("a backward read before the first event is empty") {
  Fixture f;
  f.fill(3);
  CHECK(f.read(backward(1)).events.empty());
  CHECK(f.read(backward(0)).events.empty());
}

TEST_CASE("a backward read from beyond the end gives the end") {
  Fixture f;
  f.fill(3);
  CHECK(places(f.read(backward(UINT64_MAX, 2)).events) == Places{2, 3});
}

TEST_CASE("a read from the end gives the last events in log order") {
  Fixture f;
  f.fill(5);
  CHECK(places(f.read(backward(kFromEnd, 2)).events) == Places{4, 5});
}

TEST_CASE("pages read backward join to the whole log") {
  Fixture f;
  f.fill(23);
  Places all;
  std::optional<EventSeq> before = 24;
  while (before) {
    const Places page = places(f.read(backward(before, 5)).events);
    all.insert(all.begin(), page.begin(), page.end());
    before = page.empty() ? std::nullopt : std::optional(page.front());
  }
  REQUIRE(all.size() == 23);
  CHECK(all.front() == 1);
  CHECK(all.back() == 23);
}

TEST_CASE("an event that does not decode is an error and not a crash") {
  Fixture f;
  f.append(request("s", 0, {{"no event", {}, {}}}));
  const auto page = f.store->read({"s"}, {});
  REQUIRE_FALSE(page.has_value());
  CHECK(page.error().code == Errc::corrupted);
}

// ---- Opening ----

TEST_CASE("a store that is opened again has its epoch and its events") {
  Fixture f;
  f.fill(3);
  const std::uint64_t epoch = f.store->epoch();
  f.reopen();
  CHECK(f.store->epoch() == epoch);
  CHECK(places(f.read({}).events) == Places{1, 2, 3});
}

TEST_CASE("two stores have different epochs") {
  const Fixture a;
  const Fixture b;
  CHECK(a.store->epoch() != b.store->epoch());
}

TEST_CASE("an epoch is exact in a JavaScript number") {
  const Fixture f;
  CHECK(f.store->epoch() > 0);
  CHECK(f.store->epoch() < (1ULL << 53));
}

TEST_CASE("a store in use is refused to another") {
  const Fixture f;
  const auto second = Store::open(small(f.directory.path()));
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == Errc::unavailable);
  CHECK(second.error().detail.find(f.directory.path()) != std::string::npos);
}

TEST_CASE("a directory that cannot be made is an error that names it") {
  const test::TempDir directory;
  const auto store = Store::open(small(directory / "missing/deeper"));
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::unavailable);
  CHECK(store.error().detail.find("missing/deeper") != std::string::npos);
}

/// Opens a new store with `header` changed behind its back.
Result<std::unique_ptr<Store>> open_with_header(std::string_view key, const char* value) {
  const test::TempDir directory;
  must_open(directory.path()).reset();
  rocksdb::DB* raw = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  REQUIRE(rocksdb::DB::Open({}, directory / "rocksdb",
                            {{rocksdb::kDefaultColumnFamilyName, {}},
                             {std::string(keys::kIdFamily), {}},
                             {std::string(keys::kDocumentFamily), {}},
                             {std::string(keys::kPlatformFamily), {}}},
                            &families, &raw)
              .ok());
  const std::unique_ptr<rocksdb::DB> db(raw);
  for (auto* family : families) REQUIRE(db->DestroyColumnFamilyHandle(family).ok());
  const rocksdb::Slice name(key.data(), key.size());
  REQUIRE((value == nullptr ? db->Delete({}, name) : db->Put({}, name, value)).ok());
  REQUIRE(db->Close().ok());
  return Store::open(small(directory.path()));
}

TEST_CASE("a store of a newer layout is refused and says what to do") {
  const auto store = open_with_header(keys::kSchema, "4");
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::failed_precondition);
  CHECK(store.error().detail ==
        "the store has layout 4, this program knows 3; use the newer program that wrote it");
}

TEST_CASE("a store whose header is broken is corrupted") {
  const auto [key, value] = GENERATE(table<std::string_view, const char*>(
      {{keys::kSchema, "one"}, {keys::kEpoch, "12x"}, {keys::kEpoch, nullptr}}));
  CAPTURE(key);
  const auto store = open_with_header(key, value);
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::corrupted);
}

// ---- Failure ----

/// While it lives no file can grow: what a full disk does to the store.
class FullDisk {
 public:
  FullDisk() : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit none{1, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &none) == 0);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

Result<std::vector<AppendOutcome>> append_on_full_disk(Store& store) {
  const AppendRequest lost = request("s", 1, {message("lost", std::string(100'000, 'x'))});
  const FullDisk full;
  return store.append({&lost, 1});
}

TEST_CASE("a write that fails is unavailable") {
  Fixture f;
  f.append(request("s", 0, {message("kept")}));
  const auto outcome = append_on_full_disk(*f.store);
  REQUIRE_FALSE(outcome.has_value());
  CHECK(outcome.error().code == Errc::unavailable);
}

TEST_CASE("after a failed write every further one is refused, with the disk mended too") {
  Fixture f;
  f.append(request("s", 0, {message("kept")}));
  CHECK_FALSE(f.store->refuses_writes());
  REQUIRE_FALSE(append_on_full_disk(*f.store).has_value());
  CHECK(f.store->refuses_writes());
  const AppendRequest more = request("other", 0, {message("m")});
  const auto refused = f.store->append({&more, 1});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::unavailable);
}

TEST_CASE("reads go on after a failed write") {
  Fixture f;
  f.append(request("s", 0, {message("kept", "kept")}));
  REQUIRE_FALSE(append_on_full_disk(*f.store).has_value());
  CHECK(text_of(f.read({}).events.at(0)) == "kept");
  CHECK(f.load().last.seq == 1);
}

TEST_CASE("after a failed write a restart has what was acknowledged, and writes again") {
  Fixture f;
  f.append(request("s", 0, {message("kept", "kept")}));
  REQUIRE_FALSE(append_on_full_disk(*f.store).has_value());
  f.reopen();
  REQUIRE(f.load().last.seq == 1);
  CHECK(f.append(request("s", 1, {message("next")}))[0].seq == 2);
}

// ---- Everything at once ----

TEST_CASE("random appends and reopenings read back as they were written") {
  test::Seeded random("random appends and reopenings");
  Fixture f;
  std::vector<std::vector<std::string>> logs(4);
  for (int round = 0; round < 60; ++round) {
    INFO("seed " << random.seed() << " round " << round);
    if (random.one_in(15)) f.reopen();
    std::vector<AppendRequest> group;
    for (std::size_t s = 0; s < logs.size(); ++s) {
      if (random.one_in(2)) continue;
      std::vector<AppendRecord> records;
      const EventSeq last = logs[s].size();
      for (std::uint64_t left = random.below(5); left > 0; --left) {
        logs[s].push_back(random.text(30));
        records.push_back(step("m", logs[s].back()));
      }
      group.push_back(request("s" + std::to_string(s), last, std::move(records)));
    }
    REQUIRE(f.store->append(group).has_value());
  }
  for (std::size_t s = 0; s < logs.size(); ++s) {
    const EventPage page = f.read(forward(0, 1'000), "s" + std::to_string(s));
    std::vector<std::string> texts;
    for (const RecordedEvent& event : page.events) texts.push_back(text_of(event));
    CHECK(texts == logs[s]);
  }
}

TEST_CASE("a store tells how much it takes") {
  Fixture f;
  const auto before = f.store->usage();
  REQUIRE(before.has_value());
  CHECK(before->disk_bytes > 0);
  CHECK_FALSE(before->refuses_writes);
  std::vector<AppendRequest> group;
  group.push_back(request("s", 0, {step("m", std::string(200'000, 'x'))}));
  REQUIRE(f.store->append(group).has_value());
  const auto after = f.store->usage();
  REQUIRE(after.has_value());
  CHECK(after->memory_bytes > before->memory_bytes);
  CHECK(after->log_bytes.value() >= before->log_bytes.value() + 200'000);
}

TEST_CASE("a store whose directory cannot be listed still tells that it refuses writes") {
  Fixture f;
  REQUIRE_FALSE(append_on_full_disk(*f.store).has_value());
  const std::filesystem::path away = f.directory.path() + "-away";
  std::filesystem::rename(f.directory.path(), away);
  const auto view = f.store->usage();
  std::filesystem::rename(away, f.directory.path());
  REQUIRE(view.has_value());
  CHECK(view->refuses_writes);
  CHECK_FALSE(view->log_bytes.has_value());
}

}  // namespace
}  // namespace parlance::storage
