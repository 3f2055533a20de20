// Rows are cut into chunks of fixed size that stay in the first-level cache. A chunk yields per-channel sums in float
// (few rows, so the rounding is small); chunks are combined in double in their order, so results do not depend on the
// number of threads. Statistics are two passes inside each chunk, mean first: one pass over memory, no cancellation.
// Statistics that came with x take the place of that pass.
#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/row_moments.h"

namespace tessera {

namespace {

constexpr int64_t kChunkElements = 8192;
constexpr int64_t kMaxChunkRows = 256;
constexpr int64_t kBlock = 256;           // channels whose sums live on the stack
constexpr int64_t kSerialWork = 1 << 16;  // fewer elements are not worth a second thread

struct Chunk {
  int64_t segment, begin, rows;
};

struct SegmentChunks {
  int64_t begin, end;
};

struct ChunkPlan {
  std::vector<Chunk> chunks;         // ordered by segment
  std::vector<int64_t> first_chunk;  // [S + 1]
  int64_t elements = 0;

  ChunkPlan(const RowRange* segments, int64_t segment_count, int64_t channels) {
    const int64_t most = std::clamp<int64_t>(kChunkElements / channels, 8, kMaxChunkRows);
    for (int64_t segment = 0; segment < segment_count; ++segment) {
      const RowRange range = segments[segment];
      first_chunk.push_back(static_cast<int64_t>(chunks.size()));
      for (int64_t done = 0; done < range.count; done += most) {
        chunks.push_back({segment, range.begin + done, std::min(most, range.count - done)});
      }
      elements += range.count * channels;
    }
    first_chunk.push_back(static_cast<int64_t>(chunks.size()));
  }

  int64_t size() const { return static_cast<int64_t>(chunks.size()); }
  SegmentChunks of_segment(int64_t segment) const {
    return {first_chunk[static_cast<size_t>(segment)], first_chunk[static_cast<size_t>(segment) + 1]};
  }
};

template <typename Body>
void for_each(const CpuContext& context, int64_t count, int64_t work, Body&& body) {
  if (work < kSerialWork) {
    for (int64_t i = 0; i < count; ++i) body(i);
  } else {
    parallel_chunks(context, count, 1, [&](int64_t i, int64_t, int64_t) { body(i); });
  }
}

// Per-channel sums of g and g * xh over one chunk.
template <bool relu>
void chunk_gradient_sums(const GroupNormBackwardArgs& args, const Chunk& chunk, const float* mean, const float* rstd,
                         float* sum, float* product) {
  const int64_t channels = args.channels;
  for (int64_t first = 0; first < channels; first += kBlock) {
    const int64_t width = std::min(kBlock, channels - first);
    float sums[kBlock] = {}, products[kBlock] = {}, gain[kBlock], centre[kBlock], offset[kBlock];
    for (int64_t c = 0; c < width; ++c) {
      gain[c] = rstd[first + c] * args.weight[first + c];
      centre[c] = mean[first + c];
      offset[c] = args.bias[first + c];
    }
    for_row_pieces(chunk.begin, chunk.begin + chunk.rows, [&]<int count>(int64_t row) {
      const float* x = args.x + row * channels + first;
      const float* dy = args.dy + row * channels + first;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) {
        float total = 0, of_products = 0;
        for (int r = 0; r < count; ++r) {
          const float centred = x[c + r * channels] - centre[c];
          const float given = dy[c + r * channels];
          const float g = relu && !(centred * gain[c] + offset[c] > 0.0f) ? 0.0f : given;
          total += g;
          of_products += g * centred;
        }
        sums[c] += total;
        products[c] += of_products;
      }
    });
    for (int64_t c = 0; c < width; ++c) {
      sum[first + c] = sums[c];
      product[first + c] = products[c] * rstd[first + c];
    }
  }
}

// Coefficients of a segment, channel by channel: dx = gain * g - level - (x - mean) * slope.
struct SegmentCoefficients {
  const float *mean, *gain, *level, *slope;
};

template <bool relu>
void chunk_input_gradient(const GroupNormBackwardArgs& args, const Chunk& chunk, const SegmentCoefficients& at) {
  const int64_t channels = args.channels;
  const float *mean = at.mean, *gain = at.gain, *level = at.level, *slope = at.slope, *bias = args.bias;
  for_row_pieces(chunk.begin, chunk.begin + chunk.rows, [&]<int count>(int64_t row) {
    const float* x = args.x + row * channels;
    const float* dy = args.dy + row * channels;
    float* dx = args.dx + row * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      for (int r = 0; r < count; ++r) {
        const float centred = x[c + r * channels] - mean[c];
        const float given = dy[c + r * channels];
        const float g = relu && !(centred * gain[c] + bias[c] > 0.0f) ? 0.0f : given;
        dx[c + r * channels] = gain[c] * g - level[c] - centred * slope[c];
      }
    }
  });
}

