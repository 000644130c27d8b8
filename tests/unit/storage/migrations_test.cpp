#include "storage/migrations.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <rocksdb/db.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/store.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::storage {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBoundaryVariable = "PARLANCE_TEST_MIGRATION_BOUNDARY";
constexpr const char* kDirectoryVariable = "PARLANCE_TEST_MIGRATION_DIRECTORY";
constexpr std::uint64_t kNewest = 3;
/// "plain", "tools", "arabic", each with one event for each of its messages' steps and ends.
constexpr std::size_t kPlainEvents = 9;
/// Ids and keys of the five messages with an end and of the one without.
constexpr std::uint64_t kIds = 9;

Options in(const std::string& directory) {
  Options options;
  options.directory = directory;
  options.write_buffer_bytes = 1 << 20;
  options.block_cache_bytes = 1 << 20;
  return options;
}

/// A copy of a store that an older version left in tests/data.
struct OldStore {
  explicit OldStore(const char* name) {
    fs::copy(std::string(PARLANCE_SOURCE_DIR) + "/tests/data/" + name, path(),
             fs::copy_options::recursive);
  }
  std::string path() const { return directory / "store"; }
  Options options() const { return in(path()); }

  test::TempDir directory;
};

template <class T>
T must(Result<T> result) {
  if (!result) FAIL(result.error().detail);
  return std::move(*result);
}

std::size_t events_of(const Store& store, const char* session) {
  ReadEvents all;
  all.events_max = 1'000;
  all.bytes_max = 1 << 20;
  return must(store.read({session}, all)).events.size();
}

/// Every file with its bytes.
std::map<std::string, std::string> snapshot(const std::string& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    std::ostringstream bytes;
    bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    out[entry.path().string()] = bytes.str();
  }
  return out;
}

AppendRequest repeat_of(const char* session, const char* id) {
  AppendRecord record{{}, id, {}};
  record.only_if_known = true;
  AppendRequest request;
  request.session = {session};
  request.records.push_back(std::move(record));
  return request;
}

/// The real steps, then one that moves nothing, with a place to die at before and after each part.
std::vector<Migration> steps_with_boundaries(const std::function<void(int)>& reach) {
  int boundary = 0;
  std::vector<Migration> out;
  for (Migration step : migrations()) {
    if (step.run) {
      const int before = boundary++;
      const int after = boundary++;
      step.run = [=, run = step.run](Engine& engine) {
        reach(before);
        auto records = run(engine);
        reach(after);
        return records;
      };
    }
    out.push_back(std::move(step));
  }
  const int last = boundary;
  out.push_back({out.back().layout + 1,
                 "a test's",
                 {"test"},
                 nullptr,
                 [=](Engine& engine) -> Result<std::uint64_t> {
                   reach(last);
                   CHECK(engine.db->Put({}, engine.family("test"), "half", "1").ok());
                   reach(last + 1);
                   return std::uint64_t{1};
                 }});
  return out;
}
constexpr int kBoundaries = 6;

/// Runs this program again, for the hidden test below; returns how it ended.
int die_at(int boundary, const std::string& directory) {
  const std::string at = std::string(kBoundaryVariable) + "=" + std::to_string(boundary);
  const std::string where = std::string(kDirectoryVariable) + "=" + directory;
  std::vector<char*> environment{const_cast<char*>(at.c_str()), const_cast<char*>(where.c_str()),
                                 nullptr};
  std::vector<char*> arguments{const_cast<char*>("parlance_unit_tests"),
                               const_cast<char*>("[.dies_in_a_migration]"), nullptr};
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(),
                      environment.data()) == 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("dies in a migration", "[.dies_in_a_migration]") {
  const char* boundary = std::getenv(kBoundaryVariable);    // NOLINT(concurrency-mt-unsafe)
  const char* directory = std::getenv(kDirectoryVariable);  // NOLINT(concurrency-mt-unsafe)
  if (boundary == nullptr || directory == nullptr) return;
  const int wanted = std::stoi(boundary);
  const auto steps = steps_with_boundaries([&](int reached) {
    if (reached == wanted) ::kill(::getpid(), SIGKILL);
  });
  FAIL(migrate(in(directory), steps).has_value());
}

TEST_CASE("a migration that was killed at any boundary goes on and loses nothing") {
  const OldStore old("store_1_one_family");
  const int boundary = GENERATE(range(0, kBoundaries));
  CAPTURE(boundary);
  const int status = die_at(boundary, old.path());
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);

  const auto steps = steps_with_boundaries([](int) {});
  CHECK(must(migrate(old.options(), steps)).steps.back().layout == kNewest + 1);
  CHECK(must(plan_migration(old.options(), steps)).steps.empty());
  const auto opened = must(open_newest(old.options(), OldLayout::refuse, steps));
  std::string value;
  for (const char* id : {"m0", "m1", "m2"}) {
    CHECK(
        opened.engine->db
            ->Get({}, opened.engine->family(keys::kIdFamily), keys::message({"plain"}, id), &value)
            .ok());
  }
  CHECK(must(migrations()[1].count(*opened.engine)) == 0);
}

