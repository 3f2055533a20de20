// Which tile and how many splits of the depth a convolution kernel of the device runs with. By default the choice
// depends on the shape of a call alone, so results keep their bits from run to run and from card to card; a ConvTuner
// replaces it by what it measured on this card.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/conv2d.h"

namespace tessera {

// Rows x columns of the result that one block computes.
enum class ConvTile : uint8_t { m128n128, m128n64, m64n64, m128n16, m16n64 };

// Whose kernel: ours, or one of NVIDIA's libraries (kernels/cuda/libraries.h), which have tiles of their own.
enum class ConvSource : uint8_t { own, cublas, cudnn };

struct ConvChoice {
  ConvTile tile;
  int splits;  // of the depth, at least 1; more than one sums partial results in a second pass
  ConvSource source = ConvSource::own;

  bool operator==(const ConvChoice&) const = default;
};

// The precision that a call runs in. The 16-bit kernels pad the channels of a group to a multiple of 8, so where fewer
// than 8 are to be summed over (group_in; group_out in the data gradient) they would mostly multiply zeros: stems of
// three channels and narrow groups run in tf32 instead, which rounds no operand more than the 16-bit types do. The CPU,
// which has no tf32, runs them in fp32.
constexpr ConvMath math_of_call(ConvMath wanted, int64_t channels) {
  return channels < 8 && wanted != ConvMath::fp32 ? ConvMath::tf32 : wanted;
}

enum class ConvPass : uint8_t { forward, data, weight };  // and the gradients of input and weights

// A call as a matrix product per group: sums over `depth`.
struct ConvWork {
  ConvPass pass;
  ConvMath math;
  // Of the maps (forward; data: of the phases of a stride, map by map), or output channels of a group (weight); of all
  // branches.
  std::span<const int64_t> rows = {};
  int64_t columns = 0;  // target channels of a group, or taps * input channels of a group
  int64_t groups = 1;
  int64_t depth = 0;                           // taps * channels, or pixels (of the branch with the most)
  int64_t taps = 1;                            // of the window
  std::span<const ConvSource> libraries = {};  // that can do the call, for a tuner; without one ours does
  int64_t branches = 1;                        // sets of weights
  // What a tuner tells calls apart by; the model asks for the product alone.
  Conv2dWindow window = {};
  std::span<const Conv2dMap> maps = {};  // of all branches
  // Whether anything is done beside the sums: a library needs a pass more for it, or has no way to do it.
  bool epilogue = false;
};

// By a model of a card with 84 multiprocessors, see docs/kernels/conv2d.md.
ConvChoice choose_conv(const ConvWork& work);
// The choices that the model thinks the best, at most so many, the best one first.
std::vector<ConvChoice> conv_candidates(const ConvWork& work, size_t most);

// Chooses by measurement for the context that holds it (ConvSettings), whose calls without a given choice ask here;
// engine/core/conv_tuning.h keeps the results.
class ConvTuner {
 public:
  virtual ~ConvTuner() = default;
  // measure runs the call with a choice and returns seconds, infinity for a library that has no way to do it after all;
  // empty where the device has no clock (the emulator).
  virtual ConvChoice choose(const ConvWork& work, const std::function<double(const ConvChoice&)>& measure) = 0;
};

// With a given choice instead: for tests and measurements. `splits` is an upper bound. Throw LibraryRefused for a
// library that cannot do the call.
#define TESSERA_CHOSEN_CONV(name, Args)                                        \
  void name(CudaContext& context, const Args& args, const ConvChoice& choice); \
  void name(EmulatedContext& context, const Args& args, const ConvChoice& choice)
TESSERA_CHOSEN_CONV(conv2d_forward, Conv2dBranches<Conv2dForwardArgs>);
TESSERA_CHOSEN_CONV(conv2d_backward_data, Conv2dBranches<Conv2dBackwardDataArgs>);
TESSERA_CHOSEN_CONV(conv2d_backward_weight, Conv2dBranches<Conv2dBackwardWeightArgs>);
#undef TESSERA_CHOSEN_CONV

}  // namespace tessera
