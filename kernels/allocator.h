// Device memory with names. Every block belongs to a named purpose, so a program can print where its memory is.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tessera {

// Bytes of one named purpose.
struct AllocationUse {
  size_t live = 0;     // bytes held now
  size_t peak = 0;     // most bytes ever held under this name
  size_t at_peak = 0;  // bytes held under this name when the allocator's total was highest
  size_t blocks = 0;   // allocations so far
};

struct AllocationStatistics {
  size_t live = 0;
  size_t peak = 0;
  std::map<std::string, AllocationUse> by_name;
};

// Thread safe. `allocate` throws std::bad_alloc. Blocks are aligned to 64 bytes and never zeroed.
class Allocator {
 public:
  virtual ~Allocator() = default;
  void* allocate(size_t bytes, const char* name);
  void release(void* block, size_t bytes, const char* name) noexcept;
  AllocationStatistics statistics() const;
  void reset_peak();

 protected:
  virtual void* take(size_t bytes) = 0;
  virtual void give_back(void* block, size_t bytes) noexcept = 0;

 private:
  mutable std::mutex mutex_;
  AllocationStatistics statistics_;
};

// Host memory that keeps what is freed, small blocks by size class and large ones as ranges of pages: a training step
// asks for the same sizes again and again, and fresh pages from the system cost more than the arithmetic on them. It
// gives back what goes beyond the most that was ever live by a sixteenth and 32 MiB, by whole huge pages. Under
// AddressSanitizer nothing is kept.
std::shared_ptr<Allocator> make_host_allocator();

// Counts, but holds no memory: for planning a run (Backend::plan). Its pointers must not be followed.
std::shared_ptr<Allocator> make_plan_allocator();

}  // namespace tessera
