// A contiguous array: storage + offset + shape + dtype. Reshaping and slicing of the leading dimension are views,
// everything else is an op. Copying a Tensor copies the view, not the elements.
#pragma once

#include <memory>
#include <source_location>
#include <span>
#include <vector>

#include "engine/core/dtype.h"
#include "engine/core/error.h"
#include "engine/core/shape.h"
#include "engine/core/storage.h"

namespace tessera {

// `where`, of the functions that have it, names the caller in errors: what cannot be recorded while launches are
// (kernels/launch_graph.h) is Error(internal).
class Tensor {
 public:
  using Place = std::source_location;

  Tensor() = default;  // undefined

  // Uninitialised memory. name: its purpose in the memory table, a string literal.
  static Tensor empty(Context& context, const Shape& shape, DType dtype = DType::f32, const char* name = "tensor",
                      const Place& where = Place::current());
  static Tensor zeros(Context& context, const Shape& shape, DType dtype = DType::f32, const char* name = "tensor",
                      const Place& where = Place::current());
  // Copies host values; the count must be shape.elements().
  template <typename T>
  static Tensor from_host(Context& context, const Shape& shape, std::span<const T> values, const char* name = "tensor",
                          const Place& where = Place::current()) {
    TESSERA_CHECK(static_cast<int64_t>(values.size()) == shape.elements(), "{} values for {}", values.size(),
                  shape.to_string());
    Tensor tensor = empty(context, shape, DTypeOf<T>::value, name, where);
    tensor.copy_from_host(context, values.data(), where);
    return tensor;
  }
  // The same for values that follow from shapes and are needed again and again: uploaded once and shared by all who ask
  // for these bytes (kernels/constant_tables.h). Must not be written to.
  template <typename T>
  static Tensor constant(Context& context, const Shape& shape, std::span<const T> values,
                         const Place& where = Place::current()) {
    TESSERA_CHECK(static_cast<int64_t>(values.size()) == shape.elements(), "{} values for {}", values.size(),
                  shape.to_string());
    return constant_bytes(context, shape, DTypeOf<T>::value, values.data(), where);
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t extent(int axis) const { return shape_[axis]; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * dtype_size(dtype_); }
  DType dtype() const { return dtype_; }
  Backend backend() const { return storage_->backend(); }

  // Device pointer to the first element. Throws when T is not the tensor's dtype or the tensor is undefined.
  template <typename T>
  T* data() const {
    TESSERA_CHECK(storage_ != nullptr, "undefined tensor");
    TESSERA_CHECK(DTypeOf<T>::value == dtype_, "tensor is {}", dtype_name(dtype_));
    return reinterpret_cast<T*>(storage_->data() + offset_);
  }
  void* raw() const { return storage_ ? storage_->data() + offset_ : nullptr; }

  // Views of the same storage.
  Tensor reshape(const Shape& shape) const;
  Tensor slice(int64_t begin, int64_t end) const;  // rows [begin, end) of the leading dimension

  // True when no other tensor views this storage: its elements may be overwritten.
  bool unique() const { return storage_.use_count() == 1 && !storage_->constant(); }
  const Storage* storage() const { return storage_.get(); }

  Tensor clone(Context& context, const char* name = "tensor") const;
  void fill_zero(Context& context) const;
  void copy_from(Context& context, const Tensor& source) const;  // same dtype and element count
  void copy_from_host(Context& context, const void* source, const Place& where = Place::current()) const;
  void copy_to_host(Context& context, void* destination, const Place& where = Place::current()) const;
  template <typename T>
  std::vector<T> to_host(Context& context, const Place& where = Place::current()) const {
    TESSERA_CHECK(DTypeOf<T>::value == dtype_, "tensor is {}", dtype_name(dtype_));
    std::vector<T> values(static_cast<size_t>(elements()));
    copy_to_host(context, values.data(), where);
    return values;
  }

 private:
  static Tensor constant_bytes(Context& context, const Shape& shape, DType dtype, const void* values,
                               const Place& where);

  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
};

}  // namespace tessera
