// Four launches, no derivative is stored between them:
//   1. unit vectors and norms of all pixels and all cell vectors, squares in double; the boundaries of all cells
//   2. a block of 128 threads per box and cell. A thread per pixel: two cosines, the loss, two derivatives into shared
//      memory; then a thread per side and channel sums derivative * unit pixel over the tile. Loss and object gradient
//   3. a block per 128 pixels of one image: the boxes that reach them are listed in order in shared memory, then every
//      thread computes its pixel's derivatives by each of them again and sums derivative * unit vector: pixel gradient
//   4. the sum of the loss
// Per pixel and box 4 C multiply-adds and four exponentials in step 2, as many in step 3; recomputing them costs less
// than 16 bytes a pair, and no count of pairs must be known by the host. Each sum has a fixed order.
#include "kernels/grid_segmentation_loss.h"

#include "kernels/cuda/grid_axis.h"
#include "kernels/cuda/loss_sum.h"

namespace tessera {

namespace {

using Args = GridSegmentationLossArgs;

constexpr int kGridSegmentationLossThreads = 128;
constexpr float kGuard = 1e-8f;       // least |a||b| of a cosine
constexpr float kWholeMask = 255.0f;  // value of a mask where y is 1

struct Prepared {
  float* unit_pixels;   // like pixels
  float* pixel_norms;   // [images * height * width]
  float* unit_objects;  // like objects
  float* object_norms;  // [boxes, k * k, 2]
  int32_t* boundaries;  // [boxes, 2, k + 1] begin of the cells: columns, rows
  double* losses;       // [boxes, k * k]
};

// Unit vectors and norms of `count` rows. Squares in double: no vector is too short or too long.
__global__ void __launch_bounds__(kGridSegmentationLossThreads)
    normalise(const float* vectors, int64_t count, int64_t channels, float* unit, float* norms) {
  for_each_element(count, [&](int64_t i) {
    const float* vector = vectors + i * channels;
    double square = 0.0;
    for (int64_t c = 0; c < channels; ++c) square += double{vector[c]} * vector[c];
    const double norm = sqrt(square), inverse = norm == 0.0 ? 0.0 : 1.0 / norm;  // NaN stays NaN
    norms[i] = static_cast<float>(norm);
    for (int64_t c = 0; c < channels; ++c) unit[i * channels + c] = static_cast<float>(vector[c] * inverse);
  });
}

__global__ void __launch_bounds__(kGridSegmentationLossThreads) find_boundaries(Args args, int32_t* boundaries) {
  const int per_axis = args.k + 1;
  for_each_element(args.boxes * 2 * per_axis, [&](int64_t i) {
    const int64_t box = i / (2 * per_axis);
    const int axis = static_cast<int>(i / per_axis % 2), cell = static_cast<int>(i % per_axis);
    const float* corners = args.corners + 4 * box;
    boundaries[i] =
        GridAxis{corners[axis], corners[axis + 2], args.stride, axis == 0 ? args.width : args.height, args.k}.begin(
            cell);
  });
}

// The part of one cell in the loss.
struct Cell {
  int32_t left, right, top, bottom;  // pixels
  float weight;                      // of each pixel: scale / D / |g|

  __device__ Cell(const Args& args, const int32_t* boundaries, int column, int row) {
    const int32_t* columns = boundaries;
    const int32_t* rows = boundaries + args.k + 1;
    left = columns[column];
    right = columns[column + 1];
    top = rows[row];
    bottom = rows[row + 1];
    int occupied_columns = 0, occupied_rows = 0;
    for (int i = 0; i < args.k; ++i) {
      occupied_columns += columns[i + 1] > columns[i] ? 1 : 0;
      occupied_rows += rows[i + 1] > rows[i] ? 1 : 0;
    }
    const int occupied = occupied_columns * occupied_rows;
    const double cells = args.literal_cell_norm ? args.k * args.k : occupied > 0 ? occupied : 1;
    const int64_t pixels = count();
    weight = static_cast<float>(args.scale / cells) / static_cast<float>(pixels > 0 ? pixels : 1);
  }
  __device__ int64_t count() const { return int64_t{right - left} * (bottom - top); }
};

struct Entropy {
  float loss, derivative;  // derivative: by the cosine, 0 where the guard acts
};

// Weighted BCE(alpha cos, label): t softplus(-z) + (1 - t) softplus(z) and (1 - t) sigmoid(z) - t sigmoid(-z) cancel
// nothing at labels of 0 and 1.
__device__ __forceinline__ Entropy entropy(float cosine, float norms, float label, float alpha, float weight) {
  const bool guarded = norms <= kGuard;
  const float z = alpha * (guarded ? cosine * (norms / kGuard) : cosine);
  const float small = expf(-fabsf(z)), upper = 1.0f / (1.0f + small), lower = small * upper;
  const float on = label, off = 1.0f - on;
  const float slope = z < 0.0f ? off * lower - on * upper : off * upper - on * lower;
  return {weight * ((z < 0.0f ? -on * z : off * z) + log1pf(small)), guarded ? 0.0f : weight * alpha * slope};
}

// Both sides of one pixel.
struct PixelTerms {
  Entropy foreground, background;

