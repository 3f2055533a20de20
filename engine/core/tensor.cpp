#include "engine/core/tensor.h"

#include "engine/core/dispatch.h"
#include "kernels/constant_tables.h"
#include "kernels/memory.h"

namespace tessera {

Tensor Tensor::empty(Context& context, const Shape& shape, DType dtype, const char* name, const Place& where) {
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  try {
    tensor.storage_ =
        std::make_shared<Storage>(context, static_cast<size_t>(shape.elements()) * dtype_size(dtype), name);
  } catch (const CaptureRefused& refused) {
    throw refused_in(refused, where);
  }
  return tensor;
}

Tensor Tensor::zeros(Context& context, const Shape& shape, DType dtype, const char* name, const Place& where) {
  Tensor tensor = empty(context, shape, dtype, name, where);
  tensor.fill_zero(context);
  return tensor;
}

Tensor Tensor::constant_bytes(Context& context, const Shape& shape, DType dtype, const void* values,
                              const Place& where) {
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  const size_t bytes = tensor.bytes();
  TableMemory table;
  dispatch(
      context, [&](auto& backend) { table = context.constant_tables().find(backend, values, bytes); }, where);
  if (context.backend() == Backend::plan) return empty(context, shape, dtype, "tables", where);
  tensor.storage_ = std::make_shared<Storage>(context, std::move(table), bytes);
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

void Tensor::copy_from_host(Context& context, const void* source, const Place& where) const {
  dispatch(
      context, [&](auto& backend) { memory_from_host(backend, raw(), source, bytes()); }, where);
}

void Tensor::copy_to_host(Context& context, void* destination, const Place& where) const {
  dispatch(
      context, [&](auto& backend) { memory_to_host(backend, destination, raw(), bytes()); }, where);
}

}  // namespace tessera
