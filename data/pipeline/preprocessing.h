// What happens to a picture before the network sees it. It belongs to the weights, not to the user: it travels in the
// metadata of the weight file, and training and prediction both take it from there (specification 1.2, 2.6).
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>

namespace tessera {

enum class ChannelOrder { rgb, bgr };

struct Preprocessing {
  ChannelOrder order = ChannelOrder::rgb;
  // Of the 0..255 samples, in `order`. The defaults are those of ImageNet as torchvision uses them (times 255).
  std::array<float, 3> mean{123.675f, 116.28f, 103.53f};
  std::array<float, 3> deviation{58.395f, 57.12f, 57.375f};
  int size_divisor = 32;  // both sides are padded with 0 (after normalising) to multiples of this
  int short_side = 800;   // 0: pictures keep their size, but for max_side
  int max_side = 1333;    // 0: no cap but that of network_size

  bool operator==(const Preprocessing&) const = default;
};

// As string pairs "preprocessing.order" = "bgr", "preprocessing.mean" = "103.53,116.28,123.675", ... and back; floats
// survive exactly. Absent keys keep their default where all are absent, else Error(weights) names the missing or
// malformed one; so does a resize rule this engine does not know.
std::map<std::string, std::string> to_metadata(const Preprocessing& preprocessing);
Preprocessing preprocessing_from_metadata(const std::map<std::string, std::string>& metadata);

// The network's size of a picture of height x width before padding: {height, width}. Without max_side a thin picture is
// enlarged until its long side is 16 times short_side, not until its short side fits: 1 x 5000 pixels would become 384
// x 1,920,000.
std::pair<int, int> network_size(const Preprocessing& preprocessing, int height, int width, int short_side = -1);

// The next multiple of size_divisor.
int padded_side(const Preprocessing& preprocessing, int side);

}  // namespace tessera
