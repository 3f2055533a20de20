#include "engine/core/tensor.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tessera {
namespace {

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST(Tensor, ViewsShareElements) {
  CpuContext context(1);
  const Tensor rows = Tensor::from_host<float>(context, {4, 3}, counting(12));
  const Tensor middle = rows.slice(1, 3);
  EXPECT_EQ(middle.shape(), (Shape{2, 3}));
  EXPECT_EQ(middle.to_host<float>(context), (std::vector<float>{3, 4, 5, 6, 7, 8}));
  const Tensor flat = middle.reshape({6}).slice(2, 4);
  EXPECT_EQ(flat.to_host<float>(context), (std::vector<float>{5, 6}));
  flat.fill_zero(context);
  EXPECT_EQ(rows.to_host<float>(context), (std::vector<float>{0, 1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 11}));
  EXPECT_EQ(flat.storage(), rows.storage());
}

TEST(Tensor, AClonedTensorIsItsOwn) {
  CpuContext context(1);
  const Tensor original = Tensor::from_host<float>(context, {2, 2}, counting(4));
  const Tensor copy = original.slice(1, 2).clone(context);
  copy.fill_zero(context);
  EXPECT_EQ(original.to_host<float>(context), counting(4));
  EXPECT_NE(copy.storage(), original.storage());
}

TEST(Tensor, KnowsWhetherItsStorageIsSharedAndKeepsItAlive) {
  CpuContext context(1);
  Tensor view;
  {
    const Tensor owner = Tensor::from_host<float>(context, {3}, counting(3));
    EXPECT_TRUE(owner.unique());
    view = owner.slice(1, 2);
    EXPECT_FALSE(owner.unique());
    EXPECT_FALSE(view.unique());
  }
  EXPECT_TRUE(view.unique());
  EXPECT_EQ(view.to_host<float>(context), std::vector<float>{1});
}

TEST(Tensor, OutlivesItsContext) {
  Tensor tensor;
  {
    CpuContext context(1);
    tensor = Tensor::from_host<float>(context, {2}, counting(2));
  }
  EXPECT_EQ(tensor.data<float>()[1], 1.0f);
}

TEST(Tensor, HoldsEveryElementType) {
  CpuContext context(1);
  EXPECT_EQ(Tensor::zeros(context, {3}, DType::u8).bytes(), 3u);
  EXPECT_EQ(Tensor::zeros(context, {3}, DType::bf16).bytes(), 6u);
  EXPECT_EQ(Tensor::zeros(context, {3}, DType::i64).to_host<int64_t>(context), (std::vector<int64_t>{0, 0, 0}));
}

TEST(Tensor, EmptyTensorsAreFine) {
  CpuContext context(1);
  const Tensor none = Tensor::zeros(context, {0, 5});
  EXPECT_TRUE(none.defined());
  EXPECT_EQ(none.to_host<float>(context).size(), 0u);
  EXPECT_EQ(none.slice(0, 0).clone(context).shape(), (Shape{0, 5}));
}

TEST(Tensor, RefusesMisuse) {
  CpuContext context(1);
  const Tensor tensor = Tensor::from_host<float>(context, {4}, counting(4));
  EXPECT_THROW(tensor.data<int32_t>(), Error);
  EXPECT_THROW(tensor.to_host<uint8_t>(context), Error);
  EXPECT_THROW(tensor.reshape({5}), Error);
  EXPECT_THROW(tensor.slice(2, 5), Error);
  EXPECT_THROW(tensor.slice(3, 2), Error);
  EXPECT_THROW(tensor.copy_from(context, Tensor::zeros(context, {3})), Error);
  EXPECT_THROW(tensor.copy_from(context, Tensor::zeros(context, {4}, DType::i32)), Error);
  EXPECT_THROW(Tensor().data<float>(), Error);
  EXPECT_THROW(Tensor::from_host<float>(context, {5}, counting(4)), Error);
}

}  // namespace
}  // namespace tessera
