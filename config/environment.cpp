#include "config/environment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace parlance::config {
namespace {

constexpr std::size_t kVersionBytesMax = 64;
constexpr std::string_view kProduction = "PRODUCTION";
constexpr std::array<std::string_view, 3> kEnvironments = {"DEV", "TEST", kProduction};
constexpr int kExpireMinutesMax = 525'600;
/// What the stack server's documents show, so that everybody knows it.
constexpr std::string_view kExampleSecretKey = "your-secure-random-secret-key";

/// The directory that `url`, the value of `name`, says; empty when it is none.
std::string read_database_url(const char* name, std::string_view url,
                              std::vector<Problem>& problems) {
  constexpr std::string_view kScheme = "rocksdb://";
  if (url.starts_with(kScheme) && url.size() > kScheme.size()) {
    return std::string(url.substr(kScheme.size()));
  }
  std::string text = fmt::format("{} must be rocksdb:///path/of/a/directory", name);
  if (url.starts_with("sqlite")) {
    text +=
        "; `parlance import-kiss FILE` imports the sessions of an SQLite file into such a "
        "directory";
  }
  problems.push_back({0, std::move(text)});
  return {};
}

void read_databases(Settings& out, const Environment& environment, std::vector<Problem>& problems) {
  std::string first;
  for (const char* name : {"DATABASE_URL", "SESSION_DB_URL"}) {
    const std::string url = environment(name);
    if (url.empty()) continue;
    const std::string directory = read_database_url(name, url, problems);
    if (directory.empty()) continue;
    if (!first.empty() && first != directory) {
      problems.push_back({0,
                          "DATABASE_URL and SESSION_DB_URL name two directories, but there is one "
                          "store; give one of them"});
    }
    first = directory;
    out.storage.directory = directory;
  }
}

void read_version(net::Options& net, const Environment& environment,
                  std::vector<Problem>& problems) {
  net.version = environment("APP_VERSION");
  if (net.version.empty()) net.version = PARLANCE_VERSION;
  const bool good = net.version.size() <= kVersionBytesMax &&
                    std::all_of(net.version.begin(), net.version.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                             (c >= 'a' && c <= 'z') ||
                             std::string_view(".-+_~").find(c) != std::string_view::npos;
                    });
  if (good) return;
  problems.push_back({0, fmt::format("APP_VERSION must be at most {} letters, digits and . - + _ ~",
                                     kVersionBytesMax)});
}

void read_kind_of_environment(net::Options& net, const Environment& environment,
                              std::vector<Problem>& problems) {
  net.environment = environment("ENV");
  if (net.environment.empty()) net.environment = kEnvironments.front();
  if (std::find(kEnvironments.begin(), kEnvironments.end(), net.environment) !=
      kEnvironments.end()) {
    return;
  }
  problems.push_back({0, fmt::format("ENV must be one of: {}", fmt::join(kEnvironments, ", "))});
}

void read_secret_key(auth::Options& auth, std::string key, std::vector<Problem>& problems,
                     std::vector<Problem>& warnings) {
  constexpr const char* kName = "ACCESS_TOKEN_SECRET_KEY";
  if (key.size() < auth::kSecretKeyBytesMin || key.size() > auth::kSecretKeyBytesMax) {
    problems.push_back({0, fmt::format("{} must have from {} to {} bytes, better {} random ones; "
                                       "without it a key is made in the data directory",
                                       kName, auth::kSecretKeyBytesMin, auth::kSecretKeyBytesMax,
                                       auth::kSecretKeyBytesGood)});
    return;
  }
  if (key == kExampleSecretKey) {
    warnings.push_back({0, fmt::format("{} is the example of the documents: anybody can make "
                                       "tokens that this server takes",
                                       kName)});
  } else if (key.size() < auth::kSecretKeyBytesGood) {
    warnings.push_back({0, fmt::format("{} is weak: it has fewer than {} bytes", kName,
                                       auth::kSecretKeyBytesGood)});
  }
  auth.secret_key = std::move(key);
}

void read_access_tokens(Settings& out, const Environment& environment,
                        std::vector<Problem>& problems) {
  if (std::string key = environment("ACCESS_TOKEN_SECRET_KEY"); !key.empty()) {
    read_secret_key(out.auth, std::move(key), problems,
                    out.net.environment == kProduction ? problems : out.warnings);
  }
  if (std::string name = environment("ACCESS_TOKEN_ALGORITHM"); !name.empty()) {
    if (auth::is_algorithm(name)) {
      out.auth.algorithm = std::move(name);
    } else {
      problems.push_back({0, fmt::format("ACCESS_TOKEN_ALGORITHM must be one of: {}",
                                         fmt::join(auth::kAlgorithms, ", "))});
    }
  }
  if (const std::string text = environment("ACCESS_TOKEN_EXPIRE_MINUTES"); !text.empty()) {
    int minutes = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, minutes);
    if (parsed.ec == std::errc{} && parsed.ptr == end && minutes >= 1 &&
        minutes <= kExpireMinutesMax) {
      out.auth.expires = std::chrono::minutes(minutes);
    } else {
      problems.push_back(
          {0, fmt::format("ACCESS_TOKEN_EXPIRE_MINUTES must be a whole number from 1 to {}",
                          kExpireMinutesMax)});
    }
  }
}

}  // namespace

void read_environment(Settings& out, const Environment& environment,
                      std::vector<Problem>& problems) {
  if (const std::string level = environment("LOG_LEVEL"); !level.empty()) {
    const auto parsed = log::parse_level(level);
    if (parsed) {
      out.log_level = *parsed;
    } else {
      problems.push_back({0, "LOG_LEVEL: " + parsed.error().detail});
    }
  }
  read_version(out.net, environment, problems);
  read_kind_of_environment(out.net, environment, problems);
  read_databases(out, environment, problems);
  read_access_tokens(out, environment, problems);
}

}  // namespace parlance::config
