#include "kernels/context.h"

#include "kernels/constant_tables.h"

namespace tessera {

Context::Context(Backend backend, std::shared_ptr<Allocator> allocator, std::shared_ptr<Allocator> staging)
    : backend_(backend),
      allocator_(std::move(allocator)),
      lasting_allocator_(allocator_),
      staging_allocator_(staging != nullptr ? std::move(staging) : make_host_allocator()),
      constant_tables_(std::make_unique<ConstantTables>()) {}

Context::~Context() = default;

}  // namespace tessera
