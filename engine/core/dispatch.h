// The only switch between backends in the program.
#pragma once

#include <source_location>

#include "engine/core/error.h"
#include "kernels/context.h"
#include "kernels/launch_graph.h"
#include "kernels/not_yet.h"

// 1 in builds that found a CUDA toolkit: only they hold the kernels of CudaContext.
#ifndef TESSERA_CUDA
#define TESSERA_CUDA 0
#endif

namespace tessera {

// A kernel that is not written for the device in use (kernels/not_yet.inc).
class MissingKernel : public Error {
 public:
  explicit MissingKernel(const KernelNotYet& missing) : Error(ExitCode::device, missing.what(), "--device cpu") {}
};

// What cannot be recorded (kernels/launch_graph.h), and the op that wants it.
inline Error refused_in(const CaptureRefused& refused, const std::source_location& where) {
  return {ExitCode::internal, fmt::format("{}:{}: {}", where.file_name(), where.line(), refused.what()), "--graph off"};
}

// Calls call(concrete context). On a PlanContext nothing is called: shapes and costs are known, arithmetic is not done.
// Throws MissingKernel, Error(device) for a backend that this build lacks, and Error(internal) that names `where` for a
// call that cannot be recorded while launches are.
template <typename Call>
void dispatch(Context& context, Call&& call, const std::source_location& where = std::source_location::current()) {
  try {
    switch (context.backend()) {
      case Backend::cpu:
        call(static_cast<CpuContext&>(context));
        return;
      case Backend::plan:
        return;
      case Backend::emulated:
        call(static_cast<EmulatedContext&>(context));
        return;
      case Backend::cuda:
#if TESSERA_CUDA
        call(static_cast<CudaContext&>(context));
        return;
#else
        break;
#endif
    }
  } catch (const KernelNotYet& missing) {
    throw MissingKernel(missing);
  } catch (const CaptureRefused& refused) {
    throw refused_in(refused, where);
  }
  throw Error(ExitCode::device, fmt::format("backend '{}' is not part of this build", backend_name(context.backend())),
              "--device cpu");
}

}  // namespace tessera
