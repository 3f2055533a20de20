// Bytes on one device, owned; freed when the last tensor that views them goes.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/context.h"

namespace tessera {

class Storage {
 public:
  // name: the purpose in the memory table; a string literal (kept by pointer).
  Storage(Context& context, size_t bytes, const char* name)
      : allocator_(context.allocator()),
        backend_(context.backend()),
        bytes_(bytes),
        name_(name),
        data_(allocator_->allocate(bytes, name)) {}
  // Views a table that others may share (kernels/constant_tables.h).
  Storage(Context& context, std::shared_ptr<const void> table, size_t bytes)
      : backend_(context.backend()),
        bytes_(bytes),
        name_("tables"),
        data_(const_cast<void*>(table.get())),
        table_(std::move(table)) {}
  ~Storage() {
    if (allocator_ != nullptr) allocator_->release(data_, bytes_, name_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }
  Backend backend() const { return backend_; }
  bool constant() const { return allocator_ == nullptr; }  // not to be written

 private:
  std::shared_ptr<Allocator> allocator_;
  Backend backend_;
  size_t bytes_;
  const char* name_;
  void* data_;
  std::shared_ptr<const void> table_;
};

}  // namespace tessera
