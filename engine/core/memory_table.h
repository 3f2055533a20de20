// The memory of a device by purpose, as text.
#pragma once

#include <string>

#include "kernels/allocator.h"

namespace tessera {

// One line per purpose: bytes at the moment of the highest total, its own peak, number of allocations; the total last.
std::string format_memory_table(const AllocationStatistics& statistics);

// "13.5 GiB", "820 KiB".
std::string format_bytes(double bytes);

}  // namespace tessera
