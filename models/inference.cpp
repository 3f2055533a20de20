#include "models/inference.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "engine/core/allocator_scope.h"
#include "engine/core/dispatch.h"
#include "kernels/memory.h"
#include "kernels/staging.h"

namespace tessera {

namespace {

constexpr size_t kMostSizes = 256;  // remembered, with or without a graph

bool same(const ImageGeometry& a, const ImageGeometry& b) {
  return a.original_height == b.original_height && a.original_width == b.original_width &&
         a.resized_height == b.resized_height && a.resized_width == b.resized_width;
}

// Values of the host on their way into a tensor; keeps them where the copy reads them. Whoever destroys it has waited
// for results that follow from the tensor.
class Upload {
 public:
  Upload(Context& context, const Tensor& to, std::span<const float> values)
      : staging_(context, to.bytes(), "pictures") {
    TESSERA_CHECK(static_cast<int64_t>(values.size()) == to.elements(), "{} values for {}", values.size(),
                  to.shape().to_string());
    std::memcpy(staging_.data<float>(), values.data(), to.bytes());
    dispatch(context, [&](auto& device) { memory_upload(device, to.raw(), staging_.data<float>(), to.bytes()); });
  }

 private:
  Staging staging_;
};

}  // namespace

// Sizes that were seen, and from the second time on their graph with what it reads and leaves behind.
struct Inference::Entry {
  Shape shape;
  std::vector<ImageGeometry> geometry;
  ConvSettings convolutions;

  bool seen = false;
  Tensor images;
  std::vector<PackedDetections> packed;
  std::unique_ptr<LaunchGraph> graph;  // goes before its tensors

  bool is_of(const Shape& other_shape, const std::vector<ImageGeometry>& other, const ConvSettings& settings) const {
    return shape == other_shape && convolutions.math == settings.math && convolutions.tuner == settings.tuner &&
           std::equal(geometry.begin(), geometry.end(), other.begin(), other.end(), same);
  }
};

Inference::Inference(Context& context, const System& system, const InferenceOptions& options)
    : context_(context),
      system_(system),
      options_(options),
      pool_(std::make_shared<BlockPool>(context.lasting_allocator(), "graph")) {
  if (options.graph && !can_capture(context)) {
    throw Error(ExitCode::usage, fmt::format("--graph on: '{}' records no launches", backend_name(context.backend())),
                "--graph off, or --device cuda");
  }
}

Inference::~Inference() = default;

size_t Inference::graphs() const {
  return static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.graph != nullptr; }));
}

Inference::Entry& Inference::entry_of(const Shape& shape, const std::vector<ImageGeometry>& geometry) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.is_of(shape, geometry, context_.convolutions());
  });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
  } else {
    Entry& fresh = entries_.emplace_front();
    fresh.shape = shape;
    fresh.geometry = geometry;
    fresh.convolutions = context_.convolutions();
  }
  if (entries_.size() > kMostSizes) entries_.pop_back();
  return entries_.front();
}

void Inference::forget_oldest() {
  const auto oldest =
      std::find_if(entries_.rbegin(), entries_.rend(), [](const Entry& entry) { return entry.graph != nullptr; });
  if (oldest != entries_.rend()) entries_.erase(std::next(oldest).base());
}

std::vector<std::vector<Detection>> Inference::direct(std::span<const float> images, const Shape& shape,
                                                      const std::vector<ImageGeometry>& geometry) {
  Tape tape(context_, Tape::Mode::forward);
  const Tensor input = Tensor::empty(context_, shape, DType::f32, "input");
  const Upload upload(context_, input, images);
  return system_.detect(tape, input, geometry);
}

std::vector<std::vector<Detection>> Inference::record(Entry& entry, std::span<const float> images) {
  std::vector<std::vector<Detection>> detections;
  {
    const AllocatorScope scope(context_, pool_);
    entry.images = Tensor::empty(context_, entry.shape, DType::f32, "input");
    const Upload upload(context_, entry.images, images);
    Tape tape(context_, Tape::Mode::forward);
    detections = system_.detect(tape, entry.images, entry.geometry);
  }
  entry.graph = capture(context_, pool_, [&] {
    Tape tape(context_, Tape::Mode::forward);
    entry.packed = system_.detect_packed(tape, entry.images, entry.geometry);
  });
  return detections;
}

std::vector<std::vector<Detection>> Inference::detect(std::span<const float> images, const Shape& shape,
                                                      const std::vector<ImageGeometry>& geometry) {
  launches_ = 0;
  if (!options_.graph) return direct(images, shape, geometry);
  Entry& entry = entry_of(shape, geometry);
  if (entry.graph != nullptr) {
    const Upload upload(context_, entry.images, images);
    entry.graph->replay();
    launches_ = entry.graph->launches();
    return unpack(context_, entry.packed, geometry);
  }
  if (!entry.seen) {
    entry.seen = true;
    return direct(images, shape, geometry);
  }
  if (graphs() >= options_.most_graphs) forget_oldest();
  try {
    return record(entry, images);
  } catch (const std::bad_alloc&) {
    options_.graph = false;
    entries_.clear();
    pool_ = std::make_shared<BlockPool>(context_.lasting_allocator(), "graph");
    return direct(images, shape, geometry);
  }
}

}  // namespace tessera
