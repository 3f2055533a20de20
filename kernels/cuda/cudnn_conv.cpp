#include "kernels/cuda/cudnn_conv.h"

#include "kernels/cuda/libraries.h"

#if TESSERA_CUDNN
#include <cudnn.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/cuda/state.h"
#include "kernels/launch_graph.h"

#if CUDNN_MAJOR < 9
#error "cuDNN 9 is needed: build with CUDNN_ROOT= (none) or another one"
#endif
#endif

namespace tessera {

#if TESSERA_CUDNN

namespace {

struct Cudnn {
  SharedLibrary library{"libcudnn.so.9", TESSERA_CUDNN_FOLDER "/libcudnn.so.9"};
  decltype(cudnnCreate)* create;
  decltype(cudnnDestroy)* destroy;
  decltype(cudnnSetStream)* set_stream;
  decltype(cudnnGetVersion)* get_version;
  decltype(cudnnGetErrorString)* error_string;
  decltype(cudnnBackendCreateDescriptor)* create_descriptor;
  decltype(cudnnBackendDestroyDescriptor)* destroy_descriptor;
  decltype(cudnnBackendSetAttribute)* set_attribute;
  decltype(cudnnBackendGetAttribute)* get_attribute;
  decltype(cudnnBackendFinalize)* finalize;
  decltype(cudnnBackendExecute)* execute;

  Cudnn() {
    library.find("cudnnCreate", create);
    library.find("cudnnDestroy", destroy);
    library.find("cudnnSetStream", set_stream);
    library.find("cudnnGetVersion", get_version);
    library.find("cudnnGetErrorString", error_string);
    library.find("cudnnBackendCreateDescriptor", create_descriptor);
    library.find("cudnnBackendDestroyDescriptor", destroy_descriptor);
    library.find("cudnnBackendSetAttribute", set_attribute);
    library.find("cudnnBackendGetAttribute", get_attribute);
    library.find("cudnnBackendFinalize", finalize);
    library.find("cudnnBackendExecute", execute);
  }
  void check(cudnnStatus_t status, const char* what) const {
    if (status == CUDNN_STATUS_SUCCESS) return;
    throw LibraryRefused("cuDNN: " + std::string(what) + ": " + error_string(status));
  }
};

// A descriptor of the graph interface: attributes are set, then it is finished.
class Descriptor {
 public:
  Descriptor(const Cudnn& cudnn, cudnnBackendDescriptorType_t type) : cudnn_(&cudnn) {
    cudnn.check(cudnn.create_descriptor(type, &descriptor_), "a descriptor");
  }
  ~Descriptor() {
    if (descriptor_ != nullptr) cudnn_->destroy_descriptor(descriptor_);
  }
  Descriptor(Descriptor&& other) noexcept
      : cudnn_(other.cudnn_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  template <typename T>
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::vector<T>& values) {
    cudnn_->check(cudnn_->set_attribute(descriptor_, name, type, static_cast<int64_t>(values.size()), values.data()),
                  "an attribute");
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::vector<cudnnBackendDescriptor_t>{other.descriptor_});
  }
  // Whether cuDNN takes it as it is.
  bool finish() { return cudnn_->finalize(descriptor_) == CUDNN_STATUS_SUCCESS; }
  Descriptor& finished(const char* what) {
    cudnn_->check(cudnn_->finalize(descriptor_), what);
    return *this;
  }
  cudnnBackendDescriptor_t get() const { return descriptor_; }

 private:
  const Cudnn* cudnn_;
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

constexpr int64_t kX = 1, kWeight = 2, kY = 3;  // names of the tensors

struct Plan {
  Descriptor execution;
  size_t workspace;
};

// Everything that a plan depends on.
using PlanKey = std::array<int64_t, 15>;

PlanKey key_of(const CudnnConv& conv) {
  const Conv2dWindow& window = conv.window;
  const Conv2dMap& map = conv.map;
  return {static_cast<int64_t>(conv.pass), static_cast<int64_t>(conv.math), window.in_channels, window.out_channels,
          window.height, window.width, window.stride, window.padding, window.groups, map.images, map.height, map.width,
          map.out_height, map.out_width,
          // Only pointers that are multiples of 16 bytes may go where a plan was made for such.
          static_cast<int64_t>((reinterpret_cast<uintptr_t>(conv.x) | reinterpret_cast<uintptr_t>(conv.weight) |
                                reinterpret_cast<uintptr_t>(conv.y)) %
                               16)};
}

class CudnnHandle {
 public:
  CudnnHandle() { cudnn_.check(cudnn_.create(&handle_), "a handle"); }
  ~CudnnHandle() {
    plans_.clear();
    cudnn_.destroy(handle_);
  }
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;

