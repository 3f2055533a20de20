// Host memory that transfers start from and end in. On a GPU it is page-locked: only then does a copy run beside the
// host. Its bytes stand in the statistics of Context::staging_allocator.
#pragma once

#include "kernels/context.h"

namespace tessera {

class Staging {
 public:
  // name: the purpose, a string literal.
  Staging(Context& context, size_t bytes, const char* name)
      : allocator_(context.staging_allocator()), bytes_(bytes), name_(name), data_(allocator_->allocate(bytes, name)) {}
  ~Staging() { allocator_->release(data_, bytes_, name_); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  template <typename T>
  T* data() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Allocator> allocator_;
  size_t bytes_;
  const char* name_;
  void* data_;
};

}  // namespace tessera
