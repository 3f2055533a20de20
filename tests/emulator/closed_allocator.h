// Device memory as the host sees it: closed. Outside of kernels and copies every access to it ends the process, so a
// model that runs on it follows no device pointer on the host.
#pragma once

#include <memory>

#include "kernels/allocator.h"

namespace tessera::testing_support {

// NaN until written. Throws std::bad_alloc beyond 2 GiB.
std::shared_ptr<Allocator> make_closed_allocator();

}  // namespace tessera::testing_support
