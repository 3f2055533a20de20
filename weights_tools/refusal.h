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

inline constexpr const char* kTryStateDict = "in Python: torch.save(model.state_dict(), FILE)";
inline constexpr const char* kTryAgain = "copy or download the file again";

}  // namespace tessera