  void run(CudaContext& context, const CudnnConv& conv) {
    const Plan& plan = plan_of(context, conv);
    const Scratch<std::byte> workspace(context, plan.workspace);
    Descriptor pack(cudnn_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::vector<int64_t>{kX, kWeight, kY});
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
             std::vector<const void*>{conv.x, conv.weight, conv.y});
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, std::vector<void*>{workspace.data()});
    pack.finished("the pointers of a convolution");
    cudnn_.check(cudnn_.set_stream(handle_, stream_of(context)), "the stream");
    cudnn_.check(cudnn_.execute(handle_, plan.execution.get(), pack.get()), "a convolution");
  }

 private:
  const Plan& plan_of(CudaContext& context, const CudnnConv& conv) {
    const PlanKey key = key_of(conv);
    auto found = plans_.find(key);
    if (found == plans_.end()) {
      if (context.capturing()) throw CaptureRefused("cuDNN is asked for a new convolution");
      found = plans_.emplace(key, make_plan(conv, key.back() == 0 ? 16 : 4)).first;
    }
    if (!found->second) throw LibraryRefused("cuDNN has no engine for this convolution");
    return *found->second;
  }

  Descriptor tensor(int64_t name, cudnnDataType_t type, int64_t alignment, const std::vector<int64_t>& nhwc) const {
    const auto [n, h, w, c] = std::array<int64_t, 4>{nhwc[0], nhwc[1], nhwc[2], nhwc[3]};
    Descriptor made(cudnn_, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    made.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector{type});
    made.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, std::vector<int64_t>{n, c, h, w});
    made.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, std::vector<int64_t>{h * w * c, 1, w * c, c});
    made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, std::vector<int64_t>{name});
    made.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::vector<int64_t>{alignment});
    made.finished("a tensor");
    return made;
  }

  Descriptor operation(const CudnnConv& conv, int64_t alignment) const {
    const Conv2dWindow& window = conv.window;
    const Conv2dMap& map = conv.map;
    const cudnnDataType_t read = conv.math == ConvMath::bf16   ? CUDNN_DATA_BFLOAT16
                                 : conv.math == ConvMath::fp16 ? CUDNN_DATA_HALF
                                                               : CUDNN_DATA_FLOAT;
    const auto type_in = [&](CudnnPass written) { return conv.pass == written ? CUDNN_DATA_FLOAT : read; };
    const Descriptor x =
        tensor(kX, type_in(CudnnPass::data), alignment, {map.images, map.height, map.width, window.in_channels});
    const Descriptor weight = tensor(kWeight, type_in(CudnnPass::weight), alignment,
                                     {window.out_channels, window.height, window.width, window.group_in()});
    const Descriptor y = tensor(kY, type_in(CudnnPass::forward), alignment,
                                {map.images, map.out_height, map.out_width, window.out_channels});
    Descriptor how(cudnn_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    const std::vector<int64_t> padding(2, window.padding), stride(2, window.stride);
    how.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector{CUDNN_DATA_FLOAT});
    how.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, std::vector{CUDNN_CROSS_CORRELATION});
    how.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::vector<int64_t>{2});
    how.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, std::vector<int64_t>{1, 1});
    how.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, stride);
    how.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, padding);
    how.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, padding);
    how.finished("a convolution");
    // The three passes name the same things differently.
    struct Names {
      cudnnBackendDescriptorType_t type;
      cudnnBackendAttributeName_t how, x, weight, y, alpha, beta;
    };
    static constexpr Names kNames[] = {
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};
    const Names& names = kNames[static_cast<size_t>(conv.pass)];
    Descriptor made(cudnn_, names.type);
    made.set(names.how, how).set(names.x, x).set(names.weight, weight).set(names.y, y);
    made.set(names.alpha, CUDNN_TYPE_FLOAT, std::vector<float>{1});
    made.set(names.beta, CUDNN_TYPE_FLOAT, std::vector<float>{0});
    made.finished("the operation of a convolution");
    return made;
  }

  // Newer versions want no handle there any more, older ones do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  static constexpr cudnnBackendAttributeName_t kGraphHandle = CUDNN_ATTR_OPERATIONGRAPH_HANDLE;
  static constexpr cudnnBackendAttributeName_t kPlanHandle = CUDNN_ATTR_EXECUTION_PLAN_HANDLE;
