// Host memory for tests of kernels: filled with NaN, and with guard bytes around it whose change fails the test that
// releases it (under AddressSanitizer, which finds that itself at the write, without them). Nothing is kept or reused.
#pragma once

#include <memory>

#include "kernels/allocator.h"

namespace tessera::testing_support {

std::shared_ptr<Allocator> make_guarded_allocator();

}  // namespace tessera::testing_support
