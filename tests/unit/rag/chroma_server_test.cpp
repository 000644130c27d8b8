// The client against a real Chroma: what it was built on still holds. Hidden, because it needs the
// server whose URL is in PARLANCE_TEST_CHROMA; ctest starts one (tests/blackbox/with_chroma.py).
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "http/transfer_loop.h"
#include "rag/chroma_client.h"

namespace parlance::rag {
namespace {

/// How long a real server may take for one call on a busy machine.
constexpr std::chrono::seconds kPatience{60};

struct Fixture {
  Fixture() : loop(io) {
    const char* const url = std::getenv("PARLANCE_TEST_CHROMA");
    if (url == nullptr) FAIL("PARLANCE_TEST_CHROMA has to be the URL of a Chroma server");
    options.chroma_url = url;
    client.emplace(loop, options);
  }

  /// What `ask(done)` tells.
  template <class T, class Ask>
  Result<T> ask(Ask&& ask) {
    std::optional<Result<T>> end;
    ask([&](Result<T> result) { end = std::move(result); });
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!end && std::chrono::steady_clock::now() < deadline) {
      if (io.stopped()) io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
    }
    REQUIRE(end.has_value());
    return *std::move(end);
  }
  Result<ChromaCollection> open(const std::string& name, const ChromaMetadata& metadata = {}) {
    return ask<ChromaCollection>(
        [&](auto done) { client->open_collection(name, metadata, std::move(done)); });
  }
  /// The id of a collection that holds nothing.
  std::string fresh(const std::string& name) {
    REQUIRE(remove(name).has_value());
    const auto collection = open(name);
    REQUIRE(collection.has_value());
    return collection->id;
  }
  Status remove(const std::string& name) {
    return ask<void>([&](auto done) { client->delete_collection(name, std::move(done)); });
  }
  Status upsert(const std::string& id, const std::vector<ChromaRecord>& records) {
    return ask<void>([&](auto done) { client->upsert(id, records, std::move(done)); });
  }
  Result<std::size_t> count(const std::string& id) {
    return ask<std::size_t>([&](auto done) { client->count(id, std::move(done)); });
  }
  Result<std::vector<ChromaMatch>> query(const std::string& id, const std::vector<float>& embedding,
                                         std::size_t results, const ChromaWhere& where = {}) {
    return ask<std::vector<ChromaMatch>>(
        [&](auto done) { client->query(id, embedding, results, where, std::move(done)); });
  }
  /// The ids that a query for (1, 0) finds, the nearest first.
  std::vector<std::string> found(const std::string& id, const ChromaWhere& where = {}) {
    const auto matches = query(id, {1, 0}, 100, where);
    REQUIRE(matches.has_value());
    std::vector<std::string> ids;
    for (const ChromaMatch& match : *matches) ids.push_back(match.id);
    return ids;
  }

