// The whole configuration of a node: one YAML file, perhaps a second one for the stack, and a few
// environment variables, read into each folder's options. Only this folder parses, only app/ sees
// all of it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/options.h"
#include "agent/options.h"
#include "auth/options.h"
#include "base/log.h"
#include "base/result.h"
#include "llm/options.h"
#include "net/options.h"
#include "rag/options.h"
#include "speech/options.h"
#include "storage/options.h"

namespace parlance::config {

/// One thing wrong with the configuration, or a warning about it. `line` is 0 where it is not about
/// a line, `file` empty where it is not about another file than the server's own.
struct Problem {
  int line = 0;
  std::string text;
  std::string file = {};
};

struct Settings {
  log::Level log_level = log::Level::info;
  /// How long runs in progress may take to end after SIGTERM, before clients are told to go.
  std::chrono::milliseconds drain_timeout{10'000};
  /// What clients are told to wait before they connect again.
  std::chrono::milliseconds retry_after{2'000};
  net::Options net;
  actors::Options sessions;
  agent::Options agent;
  llm::Options models;
  llm::SpeechOptions speech;
  speech::Options offline_speech;
  storage::Options storage;
  agent::Stack stack;
  rag::Options documents;
  auth::Options auth;  ///< Without a key where none is configured: see auth/key_file.h.
  /// What is accepted but had better be known, for the log at start.
  std::vector<Problem> warnings;
};

/// Reads a variable of the environment; empty when it is not set.
using Environment = std::function<std::string(const char* name)>;
std::string process_environment(const char* name);

/// Reads `yaml` (empty: all defaults) and then the environment, which wins:
///   OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL   a provider "openai", tried first; with the key
///                                                   also speech, where the file names none
///   PARLANCE_API_KEYS                               keys for clients, joined by commas
///   PARLANCE_CONSOLE_KEY                            the key of the operator's console
///   APP_VERSION, ENV (DEV, TEST or PRODUCTION)      told by /healthz and in the log
///   LOG_LEVEL; DATABASE_URL, SESSION_DB_URL (rocksdb:///path)
///   ACCESS_TOKEN_SECRET_KEY, ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_EXPIRE_MINUTES
///   STACK_CONFIG                                    the stack file
/// `listen`, where it is not empty, is the command line's and stands for the file's. The stack is
/// that of the stack file; without STACK_CONFIG that is `stack_file`, if there is such a file; else
/// it is the `stack` of `yaml`, else agent::Stack's default.
/// Reported are, in each file's order, the server's own file first: keys that are unknown or given
/// twice, wrong types, values out of range, and whatever else would keep the server from starting
/// or could never work.
Settings read_settings(std::string_view yaml, const Environment& environment,
                       std::vector<Problem>& problems, const std::vector<std::string>& listen = {},
                       const std::string& stack_file = {});

/// The text of `path`. Errors: unavailable (cannot be read), resource_exhausted (over 1 MiB).
Result<std::string> read_file(const std::string& path);

}  // namespace parlance::config
