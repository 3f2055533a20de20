#include "apps/gpu_prediction.h"

#include <gtest/gtest.h>

#include "apps/model_cost.h"
#include "tests/models/tiny_model.h"

namespace tessera {
namespace {

// The convolutions that a plan asks for are all the multiply-adds that the plan counts, and none is predicted to be
// faster than the card multiplies.
TEST(GpuPrediction, CoversEveryConvolutionOfTheModel) {
  const ModelConfig config = testing_support::tiny_config();
  const GpuForecast forecast = forecast_gpu(config, 2, 96, 128);
  int64_t macs = forecast.other_macs;
  ASSERT_FALSE(forecast.convolutions.empty());
  for (const ConvolutionForecast& at : forecast.convolutions) {
    macs += at.calls * at.macs;
    for (const ConvPrediction& of : at.product) {
      EXPECT_GT(of.limit_seconds, 0) << at.description;
      EXPECT_GT(of.seconds, of.limit_seconds) << at.description;
    }
  }
  EXPECT_EQ(forecast.other_macs, 0);
  EXPECT_EQ(macs, model_cost(config, 2, 96, 128).macs);
}

TEST(GpuPrediction, SaysThatItIsOne) {
  const GpuForecast forecast = forecast_gpu(testing_support::tiny_config(), 1, 64, 64);
  EXPECT_NE(forecast_json(forecast).find("\"prediction\": true"), std::string::npos);
  testing::internal::CaptureStdout();
  print_forecast(forecast);
  EXPECT_TRUE(testing::internal::GetCapturedStdout().starts_with("PREDICTION, not a measurement"));
}

}  // namespace
}  // namespace tessera