  boost::asio::io_context io;
  http::TransferLoop loop;
  Options options;
  std::optional<ChromaClient> client;
};

/// A vector of length 1 at this angle.
std::vector<float> at(double degrees) {
  const double radians = degrees * 3.14159265358979 / 180;
  return {static_cast<float>(std::cos(radians)), static_cast<float>(std::sin(radians))};
}

/// Four records, in the order of their distance to (1, 0).
std::vector<ChromaRecord> four() {
  return {
      {"a", at(0), "first", {{"batch", "x"}, {"seq", std::int64_t{1}}}},
      {"b", at(30), "\xd8\xab\xd8\xa7\xd9\x86\xd9\x8a", {{"batch", "y"}, {"seq", std::int64_t{2}}}},
      {"c", at(60), "", {{"batch", "y"}, {"seq", std::int64_t{3}}}},
      {"d", at(180), "last", {}}};
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("Chroma answers the heartbeat", "[.chroma]") {
  Fixture f;
  CHECK(f.ask<void>([&](auto done) { f.client->heartbeat(std::move(done)); }).has_value());
}

TEST_CASE("a Chroma collection is made once and found by its name until it is deleted",
          "[.chroma]") {
  Fixture f;
  REQUIRE(f.remove("test.life").has_value());
  const ChromaMetadata metadata{{"s", "t"}, {"n", std::int64_t{3}}, {"f", 2.0}, {"b", true}};
  const auto made = f.open("test.life", metadata);
  REQUIRE(made.has_value());
  CHECK(made->name == "test.life");
  CHECK(made->metadata == metadata);
  const auto again = f.open("test.life", {{"s", "other"}});
  REQUIRE(again.has_value());
  CHECK(again->id == made->id);
  CHECK(again->metadata == metadata);
  const auto find = [&](auto done) { f.client->find_collection("test.life", std::move(done)); };
  CHECK(f.ask<ChromaCollection>(find).has_value());

  CHECK(f.remove("test.life").has_value());
  CHECK(f.remove("test.life").has_value());
  const auto gone = f.ask<ChromaCollection>(find);
  REQUIRE(gone.has_error());
  CHECK(gone.error().code == Errc::not_found);
  const auto counted = f.count(made->id);
  REQUIRE(counted.has_error());
  CHECK(counted.error().code == Errc::not_found);
  const auto stored = f.upsert(made->id, four());
  REQUIRE(stored.has_error());
  CHECK(stored.error().code == Errc::not_found);
}

TEST_CASE("Chroma takes every kind of name that passes the check", "[.chroma]") {
  Fixture f;
  for (const std::string& name : {std::string("abc"), std::string("A_b-c.d"),
                                  std::string("1.2.3.x"), std::string(512, 'a')}) {
    CHECK(f.open(name).has_value());
    CHECK(f.remove(name).has_value());
  }
}

TEST_CASE("Chroma finds the nearest records first, with all that was stored", "[.chroma]") {
  Fixture f;
  const std::string id = f.fresh("test.query");
  CHECK(f.found(id).empty());
  REQUIRE(f.upsert(id, four()).has_value());
  const auto matches = f.query(id, at(0), 3);
  REQUIRE(matches.has_value());
  REQUIRE(matches->size() == 3);
  CHECK((*matches)[0].id == "a");
  CHECK((*matches)[0].distance == Approx(0).margin(1e-6));
  CHECK((*matches)[1].document == four()[1].document);
  CHECK((*matches)[1].metadata == four()[1].metadata);
  CHECK((*matches)[1].distance == Approx(1 - std::sqrt(3.0) / 2).margin(1e-6));
  CHECK((*matches)[2].document.empty());
  CHECK(f.found(id) == Ids{"a", "b", "c", "d"});
}

TEST_CASE("Chroma's filters mean what ours say", "[.chroma]") {
  Fixture f;
  const std::string id = f.fresh("test.filters");
  REQUIRE(f.upsert(id, four()).has_value());
  const std::vector<std::string> x{"x"};
  const auto in_y = ChromaWhere::equal("batch", "y");
  const auto up_to_2 = ChromaWhere::at_most("seq", 2);
  const auto not_x = ChromaWhere::none_of("batch", x);
  CHECK(f.found(id, in_y) == Ids{"b", "c"});
  CHECK(f.found(id, up_to_2) == Ids{"a", "b"});
  CHECK(f.found(id, not_x) == Ids{"b", "c", "d"});
  CHECK(f.found(id, ChromaWhere::all(std::vector{up_to_2, not_x})) == Ids{"b"});
  CHECK(f.found(id, ChromaWhere::all(std::vector{up_to_2, not_x, in_y})) == Ids{"b"});
  CHECK(f.found(id, ChromaWhere::equal("batch", "z")).empty());
}

TEST_CASE("storing in Chroma again replaces, and adds nothing", "[.chroma]") {
  Fixture f;
  const std::string id = f.fresh("test.again");
  auto records = four();
  REQUIRE(f.upsert(id, records).has_value());
  records[3].embedding = at(0);
  records[0].embedding = at(180);
  REQUIRE(f.upsert(id, records).has_value());
  CHECK(f.count(id).value() == 4);
  CHECK(f.found(id) == Ids{"d", "b", "c", "a"});
}

TEST_CASE("Chroma gives and removes records by their ids and by a filter", "[.chroma]") {
  Fixture f;
  const std::string id = f.fresh("test.ids");
  REQUIRE(f.upsert(id, four()).has_value());
  const auto some = f.ask<std::vector<ChromaMatch>>([&](auto done) {
    f.client->get(id, {"d", "nobody", "b"}, std::move(done));
  });
  REQUIRE(some.has_value());
  CHECK(some->size() == 2);
  const auto remove = [&](auto done) { f.client->remove(id, {"a", "nobody"}, std::move(done)); };
  CHECK(f.ask<void>(remove).has_value());
  CHECK(f.ask<void>(remove).has_value());
  CHECK(f.found(id) == Ids{"b", "c", "d"});
  const auto remove_y = [&](auto done) {
    f.client->remove_where(id, ChromaWhere::equal("batch", "y"), std::move(done));
  };
  CHECK(f.ask<void>(remove_y).has_value());
  CHECK(f.ask<void>(remove_y).has_value());
  CHECK(f.found(id) == Ids{"d"});
}

TEST_CASE("Chroma's collections hold vectors of one length", "[.chroma]") {
  Fixture f;
  const std::string id = f.fresh("test.length");
  REQUIRE(f.upsert(id, four()).has_value());
  const auto stored = f.upsert(id, {{"e", {1, 0, 0}, "x", {}}});
  REQUIRE(stored.has_error());
  CHECK(stored.error().code == Errc::failed_precondition);
  const auto found = f.query(id, {1, 0, 0}, 1);
  REQUIRE(found.has_error());
  CHECK(found.error().code == Errc::failed_precondition);
}

TEST_CASE("Chroma takes the biggest record and the longest list", "[.chroma]") {
  Fixture f;
  const std::string id = f.fresh("test.size");
  std::vector<ChromaRecord> records;
  std::vector<std::string> ids;
  std::minstd_rand random(1);
  for (std::size_t i = 0; i < kChromaResultsMax; ++i) {
    ids.push_back(std::to_string(i));
    if (i >= 300) continue;
    records.push_back({ids.back(), std::vector<float>(1'536), "text", {}});
    for (float& number : records.back().embedding) {
      number = static_cast<float>(random() % 2'000) / 1'000 - 1;
    }
  }
  records[7].document.assign(1 << 20, '"');
  REQUIRE(f.upsert(id, records).has_value());
  CHECK(f.count(id).value() == records.size());
  const auto matches = f.query(id, records[7].embedding, kChromaResultsMax);
  REQUIRE(matches.has_value());
  REQUIRE_FALSE(matches->empty());
  CHECK((*matches)[0].id == "7");
  const bool whole = (*matches)[0].document == records[7].document;
  CHECK(whole);
  const auto all =
      f.ask<std::vector<ChromaMatch>>([&](auto done) { f.client->get(id, ids, std::move(done)); });
  REQUIRE(all.has_value());
  CHECK(all->size() == records.size());
}

TEST_CASE("Chroma lists the collections of a prefix, over all its pages", "[.chroma]") {
  Fixture f;
  for (int i = 0; i < 501; ++i) REQUIRE(f.open("page.other." + std::to_string(i)).has_value());
  REQUIRE(f.open("page.ours.1").has_value());
  REQUIRE(f.open("page.ours.2").has_value());
  const auto list = [&](const std::string& prefix) {
    return f.ask<std::vector<ChromaCollection>>(
        [&](auto done) { f.client->list_collections(prefix, std::move(done)); });
  };
  const auto ours = list("page.ours.");
  REQUIRE(ours.has_value());
  CHECK(ours->size() == 2);
  CHECK(list("page.").value().size() == 503);
  CHECK(list("page.nobody").value().empty());
}

}  // namespace parlance::rag
