// Three passes: unit vectors of all pixels and cells; per box the loss, the gradient of its cells and the derivative by
// each cosine; per row of pixels the sum of those over boxes. No pass depends on the number of threads.
#include "kernels/grid_segmentation_loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/chunked_sum.h"
#include "kernels/cpu/grid_axis.h"
#include "kernels/cpu/vector_math.h"

namespace tessera {

namespace {

constexpr float kGuard = 1e-8f;  // least |a||b| of a cosine

struct BoxPlan {
  GridAxis columns, rows;
  int64_t derivatives = 0;  // offset of its first pixel's pair
  float weight = 0;         // scale / D
};

// dot and axpy over channels; C is a compile-time count for the usual sizes, 0 otherwise.
template <int C>
struct Channels {
  int64_t count;
  int64_t size() const { return C > 0 ? C : count; }

  float dot(const float* a, const float* b) const {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < size(); ++c) sum += a[c] * b[c];
    return sum;
  }
  void add(float* sum, float factor, const float* a) const {
#pragma omp simd
    for (int64_t c = 0; c < size(); ++c) sum[c] += factor * a[c];
  }
  // out = (gradient - (gradient . unit) unit) / norm; out may be gradient.
  void project(const float* gradient, const float* unit, float norm, float* out) const {
    const float along = dot(gradient, unit), inverse = norm > 0 ? 1.0f / norm : 0.0f;
#pragma omp simd
    for (int64_t c = 0; c < size(); ++c) out[c] = (gradient[c] - along * unit[c]) * inverse;
  }
};

// Unit vectors and norms of `count` rows. Squares in double: no vector is too short or too long.
void normalise(CpuContext& context, const float* vectors, int64_t count, int64_t channels, float* unit, float* norms) {
  parallel_for(context, count, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* vector = vectors + i * channels;
      double square = 0;
#pragma omp simd reduction(+ : square)
      for (int64_t c = 0; c < channels; ++c) square += double{vector[c]} * vector[c];
      const double norm = std::sqrt(square), inverse = norm == 0 ? 0 : 1 / norm;  // NaN stays NaN
      norms[i] = static_cast<float>(norm);
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) unit[i * channels + c] = static_cast<float>(vector[c] * inverse);
    }
  });
}

// What the pixels of one row of a box bring to the loss, one entry per pixel and side: first all foreground entries,
// then all background ones, then padding of weight 0 up to a multiple of eight, so that whole vectors are computed.
struct BoxRow {
  explicit BoxRow(int32_t width)
      : size((2 * width + 7) / 8 * 8),
        values(static_cast<size_t>(5 * size), 0.0f),
        cosines(values.data()),
        norms(cosines + size),
        lengths(norms + size),
        weights(lengths + size),
        labels(weights + size) {}
  BoxRow(const BoxRow&) = delete;
  BoxRow& operator=(const BoxRow&) = delete;

  // Weighted sum of BCE(alpha cos, label). Replaces each cosine by weight * dBCE/dcos (0 where the guard acts).
  // BCE = t softplus(-z) + (1 - t) softplus(z) and its derivative (1 - t) sigmoid(z) - t sigmoid(-z) cancel nothing at
  // labels of 0 and 1.
  float entropy(float alpha) const {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int32_t i = 0; i < size; ++i) {
      const float product = norms[i] * lengths[i];
      const bool guarded = product <= kGuard;
      const float z = alpha * (guarded ? cosines[i] * (product / kGuard) : cosines[i]);
      const float small = vector_exp(-std::fabs(z));
      const float upper = 1.0f / (1.0f + small), lower = small * upper;  // sigmoid of |z| and of -|z|
      const float on = labels[i], off = 1.0f - on;
      sum += weights[i] * ((z < 0.0f ? -on * z : off * z) + vector_log1p_unit(small));
      const float slope = z < 0.0f ? off * lower - on * upper : off * upper - on * lower;
      cosines[i] = guarded ? 0.0f : weights[i] * alpha * slope;
    }
    return sum;
  }

  const int32_t size;
  std::vector<float> values;
  float* const cosines;
  float* const norms;    // |X_p|
  float* const lengths;  // |O|
  float* const weights;  // of the cell
  float* const labels;   // 0 to 1
};

