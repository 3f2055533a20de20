// Memory whose places repeat: blocks that are freed stay with the pool, so work that asks for the same sizes in the
// same order a second time gets the blocks of the first. A frozen pool takes nothing new: recorded launches
// (kernels/launch_graph.h) must find all their memory there.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/allocator.h"

namespace tessera {

class BlockPool final : public Allocator {
 public:
  // Blocks come from `source`, where they are accounted to `name`, a string literal. They go back with the pool.
  BlockPool(std::shared_ptr<Allocator> source, const char* name);
  ~BlockPool() override;

  // Throw CaptureRefused instead of asking the source.
  void freeze(bool frozen);
  size_t bytes() const;  // taken from the source

 protected:
  void* take(size_t bytes) override;
  void give_back(void* block, size_t bytes) noexcept override;

 private:
  // Equal requests meet again; unequal ones share blocks of a multiple of 512 bytes.
  static size_t block_size(size_t bytes);

  std::shared_ptr<Allocator> source_;
  const char* name_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> kept_;
  size_t bytes_ = 0;
  bool frozen_ = false;
};

}  // namespace tessera
