// The variables of the environment that belong to no section of the file. They win over it.
#pragma once

#include <vector>

#include "config/settings.h"

namespace parlance::config {

/// Reads APP_VERSION, ENV, LOG_LEVEL, DATABASE_URL and SESSION_DB_URL, and the ACCESS_TOKEN_
/// variables. With ENV=PRODUCTION a weak secret key is a problem instead of a warning. No problem
/// and no warning shows a secret.
void read_environment(Settings& out, const Environment& environment,
                      std::vector<Problem>& problems);

}  // namespace parlance::config
