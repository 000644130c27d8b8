#include "app/import_kiss.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "auth/secret_hash.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::app {
namespace {

namespace fs = std::filesystem;

constexpr WallTime kNow{1'700'000'000'123};
constexpr std::string_view kTable =
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY, client_id VARCHAR(64), client_secret "
    "VARCHAR(255), scope VARCHAR(10), status, created_at);";

/// A database that is open, as the old server would have it.
class Sqlite {
 public:
  Sqlite(const std::string& path, std::string_view sql) {
    REQUIRE(sqlite3_open(path.c_str(), &handle_) == SQLITE_OK);
    run(sql);
  }
  ~Sqlite() { sqlite3_close(handle_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void run(std::string_view sql) {
    REQUIRE(sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr) ==
            SQLITE_OK);
  }

 private:
  sqlite3* handle_ = nullptr;
};

/// A row of `values`: client_id, client_secret, scope, status, created_at.
std::string insert(const std::string& values) {
  return "INSERT INTO sessions (client_id, client_secret, scope, status, created_at) VALUES (" +
         values + ");";
}

std::string good_row(const std::string& client_id) {
  return insert("'" + client_id + "', 'secret of " + client_id +
                "', 'persistent', 'active', '2024-12-20 10:11:12.5+00:00'");
}

struct Clients {
  std::map<std::string, ImportedClient> by_id;

  StoreClient store() {
    return [this](const ImportedClient& client) -> Result<bool> {
      return by_id.emplace(client.client_id, client).second;
    };
  }
};

Result<ImportReport> import_from(const std::string& path, const StoreClient& store) {
  auto source = KissImport::open(path);
  if (!source) return source.error();
  return source->run(kNow, store, [](const ImportReport&) {});
}

/// What one row with `values` becomes.
struct Imported {
  ImportReport report;
  Clients clients;

  explicit Imported(const std::string& values) {
    const test::TempDir directory;
    { const Sqlite made(directory / "s.db", std::string(kTable) + insert(values)); }
    auto result = import_from(directory / "s.db", clients.store());
    REQUIRE(result.has_value());
    report = *result;
  }

