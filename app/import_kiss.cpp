#include "app/import_kiss.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "auth/secret_hash.h"
#include "schemas/ids.h"

namespace parlance::app {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 5> kColumns = {"client_id", "client_secret", "scope", "status",
                                                 "created_at"};
constexpr int kRowBytesMax = 1 << 20;
constexpr std::uint64_t kProgressRows = 100;

using Statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;

bool has_bytes(const std::string& path) {
  std::error_code failed;
  const auto size = fs::file_size(path, failed);
  return !failed && size > 0;
}

/// `path` as SQLite's URI, which does not write and makes no files.
std::string uri_of(const std::string& path) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~";
  std::string out = "file://";
  for (const char c : fs::absolute(path).string()) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out + (has_bytes(path + "-wal") ? "?mode=ro&vfs=unix-none" : "?mode=ro&immutable=1");
}

Error failed(const std::string& path, int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return {Errc::invalid_argument, fmt::format("{} is not an SQLite database", path)};
    case SQLITE_CORRUPT:
    case SQLITE_TOOBIG:
      return {Errc::corrupted, fmt::format("{} is damaged: {}", path, sqlite3_errstr(code))};
    default:
      return {Errc::unavailable, fmt::format("cannot read {}: {}", path, sqlite3_errstr(code))};
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// "ACTIVE" of "SessionStatus.ACTIVE", which is how Python writes a member of an enumeration; in
/// lower case.
std::string member_name(std::string_view text) {
  const std::size_t dot = text.rfind('.');
  return lower(dot == std::string_view::npos ? text : text.substr(dot + 1));
}

template <std::size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

/// Takes a number of exactly `digits` digits, after `before`, from the front of `text`.
bool take_digits(std::string_view& text, std::string_view before, std::size_t digits, int& out) {
  if (!text.starts_with(before) || text.size() < before.size() + digits) return false;
  const char* begin = text.data() + before.size();
  const auto parsed = std::from_chars(begin, begin + digits, out);
  if (parsed.ec != std::errc{} || parsed.ptr != begin + digits || out < 0) return false;
  text.remove_prefix(before.size() + digits);
  return true;
}

/// Minutes east of UTC, of "", "Z", "+02", "+0200" or "+02:00".
std::optional<int> parse_zone(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return 0;
  if (text.front() != '+' && text.front() != '-') return std::nullopt;
  const int sign = text.front() == '-' ? -1 : 1;
  text.remove_prefix(1);
  int hours = 0;
  int minutes = 0;
  if (!take_digits(text, "", 2, hours) || hours > 23) return std::nullopt;
  if (!text.empty() && !take_digits(text, text.front() == ':' ? ":" : "", 2, minutes)) {
    return std::nullopt;
  }
  if (!text.empty() || minutes > 59) return std::nullopt;
  return sign * (hours * 60 + minutes);
}

/// "2026-01-02 03:04:05.678+00:00" and its shorter forms; without a zone it is UTC.
std::optional<WallTime> parse_iso(std::string_view text) {
  int year = 0;
  int month = 0;
  int day = 0;
  std::array<int, 3> clock{};
  if (!take_digits(text, "", 4, year) || !take_digits(text, "-", 2, month) ||
      !take_digits(text, "-", 2, day)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  double fraction = 0;
  if (!text.empty()) {
    if (text.front() != ' ' && text.front() != 'T') return std::nullopt;
    text.remove_prefix(1);
    if (!take_digits(text, "", 2, clock[0]) || !take_digits(text, ":", 2, clock[1])) {
      return std::nullopt;
    }
    if (text.starts_with(':') && !take_digits(text, ":", 2, clock[2])) return std::nullopt;
    if (text.starts_with('.')) {
      const auto end = std::min(text.find_first_not_of("0123456789", 1), text.size());
      std::from_chars(text.data(), text.data() + end, fraction);
      text.remove_prefix(end);
    }
  }
  const auto zone = parse_zone(text);
  if (!date.ok() || !zone || clock[0] > 23 || clock[1] > 59 || clock[2] > 59) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = ((days * 24 + clock[0]) * 60 + clock[1] - *zone) * 60 + clock[2];
  return WallTime{seconds * 1'000 + static_cast<std::int64_t>(fraction * 1'000)};
}

/// Seconds since 1970, or milliseconds where that many seconds would be past the year 5000.
std::optional<WallTime> from_epoch(double number) {
  constexpr double kSecondsMax = 1e11;
  constexpr double kMillisecondsMax = 1e14;
  if (!std::isfinite(number) || number < 0 || number > kMillisecondsMax) return std::nullopt;
  return WallTime{std::llround(number > kSecondsMax ? number : number * 1'000)};
}

std::optional<WallTime> parse_time(std::string_view text) {
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size()) {
    return from_epoch(number);
  }
  return parse_iso(text);
}

/// One row, from which each function reads one column. None of their errors shows a secret.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}

  Result<std::string> client_id() const {
    auto text = required_text(0);
    if (text && !valid_session_id(*text)) {
      return refused("client_id is not 1 to 128 of A-Z a-z 0-9 . _ ~ -");
    }
    return text;
  }

  Result<std::string> secret() const {
    auto text = required_text(1);
    if (!text) return text;
    if (text->empty()) return refused("client_secret is empty");
    if (text->size() > auth::kSecretBytesMax) {
      return refused(fmt::format("client_secret is longer than {} bytes", auth::kSecretBytesMax));
    }
    constexpr std::array<std::string_view, 6> kForeign = {"$argon2", "$2a$",    "$2b$",
                                                          "$2y$",    "$pbkdf2", "$scrypt"};
    const bool hashed = std::any_of(kForeign.begin(), kForeign.end(), [&](std::string_view start) {
      return text->starts_with(start);
    });
    if (hashed && !auth::is_secret_hash(*text)) {
      return refused("client_secret is a hash, but not of Argon2id at a cost that can be verified");
    }
    return text;
  }

  Result<std::string> scope() const {
    auto text = required_text(2);
    if (!text) return text;
    std::string name = member_name(*text);
    if (name != "temporary" && name != "persistent") {
      return refused("scope is neither temporary nor persistent");
    }
    return name;
  }

  Result<bool> active() const {
    if (type(3) == SQLITE_NULL) return true;
    if (type(3) == SQLITE_INTEGER) return sqlite3_column_int64(statement_, 3) == 1;
    if (type(3) != SQLITE_TEXT) return refused("status is neither a text nor a number");
    constexpr std::array<std::string_view, 9> kActive = {
        "active", "open", "1", "true", "on_auth", "on_init", "on_query", "on_store", "initialized"};
    constexpr std::array<std::string_view, 12> kClosed = {
        "closed",   "close",      "inactive", "deactivated", "expired", "revoked",
        "disabled", "terminated", "on_close", "0",           "2",       "false"};
    const std::string name = member_name(text(3));
    if (is_one_of(name, kActive)) return true;
    if (is_one_of(name, kClosed)) return false;
    return refused("status is not known; known are active and closed");
  }

  Result<WallTime> created_at(WallTime now) const {
    std::optional<WallTime> time;
    if (type(4) == SQLITE_NULL) return now;
    if (type(4) == SQLITE_TEXT) time = parse_time(text(4));
    if (type(4) == SQLITE_INTEGER || type(4) == SQLITE_FLOAT) {
      time = from_epoch(sqlite3_column_double(statement_, 4));
    }
    if (!time) return refused("created_at is neither an ISO time nor seconds since 1970");
    return *time;
  }

 private:
  static Error refused(std::string why) { return {Errc::invalid_argument, std::move(why)}; }

  int type(int column) const { return sqlite3_column_type(statement_, column); }

  std::string_view text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_, column);
    return {reinterpret_cast<const char*>(bytes),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

  Result<std::string> required_text(int column) const {
    if (type(column) != SQLITE_TEXT) {
      return refused(fmt::format("{} is not a text", kColumns[static_cast<std::size_t>(column)]));
    }
    return std::string(text(column));
  }

  sqlite3_stmt* statement_;
};

/// The client of `row`, with its secret hashed. Last, because that is what takes time.
Result<ImportedClient> read_client(const Row& row, WallTime now) {
  auto client_id = row.client_id();
  if (!client_id) return client_id.error();
  auto scope = row.scope();
  if (!scope) return scope.error();
  const auto active = row.active();
  if (!active) return active.error();
  const auto created_at = row.created_at(now);
  if (!created_at) return created_at.error();
  auto secret = row.secret();
  if (!secret) return secret.error();
  auto hash = auth::is_secret_hash(*secret) ? std::move(secret) : auth::hash_secret(*secret);
  if (!hash) return hash.error();
  return ImportedClient{std::move(*client_id), std::move(*scope), std::move(*hash), *active,
                        *created_at};
}

}  // namespace

