// Clients, documents and passages in a real store.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "schemas/codec.h"
#include "schemas/record_codec.h"
#include "storage/store.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::storage {
namespace {

const SessionId client_session{"client"};

std::unique_ptr<Store> must_open_at(const std::string& directory) {
  Options options;
  options.directory = directory;
  options.write_buffer_bytes = 1 << 20;
  auto store = Store::open(options);
  if (!store) FAIL(store.error().detail);
  return std::move(*store);
}

void must_append(Store& store, EventSeq last, const Event& event, Beside beside,
                 const std::string& key = {}) {
  AppendRequest request;
  request.session = client_session;
  request.last = last;
  request.records.push_back({encode(event, {1}), {}, key});
  request.beside = std::move(beside);
  const auto outcomes = store.append({&request, 1});
  REQUIRE(outcomes.has_value());
  REQUIRE(outcomes->front().has_value());
}

void authorize(Store& store) {
  Beside beside;
  beside.client = ClientRecord{Scope::temporary, LifecycleState::authorized, "hash", {5}, 0};
  must_append(store, 0, LifecycleChanged{LifecycleState::authorized}, beside);
}

DocumentSet set_of(std::uint64_t number, const std::string& id) {
  return {number, {7}, {{id, id + ".txt", "text/plain", R"({"a":1})", 100, 2}}, {"tool"}};
}

void write_set(Store& store, std::uint64_t number, const std::string& text) {
  PassageBatch batch{client_session, number, 0, {}, {{}}};
  for (int i = 0; i < 2; ++i) {
    batch.passages.push_back(encode(Passage{0, 10, 20, text + std::to_string(i), "terms"}));
    batch.vectors[0].push_back(std::string(8, static_cast<char>('a' + i)));
  }
  REQUIRE(store.write_passages(batch).has_value());
}

void begin_set(Store& store, EventSeq last, std::uint64_t number) {
  Beside beside;
  beside.begun_set = number;
  must_append(store, last, LifecycleChanged{LifecycleState::initialized}, beside);
}

void store_set(Store& store, EventSeq last, std::uint64_t number, const std::string& id,
               const std::string& key = {}) {
  Beside beside;
  beside.stored_set = set_of(number, id);
  must_append(store, last, DocumentsStored{number, "digest", {"tool"}, {id}}, beside, key);
}

std::size_t passages_in(const Store& store, std::uint64_t set) {
  std::size_t count = 0;
  const Status read =
      store.read_passages(client_session, set, 0, 0, [&](const StoredPassage&) { return ++count; });
  REQUIRE(read.has_value());
  return count;
}

TEST_CASE("a client is kept with its session, also over a restart") {
  test::TempDir dir;
  { authorize(*must_open_at(dir.path())); }
  const auto store = must_open_at(dir.path());
  const auto client = store->client(client_session);
  REQUIRE(client->has_value());
  CHECK((*client)->secret_hash == "hash");
  CHECK(store->load(client_session, 1 << 20)->client.value() == client->value());
  CHECK_FALSE(store->client({"other"}).value().has_value());
}

TEST_CASE("a stored set is found with its passages and their vectors") {
  test::TempDir dir;
  const auto store = must_open_at(dir.path());
  authorize(*store);
  begin_set(*store, 1, 1);
  write_set(*store, 1, "text ");
  store_set(*store, 2, 1, "d1");
  CHECK(store->document_sets(client_session, 0).value() == std::vector{set_of(1, "d1")});
  CHECK(store->document_sets(client_session, 1)->empty());
  CHECK(store->has_document(client_session, "d1").value());
  CHECK(store->begun_sets(nullptr)->empty());
  std::vector<std::string> vectors;
  const auto keep = [&](const StoredPassage& passage) {
    vectors.push_back(passage.vector);
    return true;
  };
  REQUIRE(store->read_passages(client_session, 1, 0, 0, keep).has_value());
  CHECK(vectors == std::vector<std::string>{std::string(8, 'a'), std::string(8, 'b')});
  vectors.clear();
  REQUIRE(store->read_passages(client_session, 1, 0, 1, keep).has_value());
  CHECK(vectors == std::vector<std::string>{std::string(8, 'b')});
  const std::vector<PassageId> ids = {{1, 1}, {1, 9}, {1, 0}, {2, 0}};
  const auto texts = store->passage_texts(client_session, ids);
  REQUIRE(texts->size() == 2);
  CHECK((*texts)[0].text == "text 1");
  CHECK((*texts)[0].document_name == "d1.txt");
  CHECK((*texts)[0].metadata == R"({"a":1})");
}

TEST_CASE("an unfinished set is known after a restart, seen by nobody, and can be removed") {
  test::TempDir dir;
  {
    const auto store = must_open_at(dir.path());
    authorize(*store);
    begin_set(*store, 1, 1);
    write_set(*store, 1, "text ");
  }
  const auto store = must_open_at(dir.path());
  const std::vector<PassageId> ids = {{1, 0}};
  CHECK(store->passage_texts(client_session, ids)->empty());
  CHECK(store->document_sets(client_session, 0)->empty());
  const auto begun = store->begun_sets(nullptr);
  REQUIRE(begun->size() == 1);
  CHECK(begun->front().session == client_session);
  CHECK(begun->front().set == 1);
  REQUIRE(store->drop_begun_set(begun->front()).has_value());
  CHECK(passages_in(*store, 1) == 0);
  CHECK(store->begun_sets(nullptr)->empty());
}

TEST_CASE("an idempotency key stands for the documents that were stored with it") {
  test::TempDir dir;
  const auto store = must_open_at(dir.path());
  authorize(*store);
  store_set(*store, 1, 1, "d1", "key");
  const auto event = store->event_of_key(client_session, "key");
  REQUIRE(event->has_value());
  CHECK(std::get<DocumentsStored>((*event)->event).digest == "digest");
  CHECK_FALSE(store->event_of_key(client_session, "other")->has_value());
}

/// Whether any file of the store holds `text`.
bool on_disk(const std::string& directory, const std::string& text) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    if (bytes.str().find(text) != std::string::npos) return true;
  }
  return false;
}

TEST_CASE("an erased session leaves its client and its first and last event, and no byte more") {
  test::TempDir dir;
  const auto store = must_open_at(dir.path());
  const std::string secret = "Zk9-what-was-in-the-document";
  authorize(*store);
  begin_set(*store, 1, 1);
  write_set(*store, 1, secret);
  store_set(*store, 2, 1, "d1");
  must_append(*store, 3, StepRecorded{{"m"}, StepType::final_answer, secret, {}, {}}, {});
  Beside beside;
  beside.erase = true;
  beside.client = ClientRecord{Scope::temporary, LifecycleState::deactivated, "hash", {5}, 1};
  must_append(*store, 4, LifecycleChanged{LifecycleState::deactivated}, beside);

  CHECK(store->client(client_session)->value().state == LifecycleState::deactivated);
  CHECK(store->document_sets(client_session, 0)->empty());
  CHECK_FALSE(store->has_document(client_session, "d1").value());
  CHECK(passages_in(*store, 1) == 0);
  const auto page = store->read(client_session, {});
  REQUIRE(page->events.size() == 2);
  CHECK(page->events[1].cursor.seq == 5);

  CHECK(on_disk(dir.path(), secret));
  const std::vector<SessionId> erased = {client_session};
  REQUIRE(store->scrub(erased, [] { return true; }).value() == 1);
  CHECK_FALSE(on_disk(dir.path(), secret));
}

}  // namespace
}  // namespace parlance::storage
