// Memory for tests of kernels: filled with NaN, and with guard bytes around it whose change fails the test that
// releases it.
#pragma once

#include <memory>

#include "kernels/context.h"

namespace tessera::testing_support {

// Of the host. Nothing is kept or reused. Under AddressSanitizer without guards: it finds the write itself.
std::shared_ptr<Allocator> make_guarded_allocator();

// Within blocks of the context's own allocator, on its device; outlives neither. Without guards for what is taken, and
// unseen for what is released, while launches are recorded.
std::shared_ptr<Allocator> make_guarded_device_allocator(Context& context);

}  // namespace tessera::testing_support