TEST_CASE("a step is not taken again once its layout is written") {
  const OldStore old("store_1_one_family");
  CHECK(WIFSIGNALED(die_at(kBoundaries - 2, old.path())));
  const auto plan = must(plan_migration(old.options(), steps_with_boundaries([](int) {})));
  CHECK(plan.layout == kNewest);
  CHECK(plan.steps.size() == 1);
}

TEST_CASE("a store of every older layout opens with all its events") {
  const auto* name = GENERATE("store_1_one_family", "store_1", "store_2");
  CAPTURE(name);
  const OldStore old(name);
  const auto store = must(Store::open(old.options(), OldLayout::migrate));
  CHECK(events_of(*store, "plain") == kPlainEvents);
  CHECK(must(store->unfinished_sessions()).size() == 1);
}

TEST_CASE("a message of a store of an older layout is still known by its id") {
  const auto* name = GENERATE("store_1_one_family", "store_1", "store_2");
  CAPTURE(name);
  const OldStore old(name);
  const auto store = must(Store::open(old.options(), OldLayout::migrate));
  const AppendRequest repeat = repeat_of("unfinished", "u");
  auto outcomes = must(store->append({&repeat, 1}));
  // Its text differs, so it is a repeat of the id alone; what does not decode is an error.
  REQUIRE_FALSE(outcomes[0].has_value());
  CHECK(outcomes[0].error().code == Errc::corrupted);
}

TEST_CASE("a plan counts what is to do and changes no file") {
  const OldStore old("store_1_one_family");
  const auto before = snapshot(old.path());
  const auto plan = must(plan_migration(old.options()));
  CHECK(plan.layout == 1);
  REQUIRE(plan.steps.size() == kNewest - 1);
  CHECK(plan.steps[0].layout == 2);
  CHECK(plan.steps[0].records == kIds);
  CHECK(snapshot(old.path()) == before);
}

TEST_CASE("a migration changes as many records as its plan counted") {
  const OldStore old("store_1_one_family");
  CHECK(must(migrate(old.options())).steps.at(0).records == kIds);
}

TEST_CASE("a store of an older layout is not opened unless it may be migrated") {
  const OldStore old("store_1");
  const auto before = snapshot(old.path());
  const auto store = Store::open(old.options());
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::failed_precondition);
  CHECK(store.error().detail.find("has layout 1, this program writes 3; `parlance migrate`") !=
        std::string::npos);
  CHECK(snapshot(old.path()) == before);
}

TEST_CASE("a store with a column family of a newer layout is refused and left as it is") {
  const OldStore old("store_2");
  REQUIRE(migrate(old.options(), steps_with_boundaries([](int) {})).has_value());
  const auto before = snapshot(old.path());
  const auto store = Store::open(old.options(), OldLayout::migrate);
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::failed_precondition);
  CHECK(store.error().detail ==
        "the store has layout 4, this program knows 3; use the newer program that wrote it");
  CHECK(snapshot(old.path()) == before);
}

TEST_CASE("a document of a store of an older layout is still known by its id") {
  const OldStore old("store_2");
  const auto store = must(Store::open(old.options(), OldLayout::migrate));
  const SessionId session{"pbcmwYpDG9D_ifOooOMAaw"};
  CHECK(must(store->has_document(session, "moon")));
  CHECK(must(store->has_document(session, "qamar")));
  CHECK_FALSE(must(store->has_document(session, "sun")));
}

TEST_CASE("a store that is open is neither planned nor migrated") {
  const OldStore old("store_2");
  const auto store = must(Store::open(old.options(), OldLayout::migrate));
  for (const auto& refused : {plan_migration(old.options()), migrate(old.options())}) {
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::unavailable);
    CHECK(refused.error().detail.find("is open in another process") != std::string::npos);
  }
}

TEST_CASE("where there is no store nothing is migrated and nothing made") {
  const test::TempDir directory;
  const Options options = in(directory / "none");
  for (const auto& refused : {plan_migration(options), migrate(options)}) {
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::not_found);
  }
  CHECK_FALSE(fs::exists(directory / "none"));
}

TEST_CASE("a new store has the newest layout") {
  const test::TempDir directory;
  must(Store::open(in(directory.path()))).reset();
  const auto plan = must(plan_migration(in(directory.path())));
  CHECK(plan.layout == migrations().back().layout);
  CHECK(plan.steps.empty());
}

TEST_CASE("a store whose making was cut is made anew") {
  const test::TempDir directory;
  const Options options = in(directory.path());
  must(make_engine(options, {rocksdb::kDefaultColumnFamilyName, "ids"})).reset();
  CHECK(must(Store::open(options))->epoch() > 0);
}

TEST_CASE("a store with records and no layout is corrupted") {
  const test::TempDir directory;
  const Options options = in(directory.path());
  {
    const auto engine = must(make_engine(options, {rocksdb::kDefaultColumnFamilyName}));
    REQUIRE(engine->db->Put({}, "e", "x").ok());
  }
  const auto store = Store::open(options, OldLayout::migrate);
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::corrupted);
}

TEST_CASE("the layouts are numbered without a gap") {
  std::uint64_t expected = 1;
  for (const Migration& step : migrations()) CHECK(step.layout == expected++);
}

}  // namespace parlance::storage