template <bool relu>
void normalise_chunk(const GroupNormForwardArgs& args, const Chunk& chunk, const float* mean, const float* gain) {
  const int64_t channels = args.channels;
  const float* bias = args.bias;
  for_row_pieces(chunk.begin, chunk.begin + chunk.rows, [&]<int count>(int64_t row) {
    const float* x = args.x + row * channels;
    float* y = args.y + row * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      for (int r = 0; r < count; ++r) {
        const float value = (x[c + r * channels] - mean[c]) * gain[c] + bias[c];
        y[c + r * channels] = relu && !(value > 0.0f) ? 0.0f : value;
      }
    }
  });
}

// The maker of x has counted every row.
void check_moments(const GroupNormForwardArgs& args, const MomentParts& parts) {
  for (int64_t segment = 0; segment < parts.segments(); ++segment) {
    const int32_t* rows = args.moments.rows;
    if (std::accumulate(rows + parts.begin(segment), rows + parts.end(segment), int64_t{0}) !=
        args.segments[segment].count) {
      throw std::logic_error("group norm: statistics of other rows than those of the segment");
    }
  }
}

}  // namespace

void group_norm_forward(CpuContext& context, const GroupNormForwardArgs& args) {
  const int64_t channels = args.channels, size = channels / args.groups;
  const ChunkPlan plan(args.segments, args.segment_count, channels);
  const bool given = args.moments.rows != nullptr;
  const MomentParts parts = given ? moment_parts(args.segments, args.segment_count) : MomentParts();
  const auto parts_of = [&](int64_t segment) {
    return given ? SegmentChunks{parts.begin(segment), parts.end(segment)} : plan.of_segment(segment);
  };
  Scratch<float> own(context, static_cast<size_t>(given ? 0 : plan.size() * 2 * channels));
  const float* partial = given ? args.moments.values : own.data();
  const auto rows_of = [&](int64_t part) {
    return given ? args.moments.rows[part] : plan.chunks[static_cast<size_t>(part)].rows;
  };
  if (given) {
    check_moments(args, parts);
  } else {
    for_each(context, plan.size(), plan.elements, [&](int64_t index) {
      const Chunk& chunk = plan.chunks[static_cast<size_t>(index)];
      float* mean = own.data() + index * 2 * channels;
      column_moments(args.x + chunk.begin * channels, chunk.rows, channels, channels, mean, mean + channels);
    });
  }

  Scratch<float> coefficients(context, static_cast<size_t>(args.segment_count * 2 * channels));
  Scratch<double> sums(context, static_cast<size_t>(args.segment_count * 2 * channels));
  for_each(context, args.segment_count, plan.elements, [&](int64_t segment) {
    const SegmentChunks chunks = parts_of(segment);
    const double count = static_cast<double>(std::max<int64_t>(1, args.segments[segment].count * size));
    double* total = sums.data() + segment * 2 * channels;  // per channel, then per group
    double* centre = total + channels;
    std::fill(total, total + channels, 0.0);
    for (int64_t i = chunks.begin; i < chunks.end; ++i) {
      if (rows_of(i) == 0) continue;
      const float* mean = partial + i * 2 * channels;
      const double rows = static_cast<double>(rows_of(i));
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) total[c] += rows * mean[c];
    }
    for (int64_t group = 0; group < args.groups; ++group) {
      const double mean = std::accumulate(total + group * size, total + (group + 1) * size, 0.0) / count;
      std::fill(centre + group * size, centre + (group + 1) * size, mean);
      args.mean[segment * args.groups + group] = static_cast<float>(mean);
    }
    std::fill(total, total + channels, 0.0);
    for (int64_t i = chunks.begin; i < chunks.end; ++i) {
      if (rows_of(i) == 0) continue;
      const float* mean = partial + i * 2 * channels;
      const double rows = static_cast<double>(rows_of(i));
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        const double distance = mean[c] - centre[c];
        total[c] += mean[channels + c] + rows * distance * distance;
      }
    }
    for (int64_t group = 0; group < args.groups; ++group) {
      total[group] = std::accumulate(total + group * size, total + (group + 1) * size, 0.0);
    }
    float* rstd = args.rstd + segment * args.groups;
#pragma omp simd
    for (int64_t group = 0; group < args.groups; ++group) {
      rstd[group] = static_cast<float>(1.0 / std::sqrt(total[group] / count + args.epsilon));
    }
    float* mean = coefficients.data() + segment * 2 * channels;
    for (int64_t group = 0; group < args.groups; ++group) {
      for (int64_t c = group * size; c < (group + 1) * size; ++c) {
        mean[c] = args.mean[segment * args.groups + group];
        mean[channels + c] = rstd[group] * args.weight[c];
      }
    }
  });

  for_each(context, plan.size(), plan.elements, [&](int64_t index) {
    const Chunk& chunk = plan.chunks[static_cast<size_t>(index)];
    const float* mean = coefficients.data() + chunk.segment * 2 * channels;
    if (args.relu) {
      normalise_chunk<true>(args, chunk, mean, mean + channels);
    } else {
      normalise_chunk<false>(args, chunk, mean, mean + channels);
    }
  });
}

