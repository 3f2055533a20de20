#include "apps/stop_signal.h"

#include <csignal>

namespace tessera {

namespace {

volatile std::sig_atomic_t stop_requested = 0;

struct OldActions {
  struct sigaction interrupt, terminate;
} old_actions;

extern "C" void request_stop(int) { stop_requested = 1; }

}  // namespace

StopSignal::StopSignal() {
  stop_requested = 0;
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one kills
  sigaction(SIGINT, &action, &old_actions.interrupt);
  sigaction(SIGTERM, &action, &old_actions.terminate);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &old_actions.interrupt, nullptr);
  sigaction(SIGTERM, &old_actions.terminate, nullptr);
}

bool StopSignal::requested() { return stop_requested != 0; }

}  // namespace tessera
