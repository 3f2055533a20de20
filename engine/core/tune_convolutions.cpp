#include "engine/core/conv_tuning.h"
#include "engine/core/dispatch.h"
#include "kernels/cuda_devices.h"

namespace tessera {

void tune_convolutions(Context& context, [[maybe_unused]] const std::filesystem::path& file) {
#if TESSERA_CUDA
  if (context.backend() == Backend::cuda) {
    const auto index = static_cast<size_t>(static_cast<const CudaContext&>(context).index());
    ConvSettings settings = context.convolutions();
    settings.tuner = std::make_shared<ConvTuningFile>(file, find_cuda_devices().at(index).name);
    context.set_convolutions(settings);
    return;
  }
#endif
  throw Error(
      ExitCode::usage,
      fmt::format("--tuning measures convolutions of a GPU, and the device is '{}'", backend_name(context.backend())),
      "--device cuda");
}

}  // namespace tessera
