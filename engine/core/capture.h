// Work on a device, recorded once and repeated with one call (kernels/launch_graph.h).
#pragma once

#include <functional>
#include <memory>

#include "kernels/block_pool.h"
#include "kernels/context.h"
#include "kernels/launch_graph.h"

namespace tessera {

// Whether a device can: GPUs, and the emulated one.
bool can_capture(const Context& context);

// Records what `work` launches. The work has run directly before, with the same shapes and its memory from `pool`, and
// what that run made is gone again: so all memory it asks for is in the pool. Throws Error(internal) that names the op
// where it does something that cannot be recorded, Error(usage) for other devices. Whoever repeats the graph keeps the
// pool, what the work left behind in it, and the context.
std::unique_ptr<LaunchGraph> capture(Context& context, const std::shared_ptr<BlockPool>& pool,
                                     const std::function<void()>& work);

}  // namespace tessera