#pragma GCC diagnostic pop

  // Nothing where no engine will do.
  std::optional<Plan> make_plan(const CudnnConv& conv, int64_t alignment) {
    const Descriptor convolution = operation(conv, alignment);
    Descriptor graph(cudnn_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, convolution);
    graph.set(kGraphHandle, CUDNN_TYPE_HANDLE, std::vector{handle_}).finished("a graph");
    for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
      for (const Descriptor& engine : engines(graph, mode)) {
        if (!allowed(engine, conv.math)) continue;
        Descriptor execution(cudnn_, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        execution.set(kPlanHandle, CUDNN_TYPE_HANDLE, std::vector{handle_});
        execution.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine);
        if (!execution.finish()) continue;
        int64_t count = 0, bytes = 0;
        cudnn_.check(cudnn_.get_attribute(execution.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                                          1, &count, &bytes),
                     "memory of a plan");
        return Plan{std::move(execution), static_cast<size_t>(bytes)};
      }
    }
    return std::nullopt;
  }

  // What the heuristics advise, the best first.
  std::vector<Descriptor> engines(const Descriptor& graph, cudnnBackendHeurMode_t mode) const {
    Descriptor heuristics(cudnn_, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, std::vector{mode});
    std::vector<Descriptor> found;
    if (!heuristics.finish()) return found;
    constexpr int64_t kMost = 32;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (int64_t i = 0; i < kMost; ++i) {
      raw.push_back(found.emplace_back(cudnn_, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
    }
    int64_t count = 0;
    if (cudnn_.get_attribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, kMost,
                             &count, raw.data()) != CUDNN_STATUS_SUCCESS) {
      count = 0;
    }
    while (static_cast<int64_t>(found.size()) > count) found.pop_back();
    return found;
  }

  bool allowed(const Descriptor& config, ConvMath math) const {
    Descriptor engine(cudnn_, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t raw = engine.get();
    int64_t count = 0;
    if (cudnn_.get_attribute(config.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                             &raw) != CUDNN_STATUS_SUCCESS) {
      return false;
    }
    std::vector<cudnnBackendNumericalNote_t> notes(CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
    if (cudnn_.get_attribute(raw, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                             CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes.data()) != CUDNN_STATUS_SUCCESS) {
      return false;
    }
    notes.resize(static_cast<size_t>(count));
    return std::none_of(notes.begin(), notes.end(), [&](cudnnBackendNumericalNote_t note) {
      switch (note) {
        case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:  // TF32, for operands in f32
          return math == ConvMath::fp32;
        case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
          return false;
        case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
        case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
        case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
        default:  // transforms
          return true;
      }
    });
  }

  Cudnn cudnn_;
  cudnnHandle_t handle_ = nullptr;
  std::map<PlanKey, std::optional<Plan>> plans_;
};

}  // namespace

bool has_cudnn() { return true; }

std::string cudnn_version() {
  const size_t version = Cudnn().get_version();  // 91900
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

void cudnn_conv(CudaContext& context, const CudnnConv& conv) {
  if (conv.math == ConvMath::fp16_accumulate_chunked) throw LibraryRefused("cuDNN has no sums of 32 products in half");
  std::shared_ptr<void>& held = context.state().cudnn;
  if (held == nullptr) {
    if (context.capturing()) throw CaptureRefused("cuDNN is opened");
    stream_of(context);  // chooses the GPU
    held = std::make_shared<CudnnHandle>();
  }
  static_cast<CudnnHandle*>(held.get())->run(context, conv);
}

#else

bool has_cudnn() { return false; }
std::string cudnn_version() { throw LibraryRefused("cuDNN is not part of this build"); }
void cudnn_conv(CudaContext&, const CudnnConv&) { throw LibraryRefused("cuDNN is not part of this build"); }

#endif

}  // namespace tessera
