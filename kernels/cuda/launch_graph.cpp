// Launches of a CudaContext recorded as a CUDA graph. Only calls of the recording thread are refused meanwhile (thread
// local mode), so loader threads may allocate page-locked memory.
#include "kernels/launch_graph.h"

#include "kernels/constant_tables.h"
#include "kernels/cuda/state.h"

namespace tessera {

namespace {

class CudaGraph final : public LaunchGraph {
 public:
  CudaGraph(CudaContext& context, cudaGraph_t graph, std::vector<TableMemory> tables)
      : context_(context), tables_(std::move(tables)) {
    size_t nodes = 0;
    check_cuda(cudaGraphGetNodes(graph, nullptr, &nodes), "counting recorded launches");
    launches_ = static_cast<int64_t>(nodes);
    check_cuda(cudaGraphInstantiate(&executable_, graph, 0), "making a graph of recorded launches");
    // What the first replay would have to move to the GPU.
    const cudaError_t uploaded = cudaGraphUpload(executable_, stream_of(context));
    if (uploaded != cudaSuccess) cudaGraphExecDestroy(executable_);
    check_cuda(uploaded, "moving a graph to the GPU");
  }
  ~CudaGraph() override {
    cudaSetDevice(context_.index());
    cudaStreamSynchronize(static_cast<cudaStream_t>(context_.stream()));
    cudaGraphExecDestroy(executable_);
  }

  void replay() override {
    if (context_.capturing()) throw CaptureRefused("recorded launches are repeated");
    check_cuda(cudaGraphLaunch(executable_, stream_of(context_)), "repeating recorded launches");
  }
  int64_t launches() const override { return launches_; }

 private:
  CudaContext& context_;
  std::vector<TableMemory> tables_;
  cudaGraphExec_t executable_ = nullptr;
  int64_t launches_ = 0;
};

}  // namespace

void CudaContext::begin_capture() {
  if (capturing()) throw CaptureRefused("another recording begins");
  check_cuda(cudaStreamBeginCapture(stream_of(*this), cudaStreamCaptureModeThreadLocal), "recording launches");
  set_capturing(true);
}

std::unique_ptr<LaunchGraph> CudaContext::end_capture() {
  set_capturing(false);
  cudaGraph_t graph = nullptr;
  std::vector<TableMemory> tables = constant_tables().release_held();
  check_cuda(cudaStreamEndCapture(stream_of(*this), &graph), "recording launches");
  const std::unique_ptr<CUgraph_st, decltype(&cudaGraphDestroy)> recorded(graph, &cudaGraphDestroy);
  return std::make_unique<CudaGraph>(*this, graph, std::move(tables));
}

void CudaContext::abandon_capture() noexcept {
  if (!capturing()) return;
  set_capturing(false);
  constant_tables().release_held();
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(static_cast<cudaStream_t>(stream_), &graph) == cudaSuccess) cudaGraphDestroy(graph);
  cudaGetLastError();
}

}  // namespace tessera