class KissImport::Database {
 public:
  explicit Database(std::string path) : path_(std::move(path)) {}
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Status open() {
    int code = sqlite3_open_v2(uri_of(path_).c_str(), &handle_,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
    if (code != SQLITE_OK) return failed(path_, code);
    // Closing would else move the log into the file.
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_limit(handle_, SQLITE_LIMIT_LENGTH, kRowBytesMax);
    // Before the first read: the log's index is then kept in memory instead of in a file.
    code = sqlite3_exec(handle_, "PRAGMA locking_mode=EXCLUSIVE", nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failed(path_, code);
    return check_columns();
  }

  Result<Statement> prepare(const std::string& sql) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v2(handle_, sql.c_str(), -1, &made, nullptr);
    if (code != SQLITE_OK) return failed(path_, code);
    return Statement(made, &sqlite3_finalize);
  }

  const std::string& path() const { return path_; }

 private:
  Status check_columns() {
    auto statement = prepare("SELECT lower(name) FROM pragma_table_info('sessions')");
    if (!statement) return statement.error();
    std::vector<std::string> names;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(statement->get())) == SQLITE_ROW) {
      names.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(statement->get(), 0)));
    }
    if (code != SQLITE_DONE) return failed(path_, code);
    if (names.empty()) {
      return Error{Errc::invalid_argument, fmt::format("{} has no table sessions", path_)};
    }
    std::vector<std::string_view> missing;
    for (const char* column : kColumns) {
      if (std::find(names.begin(), names.end(), column) == names.end())
        missing.emplace_back(column);
    }
    if (missing.empty()) return {};
    return Error{Errc::invalid_argument, fmt::format("the table sessions of {} has no column {}",
                                                     path_, fmt::join(missing, ", "))};
  }

  const std::string path_;
  sqlite3* handle_ = nullptr;
};

