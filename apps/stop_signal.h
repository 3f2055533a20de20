// SIGINT and SIGTERM ask a run to stop: it finishes the iteration, saves and exits with 75. A second signal ends the
// process at once.
#pragma once

namespace tessera {

class StopSignal {
 public:
  StopSignal();   // installs the handlers
  ~StopSignal();  // puts the old ones back
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  static bool requested();
};

}  // namespace tessera
