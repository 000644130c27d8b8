// The program: reads the command line and the configuration, runs a server until a signal.

#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "app/command_line.h"
#include "app/health_probe.h"
#include "app/import_kiss.h"
#include "app/server.h"
#include "base/log.h"
#include "config/settings.h"
#include "storage/migrations.h"
#include "storage/store.h"

namespace {

using namespace parlance;

constexpr int kBadUsage = 2;
/// In the working directory; read where STACK_CONFIG names no other.
constexpr const char* kStackFile = "stack.yaml";

/// "file:line: text"; the text alone where it is not about a line, and says what it is about.
std::string in_words(const app::CommandLine& line, const config::Problem& problem) {
  if (problem.line == 0) return problem.text;
  return fmt::format("{}:{}: {}", problem.file.empty() ? line.config_file : problem.file,
                     problem.line, problem.text);
}

/// The settings, or nothing after all problems were told on standard error.
std::optional<config::Settings> load_settings(const app::CommandLine& line) {
  std::string yaml;
  if (!line.config_file.empty()) {
    auto text = config::read_file(line.config_file);
    if (!text) {
      fmt::print(stderr, "parlance: {}\n", text.error().detail);
      return std::nullopt;
    }
    yaml = std::move(*text);
  }
  std::vector<config::Problem> problems;
  auto settings =
      config::read_settings(yaml, config::process_environment, problems, line.listen, kStackFile);
  for (const config::Problem& problem : problems) {
    fmt::print(stderr, "{}{}\n", problem.line == 0 ? "parlance: " : "", in_words(line, problem));
  }
  if (!problems.empty()) return std::nullopt;
  if (!line.data.empty()) settings.storage.directory = line.data;
  return settings;
}

void print_welcome(const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) fmt::print("listening on {}\n", address);
  const std::string& at = addresses.front();
  fmt::print(
      "\nTalk to it:\n"
      "  curl -s http://{0}/agent/run -H 'Content-Type: application/json' -d '{{\"task\": \"what "
      "is "
      "12 * (3 + 4)?\"}}'\n"
      "  curl -N http://{0}/chat/first/events &\n"
      "  curl -s http://{0}/chat/first/messages -H 'Content-Type: application/json' -d "
      "'{{\"message\": \"Hello!\"}}'\n"
      "  curl -s http://{0}/history/first\n"
      "  WebSocket: ws://{0}/chat/first\n"
      "  in a browser: http://{0}/\n\nready\n",
      at);
  std::fflush(stdout);
}

int serve(const app::CommandLine& line, const config::Settings& settings) {
  log::set_level(settings.log_level);
  for (const config::Problem& warning : settings.warnings) {
    log::warn("configuration warning={}", log::value(in_words(line, warning)));
  }
  // Blocked before any thread exists, so that every thread inherits it and only this one waits.
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto server = app::Server::start(settings);
  if (!server) {
    fmt::print(stderr, "parlance: {}\n", server.error().detail);
    return 1;
  }
  print_welcome((*server)->addresses());
  int signal = 0;
  sigwait(&stops, &signal);
  log::info("stopping signal={}", signal);
  // A second signal ends the process at once.
  pthread_sigmask(SIG_UNBLOCK, &stops, nullptr);
  (*server)->stop();
  log::info("stopped");
  return 0;
}

/// Where imported clients are kept.
/// A persistent client begins as one that closed its session: it authorizes with its secret. A
/// temporary one has no way back in, as it had none there.
app::StoreClient client_store(storage::Store& store) {
  return [&store](const app::ImportedClient& imported) -> Result<bool> {
    const bool persistent = imported.scope == to_string(Scope::persistent);
    const ClientRecord client{
        persistent ? Scope::persistent : Scope::temporary,
        persistent && imported.active ? LifecycleState::closed : LifecycleState::deactivated,
        imported.secret_hash, imported.created_at, 0};
    return store.add_client({imported.client_id}, client);
  };
}

void print_counts(const app::ImportReport& report) {
  fmt::print(stderr, "imported {}, there already {}, refused {}\n", report.imported, report.skipped,
             report.refused);
}

int fail(const Error& error) {
  fmt::print(stderr, "parlance: {}\n", error.detail);
  return 1;
}

int import_kiss(const app::CommandLine& line, const config::Settings& settings) {
  // Before the store, which is made where there is none.
  auto source = app::KissImport::open(line.import_file);
  if (!source) return fail(source.error());
  const auto store = storage::Store::open(settings.storage);
  if (!store) return fail(store.error());
  const auto report = source->run(wall_now(), client_store(**store), print_counts);
  if (!report) return fail(report.error());
  for (const auto& refusal : report->refusals) {
    fmt::print(stderr, "row {} refused: {}\n", refusal.row, refusal.reason);
  }
  if (report->refused > report->refusals.size()) {
    fmt::print(stderr, "and {} more refused\n", report->refused - report->refusals.size());
  }
  print_counts(*report);
  return report->refused == 0 ? 0 : 1;
}

int migrate(const app::CommandLine& line, const config::Settings& settings) {
  const auto plan =
      line.dry_run ? storage::plan_migration(settings.storage) : storage::migrate(settings.storage);
  if (!plan) return fail(plan.error());
  if (plan->steps.empty()) {
    fmt::print("the store in {} has layout {}: nothing to do\n", settings.storage.directory,
               plan->layout);
    return 0;
  }
  fmt::print("the store in {} {} layout {}\n", settings.storage.directory,
             line.dry_run ? "has" : "had", plan->layout);
  for (const auto& step : plan->steps) {
    fmt::print("{} layout {}: {} (records to rewrite: {})\n", line.dry_run ? "would make" : "made",
               step.layout, step.what, step.records);
  }
  if (line.dry_run) fmt::print("nothing was changed\n");
  return 0;
}

int health(const config::Settings& settings) {
  const auto body = app::probe_health(settings.net.listen.front());
  if (!body) return fail(body.error());
  fmt::print("{}\n", *body);
  return 0;
}

int check_config(const app::CommandLine& line, const config::Settings& settings) {
  for (const config::Problem& warning : settings.warnings) {
    fmt::print(stderr, "warning: {}\n", in_words(line, warning));
  }
  fmt::print("{} and environment: no problems\n",
             line.config_file.empty() ? "defaults" : line.config_file);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const app::CommandLine line = app::read_command_line(argc, argv);
  if (line.action == app::CommandLine::Action::exit) return line.exit_code;
  try {
    const auto settings = load_settings(line);
    if (!settings) return kBadUsage;
    switch (line.action) {
      case app::CommandLine::Action::serve:
        return serve(line, *settings);
      case app::CommandLine::Action::import_kiss:
        return import_kiss(line, *settings);
      case app::CommandLine::Action::migrate:
        return migrate(line, *settings);
      case app::CommandLine::Action::health:
        return health(*settings);
      case app::CommandLine::Action::check_config:
      case app::CommandLine::Action::exit:
        break;
    }
    return check_config(line, *settings);
  } catch (const std::exception& e) {
    fmt::print(stderr, "parlance: {}\n", e.what());
    return 1;
  }
}
