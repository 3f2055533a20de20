// The only switch between backends in the program.
#pragma once

#include "engine/core/error.h"
#include "kernels/context.h"

namespace tessera {

// Calls call(concrete context). On a PlanContext nothing is called: shapes and costs are known, arithmetic is not done.
template <typename Call>
void dispatch(Context& context, Call&& call) {
  switch (context.backend()) {
    case Backend::cpu:
      call(static_cast<CpuContext&>(context));
      return;
    case Backend::plan:
      return;
    case Backend::cuda:
    case Backend::emulated:
      break;
  }
  throw Error(ExitCode::device, fmt::format("backend '{}' is not part of this build", backend_name(context.backend())),
              "--device cpu");
}

}  // namespace tessera
