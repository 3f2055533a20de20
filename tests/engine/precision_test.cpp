#include "engine/core/precision.h"

#include <gtest/gtest.h>

#include "engine/core/error.h"
#include "engine/ops/conv2d.h"

namespace tessera {
namespace {

TEST(Precision, NamesAreReadAndWritten) {
  for (const char* name : {"fp32", "tf32", "bf16", "fp16", "fp16-chunked"}) {
    EXPECT_STREQ(precision_name(parse_precision(name)), name);
  }
  for (const char* name : {"", "FP32", "half", "bf16 ", "int8"}) {
    try {
      parse_precision(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find(std::string("'") + name + "'"), std::string::npos);
    }
  }
}

// Devices and the CPU alike.
template <typename Backend>
void expect_contexts_to_differ() {
  Backend half, whole;
  set_precision(half, ConvMath::bf16);
  EXPECT_EQ(precision_of(half), ConvMath::bf16);
  EXPECT_EQ(precision_of(whole), ConvMath::fp32);

  const std::vector<float> values = {1.0f + 0x1p-10f};  // bf16 has no such number
  const auto multiplied = [&](Context& context) {
    Tape tape(context, Tape::Mode::forward);
    const Variable x = Tensor::from_host<float>(context, {1, 1, 1, 8}, std::vector<float>(8, values[0]));
    const Variable weight = Tensor::from_host<float>(context, {1, 1, 1, 8}, std::vector<float>{1, 0, 0, 0, 0, 0, 0, 0});
    return conv2d(tape, {x, weight, {}, {}, {}, {}}, {}).value.to_host<float>(context).at(0);
  };
  EXPECT_EQ(multiplied(half), 1.0f);
  EXPECT_EQ(multiplied(whole), values[0]);
}

TEST(Precision, ContextsDiffer) {
  expect_contexts_to_differ<EmulatedContext>();
  expect_contexts_to_differ<CpuContext>();
}

TEST(Precision, TheCpuComputesInFp32OrBf16) {
  CpuContext cpu(1);
  EXPECT_NO_THROW(set_precision(cpu, ConvMath::fp32));
  EXPECT_NO_THROW(set_precision(cpu, ConvMath::bf16));
  for (const ConvMath math : {ConvMath::tf32, ConvMath::fp16, ConvMath::fp16_accumulate_chunked}) {
    try {
      set_precision(cpu, math);
      ADD_FAILURE() << precision_name(math);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("fp32 or bf16"), std::string::npos);
    }
  }
  EXPECT_EQ(precision_of(cpu), ConvMath::bf16);
}

TEST(Precision, GradientsBehindHalfKeepTheirRange) {
  EXPECT_EQ(gradient_math(ConvMath::fp16), ConvMath::bf16);
  EXPECT_EQ(gradient_math(ConvMath::fp16_accumulate_chunked), ConvMath::bf16);
  for (const ConvMath math : {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16}) EXPECT_EQ(gradient_math(math), math);
}

}  // namespace
}  // namespace tessera
