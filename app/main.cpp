// The program: reads the command line and the configuration, runs a server until a signal.

#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "app/command_line.h"
#include "app/server.h"
#include "base/log.h"
#include "config/settings.h"

namespace {

using namespace parlance;

constexpr int kBadUsage = 2;
/// In the working directory; read where STACK_CONFIG names no other.
constexpr const char* kStackFile = "stack.yaml";

/// "file:line: text". What is not about a line is of the environment or the command line, and names
/// which in its text; or of a file that it names.
std::string in_words(const app::CommandLine& line, const config::Problem& problem) {
  if (problem.line == 0) return fmt::format("parlance: {}", problem.text);
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
    fmt::print(stderr, "{}\n", in_words(line, problem));
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
      "  WebSocket: ws://{0}/chat/first\n\nready\n",
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

}  // namespace

int main(int argc, char** argv) {
  const app::CommandLine line = app::read_command_line(argc, argv);
  if (line.action == app::CommandLine::Action::exit) return line.exit_code;
  try {
    const auto settings = load_settings(line);
    if (!settings) return kBadUsage;
    if (line.action == app::CommandLine::Action::serve) return serve(line, *settings);
    for (const config::Problem& warning : settings->warnings) {
      fmt::print(stderr, "warning: {}\n", in_words(line, warning));
    }
    fmt::print("{} and environment: no problems\n",
               line.config_file.empty() ? "defaults" : line.config_file);
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "parlance: {}\n", e.what());
    return 1;
  }
}
