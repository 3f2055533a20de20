#include "engine/core/capture.h"

#include "engine/core/allocator_scope.h"
#include "engine/core/dispatch.h"

namespace tessera {

namespace {

// The pool takes nothing new while it lives.
class FrozenPool {
 public:
  explicit FrozenPool(BlockPool& pool) : pool_(pool) { pool_.freeze(true); }
  ~FrozenPool() { pool_.freeze(false); }
  FrozenPool(const FrozenPool&) = delete;
  FrozenPool& operator=(const FrozenPool&) = delete;

 private:
  BlockPool& pool_;
};

template <typename Device>
std::unique_ptr<LaunchGraph> capture_on(Device& device, const std::function<void()>& work) {
  device.begin_capture();
  try {
    work();
  } catch (...) {
    device.abandon_capture();
    throw;
  }
  return device.end_capture();
}

}  // namespace

bool can_capture(const Context& context) {
  return context.backend() == Backend::cuda || context.backend() == Backend::emulated;
}

std::unique_ptr<LaunchGraph> capture(Context& context, const std::shared_ptr<BlockPool>& pool,
                                     const std::function<void()>& work) {
  if (!can_capture(context)) {
    throw Error(ExitCode::usage, fmt::format("launches of '{}' cannot be recorded", backend_name(context.backend())),
                "--graph off");
  }
  const AllocatorScope scope(context, pool);
  const FrozenPool frozen(*pool);
  std::unique_ptr<LaunchGraph> graph;
  dispatch(context, [&](auto& device) {
    if constexpr (requires { device.begin_capture(); }) graph = capture_on(device, work);
  });
  return graph;
}

}  // namespace tessera
