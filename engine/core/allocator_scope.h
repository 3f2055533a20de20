// What is made while it lives comes from another allocator: AllocatorScope scope(context, pool);
#pragma once

#include <memory>
#include <utility>

#include "kernels/context.h"

namespace tessera {

class AllocatorScope {
 public:
  AllocatorScope(Context& context, std::shared_ptr<Allocator> allocator)
      : context_(context), before_(context.exchange_allocator(std::move(allocator))) {}
  ~AllocatorScope() { context_.exchange_allocator(std::move(before_)); }
  AllocatorScope(const AllocatorScope&) = delete;
  AllocatorScope& operator=(const AllocatorScope&) = delete;

 private:
  Context& context_;
  std::shared_ptr<Allocator> before_;
};

}  // namespace tessera
