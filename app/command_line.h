// The command line, read into settings.
#pragma once

#include <string>
#include <vector>

namespace parlance::app {

struct CommandLine {
  enum class Action : unsigned char { serve, check_config, import_kiss, migrate, health, exit };
  Action action = Action::exit;
  int exit_code = 0;  ///< Of Action::exit.
  std::string config_file;
  std::vector<std::string> listen;  ///< Empty: as configured.
  std::string data;                 ///< Empty: as configured.
  std::string import_file;          ///< Of Action::import_kiss.
  bool dry_run = false;             ///< Of Action::migrate.
};

/// Prints help, version or what is wrong, where that is what was asked for.
CommandLine read_command_line(int argc, char** argv);

}  // namespace parlance::app
