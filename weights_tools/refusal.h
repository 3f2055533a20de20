// The failure every reader of other people's files reports.
#pragma once

#include <string>
#include <string_view>

#include "engine/core/error.h"

namespace tessera {

// Error(weights) "PLACE: REASON"; place: the file, and where in it.
[[noreturn]] inline void refuse_weights(std::string_view place, std::string_view reason, std::string hint) {
  throw Error(ExitCode::weights, fmt::format("{}: {}", place, reason), std::move(hint));
}

// A name out of the file, fit for a terminal.
inline std::string printable(std::string_view text) {
  constexpr size_t kMost = 200;
  std::string result(text.substr(0, kMost));
  for (char& letter : result) {
    if (static_cast<unsigned char>(letter) < 0x20 || static_cast<unsigned char>(letter) >= 0x7f) letter = '?';
  }
  return result;
}

inline constexpr const char* kTryStateDict = "in Python: torch.save(model.state_dict(), FILE)";
inline constexpr const char* kTryAgain = "copy or download the file again";

}  // namespace tessera
