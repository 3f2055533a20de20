// The one table of config keys: the model's own keys and those of input, data, training, evaluation and log.
#pragma once

#include "engine/io/config.h"

namespace tessera {

// Every key a config of the program may hold. `tessera train --help-keys` prints it.
ConfigTable run_config_table();

}  // namespace tessera