template <int C>
class GridLoss {
 public:
  GridLoss(CpuContext& context, const GridSegmentationLossArgs& args)
      : context_(context),
        args_(args),
        channels_{args.channels},
        cells_(int64_t{args.k} * args.k),
        pixels_(args.images * args.height * args.width),
        unit_pixels_(context, static_cast<size_t>(pixels_ * args.channels)),
        pixel_norms_(context, static_cast<size_t>(pixels_)),
        unit_objects_(context, static_cast<size_t>(args.boxes * cells_ * 2 * args.channels)),
        object_norms_(context, static_cast<size_t>(args.boxes * cells_ * 2)) {}

  void run() {
    int64_t total = 0;
    plans_.reserve(static_cast<size_t>(args_.boxes));
    for (int64_t j = 0; j < args_.boxes; ++j) {
      plans_.push_back(plan(args_.corners + 4 * j, total));
      total += int64_t{plans_.back().columns.size()} * plans_.back().rows.size();
    }
    normalise(context_, args_.pixels, pixels_, args_.channels, unit_pixels_.data(), pixel_norms_.data());
    normalise(context_, args_.objects, args_.boxes * cells_ * 2, args_.channels, unit_objects_.data(),
              object_norms_.data());
    const bool gradients = args_.pixel_gradient != nullptr;
    Scratch<float> derivatives(context_, gradients ? static_cast<size_t>(2 * total) : 0);
    const double sum = chunked_sum(context_, args_.boxes, 1, [&](int64_t begin, int64_t end) {
      double partial = 0;
      for (int64_t j = begin; j < end; ++j) partial += box_loss(j, gradients ? derivatives.data() : nullptr);
      return partial;
    });
    args_.loss[0] = static_cast<float>(sum);
    if (gradients) gather_pixel_gradients(derivatives.data());
  }

 private:
  BoxPlan plan(const float* corners, int64_t offset) const {
    BoxPlan box;
    box.columns.assign(corners[0], corners[2], args_.stride, args_.width, args_.k);
    box.rows.assign(corners[1], corners[3], args_.stride, args_.height, args_.k);
    box.derivatives = offset;
    const int occupied = box.columns.occupied() * box.rows.occupied();
    const auto divisor = static_cast<double>(args_.literal_cell_norm ? cells_ : std::max(occupied, 1));
    box.weight = static_cast<float>(args_.scale / divisor);
    return box;
  }

  // Loss of one box; writes its object gradient, and dL/dcos of each of its pixels, foreground and background.
  double box_loss(int64_t j, float* derivatives) const {
    const BoxPlan& box = plans_[static_cast<size_t>(j)];
    const int64_t size = channels_.size(), k = args_.k;
    const int32_t width = box.columns.size(), first_column = box.columns.first();
    if (derivatives != nullptr) std::fill_n(args_.object_gradient + j * cells_ * 2 * size, cells_ * 2 * size, 0.0f);
    if (width == 0) return 0;
    BoxRow row(width);
    double loss = 0;
    for (int64_t iy = 0; iy < k; ++iy) {
      const int32_t top = box.rows.begin[static_cast<size_t>(iy)], bottom = box.rows.begin[static_cast<size_t>(iy) + 1];
      if (bottom <= top) continue;
      const int64_t first_cell = j * cells_ + iy * k;
      const float* vectors = unit_objects_.data() + first_cell * 2 * size;
      for (int64_t ix = 0; ix < k; ++ix) {
        const int32_t left = box.columns.begin[static_cast<size_t>(ix)] - first_column;
        const int32_t count = box.columns.begin[static_cast<size_t>(ix) + 1] - first_column - left;
        if (count == 0) continue;
        for (int side = 0; side < 2; ++side) {
          const int32_t at = side * width + left;
          std::fill_n(row.weights + at, count, box.weight / static_cast<float>(int64_t{count} * (bottom - top)));
          std::fill_n(row.lengths + at, count, object_norms_.data()[(first_cell + ix) * 2 + side]);
        }
      }
      float* const sums = derivatives != nullptr ? args_.object_gradient + first_cell * 2 * size : nullptr;
      for (int32_t y = top; y < bottom; ++y) {
        const int64_t pixel = (args_.image_of[j] * args_.height + y) * args_.width + first_column;
        const float* units = unit_pixels_.data() + pixel * size;
        const uint8_t* truth = args_.masks + (args_.mask_of[j] * args_.height + y) * args_.width + first_column;
        for (int32_t i = 0; i < width; ++i) {
          row.norms[i] = row.norms[width + i] = pixel_norms_.data()[pixel + i];
          row.labels[i] = static_cast<float>(truth[i]) / 255.0f;
          row.labels[width + i] = 1.0f - row.labels[i];
        }
        for_each_column(box, [&](int64_t ix, int32_t i) {
          const float* foreground = vectors + ix * 2 * size;
          row.cosines[i] = channels_.dot(units + i * size, foreground);
          row.cosines[width + i] = channels_.dot(units + i * size, foreground + size);
        });
        loss += row.entropy(args_.alpha);
        if (derivatives == nullptr) continue;
        std::copy_n(row.cosines, 2 * width,
                    derivatives + 2 * (box.derivatives + int64_t{y - box.rows.first()} * width));
        for_each_column(box, [&](int64_t ix, int32_t i) {
          channels_.add(sums + ix * 2 * size, row.cosines[i], units + i * size);
          channels_.add(sums + (ix * 2 + 1) * size, row.cosines[width + i], units + i * size);
        });
      }
      if (derivatives == nullptr) continue;
      for (int64_t i = 0; i < 2 * k; ++i) {
        channels_.project(sums + i * size, vectors + i * size, object_norms_.data()[first_cell * 2 + i],
                          sums + i * size);
      }
    }
    return loss;
  }

