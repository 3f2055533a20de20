// What went wrong, where, and one command to try. Every failure a user can cause is an Error; main() prints it in the
// form of the contract ("error: <message>" and "  try: <hint>") and exits with its code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace tessera {

// Exit codes of the program; stable, part of the user contract.
enum class ExitCode : int {
  ok = 0,
  internal = 1,    // a defect of the program
  usage = 2,       // command line or config
  data = 3,        // pictures, annotations, results
  weights = 4,     // missing, mismatched or corrupt weights
  non_finite = 5,  // training met NaN or infinity
  device = 6,      // backend or driver
  out_of_memory = 7,
  peer_lost = 8,     // a rank of a parallel run disappeared
  check_failed = 9,  // a check or threshold of the user failed
  stopped = 75,      // stopped on request, checkpoint saved
};

class Error : public std::runtime_error {
 public:
  // message: one line "<file or tensor>: <reason>"; hint: one command or action, may be empty.
  Error(ExitCode code, std::string message, std::string hint = {})
      : std::runtime_error(std::move(message)), code_(code), hint_(std::move(hint)) {}

  ExitCode code() const { return code_; }
  const std::string& hint() const { return hint_; }

 private:
  ExitCode code_;
  std::string hint_;
};

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line, const std::string& detail) {
  throw Error(ExitCode::internal,
              fmt::format("{}:{}: check failed: {}{}{}", file, line, expression, detail.empty() ? "" : ": ", detail));
}

}  // namespace tessera

// Internal invariant: throws Error(internal) with the expression, its place and the values given as a fmt format.
#define TESSERA_CHECK(condition, ...)                                                         \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      ::tessera::check_failed(#condition, __FILE__, __LINE__, ::fmt::format("" __VA_ARGS__)); \
  } while (0)
