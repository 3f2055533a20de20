#include "engine/core/tensor.h"

#include "engine/core/dispatch.h"
#include "kernels/memory.h"

namespace tessera {

Tensor Tensor::empty(Context& context, const Shape& shape, DType dtype, const char* name) {
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  tensor.storage_ = std::make_shared<Storage>(context, static_cast<size_t>(shape.elements()) * dtype_size(dtype), name);
  return tensor;
}

Tensor Tensor::zeros(Context& context, const Shape& shape, DType dtype, const char* name) {
  Tensor tensor = empty(context, shape, dtype, name);
  tensor.fill_zero(context);
  return tensor;
}

Tensor Tensor::reshape(const Shape& shape) const {
  TESSERA_CHECK(shape.elements() == elements(), "{} -> {}", shape_.to_string(), shape.to_string());
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  TESSERA_CHECK(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0], "rows {}..{} of {}", begin, end,
                shape_.to_string());
  std::vector<int64_t> extents(shape_.extents().begin(), shape_.extents().end());
  const int64_t row = shape_[0] > 0 ? elements() / shape_[0] : 0;
  extents[0] = end - begin;
  Tensor view = *this;
  view.shape_ = Shape(extents);
  view.offset_ += static_cast<size_t>(begin * row) * dtype_size(dtype_);
  return view;
}

Tensor Tensor::clone(Context& context, const char* name) const {
  Tensor copy = empty(context, shape_, dtype_, name);
  copy.copy_from(context, *this);
  return copy;
}

void Tensor::fill_zero(Context& context) const {
  dispatch(context, [&](auto& backend) { memory_zero(backend, raw(), bytes()); });
}

void Tensor::copy_from(Context& context, const Tensor& source) const {
  TESSERA_CHECK(source.dtype_ == dtype_ && source.elements() == elements(), "{} -> {}", source.shape_.to_string(),
                shape_.to_string());
  dispatch(context, [&](auto& backend) { memory_copy(backend, raw(), source.raw(), bytes()); });
}

void Tensor::copy_from_host(Context& context, const void* source) const {
  dispatch(context, [&](auto& backend) { memory_from_host(backend, raw(), source, bytes()); });
}

void Tensor::copy_to_host(Context& context, void* destination) const {
  dispatch(context, [&](auto& backend) { memory_to_host(backend, destination, raw(), bytes()); });
}

}  // namespace tessera