  // unit: of the pixel, C channels; vectors: foreground then background, unit vectors; lengths: their norms.
  template <int C>
  __device__ static PixelTerms of(const Args& args, const float* unit, float norm, const float* vectors,
                                  const float* lengths, float label, float weight) {
    const int64_t channels = C > 0 ? C : args.channels;
    float to_foreground = 0.0f, to_background = 0.0f;
#pragma unroll
    for (int64_t c = 0; c < channels; ++c) {
      to_foreground += unit[c] * vectors[c];
      to_background += unit[c] * vectors[channels + c];
    }
    return {entropy(to_foreground, norm * lengths[0], label, args.alpha, weight),
            entropy(to_background, norm * lengths[1], 1.0f - label, args.alpha, weight)};
  }
};

__device__ __forceinline__ float label_of(const Args& args, int64_t box, int64_t y, int64_t x) {
  return static_cast<float>(args.masks[(args.mask_of[box] * args.height + y) * args.width + x]) / kWholeMask;
}

// gradient - (gradient . unit) unit, over norm, by one warp; out may be gradient.
__device__ __forceinline__ void project(const float* gradient, const float* unit, float norm, int64_t channels,
                                        float* out) {
  const int lane = lane_of_warp();
  float along = 0.0f;
  for (int64_t c = lane; c < channels; c += 32) along += gradient[c] * unit[c];
  along = warp_sum(along);
  const float inverse = norm > 0.0f ? 1.0f / norm : 0.0f;
  for (int64_t c = lane; c < channels; c += 32) out[c] = (gradient[c] - along * unit[c]) * inverse;
}

// Block (box, cell). Shared: the unit vectors of both sides [2 C] and, per subset of pixels, the sums [subsets, 2 C].
template <int C>
__global__ void __launch_bounds__(kGridSegmentationLossThreads) cell_loss(Args args, Prepared prepared, int subsets) {
  SHARED(foreground, float[kGridSegmentationLossThreads]);
  SHARED(background, float[kGridSegmentationLossThreads]);
  const int64_t channels = C > 0 ? C : args.channels, pair = 2 * channels;
  float* const vectors = dynamic_shared<float>();
  float* const sums = vectors + pair;
  const int64_t cells = int64_t{args.k} * args.k, box = blockIdx.x / cells, index = blockIdx.x % cells;
  const Cell cell(args, prepared.boundaries + box * 2 * (args.k + 1), static_cast<int>(index % args.k),
                  static_cast<int>(index / args.k));
  const float* lengths = prepared.object_norms + int64_t{blockIdx.x} * 2;
  const bool gradients = args.object_gradient != nullptr;
  for (int64_t i = threadIdx.x; i < pair; i += kGridSegmentationLossThreads) {
    vectors[i] = prepared.unit_objects[int64_t{blockIdx.x} * pair + i];
    for (int s = 0; s < subsets; ++s) sums[s * pair + i] = 0.0f;
  }
  __syncthreads();

  const int64_t count = cell.count(), image_row = int64_t{args.image_of[box]} * args.height;
  const int32_t width = cell.right - cell.left;
  const auto pixel_of = [&](int64_t i) {
    return (image_row + cell.top + i / width) * args.width + cell.left + i % width;
  };
  double loss = 0.0;
  for (int64_t begin = 0; begin < count; begin += kGridSegmentationLossThreads) {
    const int64_t i = begin + threadIdx.x;
    PixelTerms terms{};
    if (i < count) {
      const int64_t pixel = pixel_of(i);
      terms = PixelTerms::of<C>(args, prepared.unit_pixels + pixel * channels, prepared.pixel_norms[pixel], vectors,
                                lengths, label_of(args, box, cell.top + i / width, cell.left + i % width), cell.weight);
      loss += static_cast<double>(terms.foreground.loss) + terms.background.loss;
    }
    if (!gradients) continue;
    foreground[threadIdx.x] = terms.foreground.derivative;
    background[threadIdx.x] = terms.background.derivative;
    __syncthreads();
    const int size = static_cast<int>(min(count - begin, int64_t{kGridSegmentationLossThreads}));
    for (int64_t slot = threadIdx.x; slot < subsets * pair; slot += kGridSegmentationLossThreads) {
      const int64_t c = slot % channels;
      const float* derivatives = slot / channels % 2 == 0 ? foreground : background;
      float sum = 0.0f;
      for (int p = static_cast<int>(slot / pair); p < size; p += subsets) {
        sum += derivatives[p] * prepared.unit_pixels[pixel_of(begin + p) * channels + c];
      }
      sums[slot] += sum;
    }
    __syncthreads();
  }
  loss = block_sum(loss);
  if (threadIdx.x == 0) prepared.losses[blockIdx.x] = loss;
  if (!gradients) return;
  for (int64_t i = threadIdx.x; i < pair; i += kGridSegmentationLossThreads) {
    for (int s = 1; s < subsets; ++s) sums[i] += sums[s * pair + i];
  }
  __syncthreads();
  const int side = warp_of_block();
  if (side < 2) {
    project(sums + side * channels, vectors + side * channels, lengths[side], channels,
            args.object_gradient + int64_t{blockIdx.x} * pair + side * channels);
  }
}

// Block (128 pixels, image).
template <int C>
__global__ void __launch_bounds__(kGridSegmentationLossThreads) pixel_gradient_kernel(Args args, Prepared prepared) {
  SHARED(listed, int32_t[kGridSegmentationLossThreads]);
  SHARED(listed_by_warp, int32_t[kGridSegmentationLossThreads / 32]);
  const int64_t channels = C > 0 ? C : args.channels, cells = int64_t{args.k} * args.k, image = blockIdx.y;
  const int64_t first = int64_t{blockIdx.x} * kGridSegmentationLossThreads, of_image = first + threadIdx.x;
  const int64_t last = min(first + kGridSegmentationLossThreads, args.height * args.width) - 1;
  const bool inside = of_image <= last;
  const int64_t pixel = image * args.height * args.width + of_image;
  const auto x = static_cast<int32_t>(of_image % args.width), y = static_cast<int32_t>(of_image / args.width);
  const int32_t first_row = static_cast<int32_t>(first / args.width),
                last_row = static_cast<int32_t>(last / args.width);
  const int lane = lane_of_warp(), warp = warp_of_block();
  const float* unit = prepared.unit_pixels + pixel * channels;
  const float norm = inside ? prepared.pixel_norms[pixel] : 0.0f;
  float* const out = args.pixel_gradient + pixel * channels;
  // In registers for the usual numbers of channels, else where the gradient goes.
  float registers[C > 0 ? C : 1];
  float* const gradient = C > 0 ? registers : out;
  if (C > 0 || inside) {
#pragma unroll
    for (int64_t c = 0; c < channels; ++c) gradient[c] = 0.0f;
  }

  const auto add_box = [&](int64_t box) {
    const int32_t* columns = prepared.boundaries + box * 2 * (args.k + 1);
    const int32_t* rows = columns + args.k + 1;
    if (x < columns[0] || x >= columns[args.k] || y < rows[0] || y >= rows[args.k]) return;
    int column = 0, row = 0;
    while (x >= columns[column + 1]) ++column;
    while (y >= rows[row + 1]) ++row;
    const Cell cell(args, columns, column, row);
    const int64_t index = box * cells + row * args.k + column;
    const float* vectors = prepared.unit_objects + index * 2 * channels;
    const PixelTerms terms = PixelTerms::of<C>(args, unit, norm, vectors, prepared.object_norms + index * 2,
                                               label_of(args, box, y, x), cell.weight);
#pragma unroll
    for (int64_t c = 0; c < channels; ++c) {
      gradient[c] += terms.foreground.derivative * vectors[c];
      gradient[c] += terms.background.derivative * vectors[channels + c];
    }
  };

  for (int64_t begin = 0; begin < args.boxes; begin += kGridSegmentationLossThreads) {
    const int64_t box = begin + threadIdx.x;
    bool reaches = false;
    if (box < args.boxes && args.image_of[box] == image) {
      const int32_t* rows = prepared.boundaries + (box * 2 + 1) * (args.k + 1);
      reaches = rows[0] <= last_row && rows[args.k] > first_row;
    }
    const unsigned votes = __ballot_sync(kWholeWarp, reaches);
    if (lane == 0) listed_by_warp[warp] = __popc(votes);
    __syncthreads();
    int place = __popc(votes & ((1u << lane) - 1u)), total = 0;
    for (int other = 0; other < kGridSegmentationLossThreads / 32; ++other) {
      if (other < warp) place += listed_by_warp[other];
      total += listed_by_warp[other];
    }
    if (reaches) listed[place] = static_cast<int32_t>(box);
    __syncthreads();
    if (inside) {
      for (int i = 0; i < total; ++i) add_box(listed[i]);
    }
    __syncthreads();
  }
  if (!inside) return;
  float along = 0.0f;
#pragma unroll
  for (int64_t c = 0; c < channels; ++c) along += gradient[c] * unit[c];
  const float inverse = norm > 0.0f ? 1.0f / norm : 0.0f;
#pragma unroll
  for (int64_t c = 0; c < channels; ++c) out[c] = (gradient[c] - along * unit[c]) * inverse;
}

template <int C>
void run(DeviceContext& context, const Args& args) {
  const int64_t pixels = args.images * args.height * args.width, cells = args.boxes * args.k * args.k;
  const auto values = [](int64_t count) { return static_cast<size_t>(count); };
  Scratch<float> unit_pixels(context, values(pixels * args.channels)), pixel_norms(context, values(pixels));
  Scratch<float> unit_objects(context, values(cells * 2 * args.channels)), object_norms(context, values(cells * 2));
  Scratch<int32_t> boundaries(context, values(args.boxes * 2 * (args.k + 1)));
  Scratch<double> losses(context, values(cells));
  const Prepared prepared{unit_pixels.data(),  pixel_norms.data(), unit_objects.data(),
                          object_norms.data(), boundaries.data(),  losses.data()};
  launch(normalise, grid_for(pixels, kGridSegmentationLossThreads), kGridSegmentationLossThreads, 0, context,
         args.pixels, pixels, args.channels, prepared.unit_pixels, prepared.pixel_norms);
  launch(normalise, grid_for(2 * cells, kGridSegmentationLossThreads), kGridSegmentationLossThreads, 0, context,
         args.objects, 2 * cells, args.channels, prepared.unit_objects, prepared.object_norms);
  launch(find_boundaries, grid_for(args.boxes * 2 * (args.k + 1), kGridSegmentationLossThreads),
         kGridSegmentationLossThreads, 0, context, args, prepared.boundaries);
  const int64_t pair = 2 * args.channels;
  const int subsets = static_cast<int>(pair < kGridSegmentationLossThreads ? kGridSegmentationLossThreads / pair : 1);
  launch(cell_loss<C>, static_cast<unsigned>(cells), kGridSegmentationLossThreads,
         values((subsets + 1) * pair) * sizeof(float), context, args, prepared, subsets);
  if (args.pixel_gradient != nullptr) {
    const int64_t blocks = ceil_div<int64_t>(args.height * args.width, kGridSegmentationLossThreads);
    launch(pixel_gradient_kernel<C>, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(args.images)),
           kGridSegmentationLossThreads, 0, context, args, prepared);
  }
  sum_loss(context, prepared.losses, cells, 1.0, args.loss);
}

}  // namespace

void grid_segmentation_loss(DeviceContext& context, const GridSegmentationLossArgs& args) {
  if (args.boxes == 0) {
    memory_zero(context, args.loss, sizeof(float));
    if (args.pixel_gradient != nullptr) {
      const int64_t values = args.images * args.height * args.width * args.channels;
      memory_zero(context, args.pixel_gradient, static_cast<size_t>(values) * sizeof(float));
    }
    return;
  }
  switch (args.channels) {
    case 8:
      return run<8>(context, args);
    case 16:
      return run<16>(context, args);
    default:
      return run<0>(context, args);
  }
}

}  // namespace tessera