void group_norm_backward(CpuContext& context, const GroupNormBackwardArgs& args) {
  const int64_t channels = args.channels, size = channels / args.groups;
  const ChunkPlan plan(args.segments, args.segment_count, channels);

  // Per segment and channel: mean, rstd, then the coefficients of SegmentCoefficients.
  Scratch<float> coefficients(context, static_cast<size_t>(args.segment_count * 5 * channels));
  const auto row_of = [&](int64_t segment, int64_t which) {
    return coefficients.data() + (segment * 5 + which) * channels;
  };
  for (int64_t segment = 0; segment < args.segment_count; ++segment) {
    for (int64_t c = 0; c < channels; ++c) {
      row_of(segment, 0)[c] = args.mean[segment * args.groups + c / size];
      row_of(segment, 1)[c] = args.rstd[segment * args.groups + c / size];
    }
  }

  Scratch<float> partial(context, static_cast<size_t>(plan.size() * 2 * channels));
  for_each(context, plan.size(), plan.elements, [&](int64_t index) {
    const Chunk& chunk = plan.chunks[static_cast<size_t>(index)];
    float* sum = partial.data() + index * 2 * channels;
    const float *mean = row_of(chunk.segment, 0), *rstd = row_of(chunk.segment, 1);
    if (args.relu) {
      chunk_gradient_sums<true>(args, chunk, mean, rstd, sum, sum + channels);
    } else {
      chunk_gradient_sums<false>(args, chunk, mean, rstd, sum, sum + channels);
    }
  });

  Scratch<double> sums(context, static_cast<size_t>(args.segment_count * 2 * channels));
  for_each(context, args.segment_count, plan.elements, [&](int64_t segment) {
    double* total = sums.data() + segment * 2 * channels;
    std::fill(total, total + 2 * channels, 0.0);
    const SegmentChunks chunks = plan.of_segment(segment);
    for (int64_t i = chunks.begin; i < chunks.end; ++i) {
      const float* of_chunk = partial.data() + i * 2 * channels;
#pragma omp simd
      for (int64_t c = 0; c < 2 * channels; ++c) total[c] += of_chunk[c];
    }
    const double count = static_cast<double>(std::max<int64_t>(1, args.segments[segment].count * size));
    for (int64_t group = 0; group < args.groups; ++group) {
      double sum = 0, product = 0;
      for (int64_t c = group * size; c < (group + 1) * size; ++c) {
        sum += total[c] * args.weight[c];
        product += total[channels + c] * args.weight[c];
      }
      const double rstd = args.rstd[segment * args.groups + group];
      for (int64_t c = group * size; c < (group + 1) * size; ++c) {
        row_of(segment, 2)[c] = row_of(segment, 1)[c] * args.weight[c];
        row_of(segment, 3)[c] = static_cast<float>(rstd * sum / count);
        row_of(segment, 4)[c] = static_cast<float>(rstd * rstd * product / count);
      }
    }
  });

  for (const int which : {0, 1}) {
    float* gradient = which == 0 ? args.dbias : args.dweight;
    if (gradient == nullptr) continue;
    for (int64_t c = 0; c < channels; ++c) {
      double total = 0;
      for (int64_t segment = 0; segment < args.segment_count; ++segment) {
        total += sums[static_cast<size_t>((segment * 2 + which) * channels + c)];
      }
      gradient[c] = static_cast<float>(total);
    }
  }
  if (args.dx == nullptr) return;
  for_each(context, plan.size(), plan.elements, [&](int64_t index) {
    const Chunk& chunk = plan.chunks[static_cast<size_t>(index)];
    const SegmentCoefficients at{row_of(chunk.segment, 0), row_of(chunk.segment, 2), row_of(chunk.segment, 3),
                                 row_of(chunk.segment, 4)};
    if (args.relu) {
      chunk_input_gradient<true>(args, chunk, at);
    } else {
      chunk_input_gradient<false>(args, chunk, at);
    }
  });
}

}  // namespace tessera