  const ImportedClient& one() const {
    for (const auto& refusal : report.refusals) UNSCOPED_INFO(refusal.reason);
    REQUIRE(clients.by_id.size() == 1);
    return clients.by_id.begin()->second;
  }
  std::string refusal() const {
    CHECK(clients.by_id.empty());
    REQUIRE(report.refusals.size() == 1);
    return report.refusals[0].reason;
  }
};

std::string failure(const std::string& path) {
  Clients clients;
  const auto result = import_from(path, clients.store());
  REQUIRE_FALSE(result.has_value());
  const std::string& text = result.error().detail;
  const std::size_t at = text.find(path);
  return at == std::string::npos ? text
                                 : text.substr(0, at) + "FILE" + text.substr(at + path.size());
}

/// Name and bytes of everything in `directory`.
std::map<std::string, std::string> content_of(const std::string& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    out[entry.path().filename()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return out;
}

// ---- Good files ----

TEST_CASE("a client keeps its credentials, its scope and its time") {
  const Imported imported(
      "'me', 'secret', 'persistent', 'active', '2024-12-20 10:11:12.500+00:00'");
  const ImportedClient& client = imported.one();
  CHECK(client.client_id == "me");
  CHECK(client.scope == "persistent");
  CHECK(client.active);
  CHECK(client.created_at == WallTime{1'734'689'472'500});
  CHECK(auth::verify_secret(client.secret_hash, "secret"));
  CHECK(imported.report.imported == 1);
  CHECK(imported.report.refused == 0);
}

TEST_CASE("a secret that is hashed already is kept as it is") {
  const std::string hash = *auth::hash_secret("secret");
  CHECK(Imported("'me', '" + hash + "', 'persistent', 'active', 1").one().secret_hash == hash);
}

TEST_CASE("a client that is there already is skipped and left as it is") {
  const test::TempDir directory;
  { const Sqlite made(directory / "s.db", std::string(kTable) + good_row("a") + good_row("b")); }
  Clients clients;
  clients.by_id["a"].secret_hash = "old";
  const auto report = import_from(directory / "s.db", clients.store());
  REQUIRE(report.has_value());
  CHECK(report->imported == 1);
  CHECK(report->skipped == 1);
  CHECK(clients.by_id["a"].secret_hash == "old");
}

TEST_CASE("importing twice adds nothing") {
  const test::TempDir directory;
  { const Sqlite made(directory / "s.db", std::string(kTable) + good_row("a") + good_row("b")); }
  Clients clients;
  REQUIRE(import_from(directory / "s.db", clients.store()).has_value());
  const auto again = import_from(directory / "s.db", clients.store());
  REQUIRE(again.has_value());
  CHECK(again->imported == 0);
  CHECK(again->skipped == 2);
}

TEST_CASE("a file without a row imports nothing") {
  const test::TempDir directory;
  { const Sqlite made(directory / "s.db", kTable); }
  Clients clients;
  const auto report = import_from(directory / "s.db", clients.store());
  REQUIRE(report.has_value());
  CHECK(report->imported + report->skipped + report->refused == 0);
}

TEST_CASE("columns may be in any order and case, and others beside them") {
  const test::TempDir directory;
  {
    const Sqlite made(directory / "s.db",
                      "CREATE TABLE Sessions (x, STATUS, scope, Created_At, Client_Secret, "
                      "CLIENT_ID); INSERT INTO sessions VALUES (1, 'active', 'temporary', 5, 's', "
                      "'me')");
  }
  Clients clients;
  REQUIRE(import_from(directory / "s.db", clients.store()).has_value());
  CHECK(clients.by_id.contains("me"));
}

TEST_CASE("a file with any name is opened") {
  const test::TempDir directory;
  const std::string path =
      directory / GENERATE("a b.db", "a?b#c%41.db", "جلسات.db", "x&mode=rw.db");
  { const Sqlite made(path, std::string(kTable) + good_row("a")); }
  Clients clients;
  REQUIRE(import_from(path, clients.store()).has_value());
  CHECK(clients.by_id.size() == 1);
}

TEST_CASE("progress is told after every hundredth row") {
  const test::TempDir directory;
  {
    Sqlite made(directory / "s.db", kTable);
    // Refused before they are hashed, which would take seconds.
    for (int i = 0; i < 250; ++i) made.run(insert("'', 's', 'persistent', 'active', 1"));
  }
  auto source = KissImport::open(directory / "s.db");
  REQUIRE(source.has_value());
  std::vector<std::uint64_t> told;
  Clients clients;
  const auto report = source->run(
      kNow, clients.store(), [&](const ImportReport& so_far) { told.push_back(so_far.refused); });
  REQUIRE(report.has_value());
  CHECK(told == std::vector<std::uint64_t>{100, 200});
  CHECK(report->refused == 250);
  CHECK(report->refusals.size() == ImportReport::kRefusalsMax);
}

// ---- Nothing is written ----

TEST_CASE("the file and what is beside it stay as they are") {
  const test::TempDir directory;
  const std::string mode = GENERATE("DELETE", "WAL");
  {
    const Sqlite made(directory / "s.db",
                      "PRAGMA journal_mode=" + mode + ";" + std::string(kTable) + good_row("a"));
  }
  const auto before = content_of(directory.path());
  fs::permissions(directory.path(), fs::perms::owner_read | fs::perms::owner_exec);
  Clients clients;
  const auto report = import_from(directory / "s.db", clients.store());
  fs::permissions(directory.path(), fs::perms::owner_all);
  REQUIRE(report.has_value());
  CHECK(clients.by_id.size() == 1);
  CHECK(content_of(directory.path()) == before);
}

TEST_CASE("rows that are only in the log beside the file are read, and it stays") {
  const test::TempDir live;
  const test::TempDir copy;
  {
    Sqlite made(live / "s.db", "PRAGMA journal_mode=WAL;" + std::string(kTable) + good_row("a"));
    made.run("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint=0;");
    made.run(good_row("b"));
    // As a crash leaves them: closing would move the log into the file.
    fs::copy_file(live / "s.db", copy / "s.db");
    fs::copy_file(live / "s.db-wal", copy / "s.db-wal");
  }
  REQUIRE(fs::file_size(copy / "s.db-wal") > 0);
  const auto before = content_of(copy.path());
  fs::permissions(copy.path(), fs::perms::owner_read | fs::perms::owner_exec);
  Clients clients;
  const auto report = import_from(copy / "s.db", clients.store());
  fs::permissions(copy.path(), fs::perms::owner_all);
  REQUIRE(report.has_value());
  CHECK(clients.by_id.contains("a"));
  CHECK(clients.by_id.contains("b"));
  CHECK(content_of(copy.path()) == before);
}

// ---- Values ----

TEST_CASE("a scope is read in any case and as Python writes it") {
  CHECK(Imported("'me', 's', 'TEMPORARY', 'active', 1").one().scope == "temporary");
  CHECK(Imported("'me', 's', 'SessionScope.PERSISTENT', 'active', 1").one().scope == "persistent");
}

TEST_CASE("a status is a name, an enumeration's name or its number") {
  const std::string active =
      GENERATE("'active'", "'ACTIVE'", "'SessionStatus.ACTIVE'", "1", "'1'", "NULL", "'on_init'");
  CHECK(Imported("'me', 's', 'persistent', " + active + ", 1").one().active);
}

TEST_CASE("a client that was closed is imported as such") {
  const std::string closed =
      GENERATE("'closed'", "'CLOSED'", "'SessionStatus.CLOSED'", "0", "2", "'0'", "'inactive'");
  CHECK_FALSE(Imported("'me', 's', 'persistent', " + closed + ", 1").one().active);
}

TEST_CASE("a time is read in ISO form and since 1970") {
  const auto [text, ms] = GENERATE(table<std::string, std::int64_t>({
      {"'2024-12-20 10:11:12'", 1'734'689'472'000},
      {"'2024-12-20T10:11:12Z'", 1'734'689'472'000},
      {"'2024-12-20 10:11:12.123456'", 1'734'689'472'123},
      {"'2024-12-20 12:11:12+02:00'", 1'734'689'472'000},
      {"'2024-12-20T05:41:12-0430'", 1'734'689'472'000},
      {"'2024-12-20 10:11'", 1'734'689'460'000},
      {"'2024-12-20'", 1'734'652'800'000},
      {"1734689472", 1'734'689'472'000},
      {"1734689472.25", 1'734'689'472'250},
      {"1734689472123", 1'734'689'472'123},
      {"'1734689472'", 1'734'689'472'000},
      {"NULL", kNow.ms},
  }));
  CAPTURE(text);
  CHECK(Imported("'me', 's', 'persistent', 'active', " + text).one().created_at == WallTime{ms});
}

// ---- Rows that are refused ----

TEST_CASE("a row that is wrong is refused with what is wrong") {
  const auto [values, why] = GENERATE(table<std::string, std::string>({
      {"'', 's', 'persistent', 'active', 1", "client_id is not 1 to 128 of A-Z a-z 0-9 . _ ~ -"},
      {"'a/b', 's', 'persistent', 'active', 1", "client_id is not 1 to 128 of A-Z a-z 0-9 . _ ~ -"},
      {"hex(zeroblob(65)), 's', 'persistent', 'active', 1",
       "client_id is not 1 to 128 of A-Z a-z 0-9 . _ ~ -"},
      {"NULL, 's', 'persistent', 'active', 1", "client_id is not a text"},
      {"x'6d65', 's', 'persistent', 'active', 1", "client_id is not a text"},
      {"'me', '', 'persistent', 'active', 1", "client_secret is empty"},
      {"'me', NULL, 'persistent', 'active', 1", "client_secret is not a text"},
      {"'me', x'00ff', 'persistent', 'active', 1", "client_secret is not a text"},
      {"'me', hex(zeroblob(513)), 'persistent', 'active', 1",
       "client_secret is longer than 1024 bytes"},
      {"'me', '$2b$12$abcdefghijklmnopqrstuv', 'persistent', 'active', 1",
       "client_secret is a hash, but not of Argon2id at a cost that can be verified"},
      {"'me', '$argon2id$v=19$m=9999999,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA', 'persistent', "
       "'active', 1",
       "client_secret is a hash, but not of Argon2id at a cost that can be verified"},
      {"'me', 's', 'forever', 'active', 1", "scope is neither temporary nor persistent"},
      {"'me', 's', NULL, 'active', 1", "scope is not a text"},
      {"'me', 's', 'persistent', 'strange', 1", "status is not known; known are active and closed"},
      {"'me', 's', 'persistent', x'01', 1", "status is neither a text nor a number"},
      {"'me', 's', 'persistent', 'active', 'yesterday'",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', '2024-02-30 00:00:00'",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', '2024-12-20 24:00:00'",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', '2024-12-20 10:11:12 x'",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', -1",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', 1e300",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', 'nan'",
       "created_at is neither an ISO time nor seconds since 1970"},
      {"'me', 's', 'persistent', 'active', x'01'",
       "created_at is neither an ISO time nor seconds since 1970"},
  }));
  CAPTURE(values);
  CHECK(Imported(values).refusal() == why);
}

TEST_CASE("a row that is refused does not keep the others out, and is named by its place") {
  const test::TempDir directory;
  {
    const Sqlite made(directory / "s.db", std::string(kTable) + good_row("a") +
                                              insert("'b', 's', 'x', 'active', 1") + good_row("c"));
  }
  Clients clients;
  const auto report = import_from(directory / "s.db", clients.store());
  REQUIRE(report.has_value());
  CHECK(report->imported == 2);
  REQUIRE(report->refusals.size() == 1);
  CHECK(report->refusals[0].row == 2);
}

// ---- Failures ----

TEST_CASE("a store that fails ends the import with its error") {
  const test::TempDir directory;
  { const Sqlite made(directory / "s.db", std::string(kTable) + good_row("a") + good_row("b")); }
  int calls = 0;
  const auto report = import_from(directory / "s.db", [&](const ImportedClient&) -> Result<bool> {
    ++calls;
    return Error{Errc::unavailable, "the disk is full"};
  });
  REQUIRE_FALSE(report.has_value());
  CHECK(report.error().detail == "the disk is full");
  CHECK(calls == 1);
}

TEST_CASE("a file that is no database is told as such") {
  const test::TempDir directory;
  std::ofstream(directory / "s.db") << std::string(4'096, 'x');
  CHECK(failure(directory / "s.db") == "FILE is not an SQLite database");
}

TEST_CASE("a file that is missing, or is a directory, is told as such") {
  const test::TempDir directory;
  CHECK(failure(directory / "missing") == "no file FILE");
  CHECK(failure(directory.path()) == "FILE is not a file");
}

TEST_CASE("a database without the table is told as such") {
  const test::TempDir directory;
  std::ofstream(directory / "empty.db") << "";
  CHECK(failure(directory / "empty.db") == "FILE has no table sessions");
  { const Sqlite made(directory / "s.db", "CREATE TABLE users (id)"); }
  CHECK(failure(directory / "s.db") == "FILE has no table sessions");
}

TEST_CASE("every column that is missing is named") {
  const test::TempDir directory;
  { const Sqlite made(directory / "s.db", "CREATE TABLE sessions (client_id, scope, status)"); }
  CHECK(failure(directory / "s.db") ==
        "the table sessions of FILE has no column client_secret, created_at");
}

TEST_CASE("a journal that a crash left is told before anything is read") {
  const test::TempDir directory;
  { const Sqlite made(directory / "s.db", std::string(kTable) + good_row("a")); }
  std::ofstream(directory / "s.db-journal") << "x";
  CHECK(failure(directory / "s.db").find("FILE-journal is left of a crash; ") == 0);
}

TEST_CASE("a file that is damaged in the middle ends the import with a word") {
  const test::TempDir directory;
  {
    Sqlite made(directory / "s.db", kTable);
    for (int i = 0; i < 200; ++i)
      made.run(insert("'', '" + std::string(200, 's') + "', 'x', 'y', 1"));
  }
  const auto size = fs::file_size(directory / "s.db");
  {
    std::fstream file(directory / "s.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4'096);
    file << std::string(size - 4'096, '\xff');
  }
  CHECK(failure(directory / "s.db").find("FILE is damaged: ") == 0);
}

TEST_CASE("no refusal shows a secret") {
  const test::TempDir directory;
  {
    Sqlite made(directory / "s.db", kTable);
    made.run(insert("'a/b', 'hidden', 'persistent', 'active', 1"));
    made.run(insert("'a', '$2b$hidden', 'persistent', 'active', 1"));
    made.run(insert("'a', 'hidden', 'hidden', 'active', 1"));
    made.run(insert("'a', 'hidden', 'persistent', 'hidden', 'hidden'"));
  }
  Clients clients;
  const auto report = import_from(directory / "s.db", clients.store());
  REQUIRE(report.has_value());
  CHECK(report->refused == 4);
  for (const auto& refusal : report->refusals) {
    CHECK(refusal.reason.find("hidden") == std::string::npos);
  }
}

}  // namespace
}  // namespace parlance::app
