#include "app/command_line.h"

#include <CLI/CLI.hpp>

namespace parlance::app {

CommandLine read_command_line(int argc, char** argv) {
  CommandLine out;
  CLI::App app{"Parlance: a durable, resumable chat backend. One binary, one log per chat."};
  app.set_version_flag("--version", "parlance " PARLANCE_VERSION);
  app.require_subcommand(1);

  auto* serve = app.add_subcommand("serve", "Run the server until SIGTERM or SIGINT.");
  serve->add_option("--config", out.config_file, "Configuration file (YAML).");
  serve->add_option("--listen", out.listen,
                    "ADDRESS:PORT to listen on, instead of the configured ones; repeatable. "
                    "Port 0 takes a free one.");
  serve->add_option("--data", out.data, "Directory of the store, instead of the configured one.");

  auto* check = app.add_subcommand(
      "check-config", "Tell all problems of the configuration file and the environment.");
  check->add_option("--config", out.config_file, "Configuration file (YAML).");
  check->add_option("file", out.config_file, "The same, without the flag.");

  auto* import = app.add_subcommand(
      "import-kiss",
      "Take over the clients of a stack server's sessions.db (SQLite). Both servers are stopped "
      "meanwhile. Clients that are there already are left as they are.");
  import->add_option("file", out.import_file, "The SQLite file; it is not written.")->required();
  import->add_option("--config", out.config_file, "Configuration file (YAML).");
  import->add_option("--data", out.data, "Directory of the store, instead of the configured one.");

  auto* migrate = app.add_subcommand(
      "migrate",
      "Bring a store that an older version made to this version's layout, which the start of the "
      "server does as well. The server is stopped meanwhile.");
  migrate->add_flag("--dry-run", out.dry_run, "Tell what would be done, and change nothing.");
  migrate->add_option("--config", out.config_file, "Configuration file (YAML).");
  migrate->add_option("--data", out.data, "Directory of the store, instead of the configured one.");

  auto* health = app.add_subcommand(
      "health", "Ask the server of this configuration for /healthz; status 0 when it answers 200.");
  health->add_option("--config", out.config_file, "Configuration file (YAML).");
  health->add_option("--listen", out.listen,
                     "ADDRESS:PORT that it listens on, instead of the first configured one.");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    out.exit_code = app.exit(e);
    return out;
  }
  if (serve->parsed()) {
    out.action = CommandLine::Action::serve;
  } else if (import->parsed()) {
    out.action = CommandLine::Action::import_kiss;
  } else if (migrate->parsed()) {
    out.action = CommandLine::Action::migrate;
  } else if (health->parsed()) {
    out.action = CommandLine::Action::health;
  } else {
    out.action = CommandLine::Action::check_config;
  }
  return out;
}

}  // namespace parlance::app
