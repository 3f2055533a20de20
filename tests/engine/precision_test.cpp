#include "engine/core/precision.h"

#include <gtest/gtest.h>

#include "engine/core/error.h"

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

TEST(Precision, TheCpuComputesInFp32) {
  const CpuContext cpu(1);
  const EmulatedContext emulated;
  EXPECT_EQ(precision_of(emulated), ConvMath::fp32);
  EXPECT_NO_THROW(set_precision({Backend::cpu}, ConvMath::fp32));
  EXPECT_THROW(set_precision({Backend::cpu}, ConvMath::bf16), Error);
  set_precision({Backend::emulated}, ConvMath::bf16);
  EXPECT_EQ(precision_of(emulated), ConvMath::bf16);
  EXPECT_EQ(precision_of(cpu), ConvMath::fp32);
  set_precision({Backend::emulated}, ConvMath::fp32);
}

TEST(Precision, GradientsBehindHalfKeepTheirRange) {
  EXPECT_EQ(gradient_math(ConvMath::fp16), ConvMath::bf16);
  EXPECT_EQ(gradient_math(ConvMath::fp16_accumulate_chunked), ConvMath::bf16);
  for (const ConvMath math : {ConvMath::fp32, ConvMath::tf32, ConvMath::bf16}) EXPECT_EQ(gradient_math(math), math);
}

}  // namespace
}  // namespace tessera