  // visit(cell column, pixel column of the box) for all pixel columns.
  template <typename Visit>
  void for_each_column(const BoxPlan& box, Visit&& visit) const {
    for (int64_t ix = 0; ix < args_.k; ++ix) {
      const int32_t end = box.columns.begin[static_cast<size_t>(ix) + 1] - box.columns.first();
      for (int32_t i = box.columns.begin[static_cast<size_t>(ix)] - box.columns.first(); i < end; ++i) visit(ix, i);
    }
  }

  void gather_pixel_gradients(const float* derivatives) const {
    std::vector<std::vector<int64_t>> boxes_of(static_cast<size_t>(args_.images));
    for (int64_t j = 0; j < args_.boxes; ++j) boxes_of[static_cast<size_t>(args_.image_of[j])].push_back(j);
    const int64_t size = channels_.size();
    parallel_chunks(context_, args_.images * args_.height, 4, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        float* gradient = args_.pixel_gradient + line * args_.width * size;
        std::fill_n(gradient, args_.width * size, 0.0f);
        const auto y = static_cast<int32_t>(line % args_.height);
        for (const int64_t j : boxes_of[static_cast<size_t>(line / args_.height)]) {
          const BoxPlan& box = plans_[static_cast<size_t>(j)];
          if (y >= box.rows.first() && y < box.rows.last()) add_box_row(j, y, derivatives, gradient);
        }
        for (int64_t x = 0; x < args_.width; ++x) {
          const int64_t pixel = line * args_.width + x;
          channels_.project(gradient + x * size, unit_pixels_.data() + pixel * size,
                            pixel_norms_[static_cast<size_t>(pixel)], gradient + x * size);
        }
      }
    });
  }

  // gradient += sum over both sides of dL/dcos o^ along row y of box j.
  void add_box_row(int64_t j, int32_t y, const float* derivatives, float* gradient) const {
    const BoxPlan& box = plans_[static_cast<size_t>(j)];
    const int64_t size = channels_.size();
    const int32_t width = box.columns.size();
    const float* row = derivatives + 2 * (box.derivatives + int64_t{y - box.rows.first()} * width);
    int64_t iy = 0;
    while (y >= box.rows.begin[static_cast<size_t>(iy) + 1]) ++iy;
    const float* vectors = unit_objects_.data() + (j * cells_ + iy * args_.k) * 2 * size;
    float* first = gradient + box.columns.first() * size;
    for_each_column(box, [&](int64_t ix, int32_t i) {
      channels_.add(first + i * size, row[i], vectors + ix * 2 * size);
      channels_.add(first + i * size, row[width + i], vectors + (ix * 2 + 1) * size);
    });
  }

  CpuContext& context_;
  const GridSegmentationLossArgs& args_;
  Channels<C> channels_;
  int64_t cells_, pixels_;
  Scratch<float> unit_pixels_, pixel_norms_, unit_objects_, object_norms_;
  std::vector<BoxPlan> plans_;
};

}  // namespace

void grid_segmentation_loss(CpuContext& context, const GridSegmentationLossArgs& args) {
  if (args.boxes == 0) {
    args.loss[0] = 0;
    if (args.pixel_gradient != nullptr) {
      std::fill_n(args.pixel_gradient, args.images * args.height * args.width * args.channels, 0.0f);
    }
    return;
  }
  switch (args.channels) {
    case 8:
      return GridLoss<8>(context, args).run();
    case 16:
      return GridLoss<16>(context, args).run();
    default:
      return GridLoss<0>(context, args).run();
  }
}

}  // namespace tessera