KissImport::KissImport(std::unique_ptr<Database> database) : database_(std::move(database)) {}
KissImport::KissImport(KissImport&&) noexcept = default;
KissImport& KissImport::operator=(KissImport&&) noexcept = default;
KissImport::~KissImport() = default;

Result<KissImport> KissImport::open(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Error{Errc::not_found, fmt::format("no file {}", path)};
  if (!fs::is_regular_file(path, ignored)) {
    return Error{Errc::invalid_argument, fmt::format("{} is not a file", path)};
  }
  if (has_bytes(path + "-journal")) {
    return Error{Errc::failed_precondition,
                 fmt::format("{0}-journal is left of a crash; start and stop the old server once, "
                             "or open {0} with sqlite3, so that it is rolled back",
                             path)};
  }
  auto database = std::make_unique<Database>(path);
  if (auto opened = database->open(); !opened) return opened.error();
  return KissImport(std::move(database));
}

Result<ImportReport> KissImport::run(WallTime now, const StoreClient& store,
                                     const std::function<void(const ImportReport&)>& progress) {
  auto statement =
      database_->prepare(fmt::format("SELECT {} FROM sessions", fmt::join(kColumns, ", ")));
  if (!statement) return statement.error();
  ImportReport report;
  int code = SQLITE_ROW;
  for (std::uint64_t row = 1; (code = sqlite3_step(statement->get())) == SQLITE_ROW; ++row) {
    const auto client = read_client(Row(statement->get()), now);
    if (client) {
      const auto is_new = store(*client);
      if (!is_new) return is_new.error();
      ++(*is_new ? report.imported : report.skipped);
    } else if (client.error().code == Errc::invalid_argument) {
      ++report.refused;
      if (report.refusals.size() < ImportReport::kRefusalsMax) {
        report.refusals.push_back({row, client.error().detail});
      }
    } else {
      return client.error();
    }
    if (row % kProgressRows == 0) progress(report);
  }
  if (code != SQLITE_DONE) return failed(database_->path(), code);
  return report;
}

}  // namespace parlance::app
