// What the versions of this folder share: the lines of a call, and where a head of a line lies. A block knows its line
// and head by blockIdx.x. The versions are here to be read and tested, in order; kernels/cuda/axial_attention.cu is
// the one that ships, docs/kernels/attention.md counts their work.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/axial_attention.h"
#include "kernels/cuda/warp.h"

namespace tessera::axial_attention_lab {
inline namespace TESSERA_PORT {

// Cells first, first + stride, ...; its scores of a head are count x count, and all heads' begin at `scores`.
struct Line {
  int64_t first, scores;
  int32_t count, stride;
};

struct LineList {
  std::vector<Line> lines;
  int64_t scores = 0;  // of all lines and heads
  int64_t longest = 0;

  LineList(std::span<const AttentionMap> maps, bool along_columns, int64_t heads) {
    for (const AttentionMap& map : maps) {
      const int64_t count = along_columns ? map.height : map.width, across = along_columns ? map.width : map.height;
      for (int64_t i = 0; i < map.images * across; ++i) {
        const int64_t image = map.row_begin + i / across * map.height * map.width, line = i % across;
        lines.push_back({image + (along_columns ? line : line * map.width), scores, static_cast<int32_t>(count),
                         static_cast<int32_t>(along_columns ? map.width : 1)});
        scores += heads * count * count;
      }
      longest = std::max(longest, count);
    }
  }
};

// The lines on the device, and launches with a block for each line and head and `blocks` parts of it.
class Lines {
 public:
  Lines(DeviceContext& context, const LineList& list, int64_t heads)
      : lines_(context, list.lines.data(), static_cast<int64_t>(list.lines.size())),
        blocks_(static_cast<int64_t>(list.lines.size()) * heads) {}
  const Line* data() const { return lines_.data(); }
  dim3 grid(int64_t parts = 1) const { return dim3(static_cast<unsigned>(blocks_), static_cast<unsigned>(parts)); }

 private:
  DeviceArray<Line> lines_;
  int64_t blocks_;
};

// The head of a line that a block works on.
struct Head {
  Line line;
  int64_t channels, offset;  // of a row; the head's first channel
  int32_t width;             // e
  int64_t scores;            // of this head
  float scale;               // 1 / sqrt(e)

  __device__ Head(const Line* lines, int64_t channels_, int64_t heads)
      : line(lines[blockIdx.x / heads]),
        channels(channels_),
        offset(blockIdx.x % heads * (channels_ / heads)),
        width(static_cast<int32_t>(channels_ / heads)),
        scores(line.scores + int64_t{blockIdx.x % static_cast<unsigned>(heads)} * line.count * line.count),
        scale(1.0f / sqrtf(static_cast<float>(width))) {}

  // Place of channel c of cell i in [R, C], and in [R, 2 C]: of its key, and of its value.
  __device__ int64_t at(int i, int c) const { return (line.first + int64_t{i} * line.stride) * channels + offset + c; }
  __device__ int64_t key(int i, int c) const {
    return (line.first + int64_t{i} * line.stride) * 2 * channels + offset + c;
  }
  __device__ int64_t value(int i, int c) const { return key(i, c) + channels; }
  __device__ int64_t score(int i, int j) const { return scores + int64_t{i} * line.count + j; }
};

}  // namespace TESSERA_PORT
}  // namespace tessera::axial_attention_lab
