// What the passes of the convolution share on a device: which rows a call reads, whose kernel runs it, and how its
// branches fall into launches.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include "kernels/conv2d_choice.h"
#include "kernels/cuda/conv2d_library.h"
#include "kernels/cuda/conv2d_operands.h"
#include "kernels/cuda/libraries.h"
#include "kernels/cuda_devices.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline int32_t to_int32(int64_t value) {
  if (value > std::numeric_limits<int32_t>::max()) {
    throw std::length_error("conv2d: a map with more than 2^31 - 1 cells or blocks");
  }
  return static_cast<int32_t>(value);
}

inline int rows_of(ConvTile tile) { return tile == ConvTile::m64n64 ? 64 : tile == ConvTile::m16n64 ? 16 : 128; }
inline int columns_of(ConvTile tile) { return tile == ConvTile::m128n128 ? 128 : tile == ConvTile::m128n16 ? 16 : 64; }

// Rows of an array that holds the maps; gaps between them count.
inline int64_t rows_of_input(std::span<const Conv2dMap> maps) {
  int64_t rows = 0;
  for (const Conv2dMap& map : maps) rows = std::max(rows, map.in_row + map.in_rows());
  return rows;
}
inline int64_t rows_of_output(std::span<const Conv2dMap> maps) {
  int64_t rows = 0;
  for (const Conv2dMap& map : maps) rows = std::max(rows, map.out_row + map.out_rows());
  return rows;
}

// The maps of all branches, and whether one of them has a scale.
template <typename Args>
std::vector<Conv2dMap> maps_of(Conv2dBranches<Args> branches) {
  std::vector<Conv2dMap> maps;
  for (const Args& args : branches) maps.insert(maps.end(), args.maps.begin(), args.maps.end());
  return maps;
}
template <typename Args>
bool any_scaled(Conv2dBranches<Args> branches) {
  return std::any_of(branches.begin(), branches.end(), [](const Args& args) { return args.scale != nullptr; });
}

// Rows of x, dy and the weights.
inline ChannelRows x_rows(const Conv2dWindow& window, const float* x, std::span<const Conv2dMap> maps) {
  return {x, rows_of_input(maps) * window.groups, window.group_in()};
}
inline ChannelRows dy_rows(const Conv2dWindow& window, const float* dy, std::span<const Conv2dMap> maps) {
  return {dy, rows_of_output(maps) * window.groups, window.group_out()};
}
inline ChannelRows weight_rows(const Conv2dWindow& window, const float* weight) {
  return {weight, window.out_channels * window.taps(), window.group_in()};
}

// Seconds of run(choice) on a GPU; the emulator has no clock.
template <typename Device, typename Run>
std::function<double(const ConvChoice&)> stopwatch([[maybe_unused]] Device& context, [[maybe_unused]] const Run& run) {
  if constexpr (std::is_same_v<Device, CudaContext>) {
    return [&](const ConvChoice& choice) {
      try {
        return device_seconds(context, 1, [&] { run(choice); }).front();
      } catch (const LibraryRefused&) {
        return std::numeric_limits<double>::infinity();
      }
    };
  } else {
    return {};
  }
}

// own(choice) launches a call, library(source) has a library do it. Both write the same places whatever the choice, so
// measuring does no harm.
template <typename Own, typename Library>
void run_choice(DeviceContext& context, const ConvChoice* given, const ConvWork& work, const LibraryCall& offer,
                const Own& own, const Library& library) {
  const auto run = [&](const ConvChoice& choice) {
    if (choice.source == ConvSource::own) return own(choice);
    if (std::find(offer.offered.begin(), offer.offered.end(), choice.source) == offer.offered.end()) {
      throw LibraryRefused("conv2d: not a call for this library, or not in this build");
    }
    library(choice.source);
  };
  if (given != nullptr) return run(*given);
  ConvTuner* tuner = context.convolutions().tuner.get();
  run(tuner != nullptr ? tuner->choose(work, stopwatch(context, run)) : choose_conv(work));
}

// Calls use(entries, first branch) for parts of a table, ordered by branch, that have room in one launch.
template <typename Entry, typename Use>
void for_each_launch(std::span<const Entry> table, const Use& use) {
  for (size_t begin = 0, end = 0; begin < table.size(); begin = end) {
    const int32_t first_branch = table[begin].branch;
    while (end < table.size() && end - begin < kMapsPerLaunch &&
           table[end].branch < first_branch + kBranchesPerLaunch) {
      ++end;
    }
    use(table.subspan(begin, end - begin), first_branch);
  }
}

// Those of one launch.
template <typename Branch>
void copy_branches(std::span<const Branch> all, int32_t first, Branch (&to)[kBranchesPerLaunch]) {
  const auto some = all.subspan(static_cast<size_t>(first));
  std::copy_n(some.begin(), std::min<size_t>(kBranchesPerLaunch, some.size()), to);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
