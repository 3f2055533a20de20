// Our models beside references in PyTorch: data/*.safetensors, made by generate.py (README.md).
#include <gtest/gtest.h>

#include "tests/golden/checks.h"
#include "tests/shared_data.h"

namespace tessera::golden {
namespace {

class Golden : public ::testing::TestWithParam<const char*> {};

TEST_P(Golden, ActivationsAgree) { GoldenModel(GetParam()).check_activations(); }

TEST_P(Golden, LossesGradientsAndTrainingAgree) { GoldenModel(GetParam()).check_training(); }

TEST_P(Golden, DetectionsAgree) { GoldenModel(GetParam()).check_detections(); }

const auto name_of = [](const auto& parameter) { return std::string(parameter.param); };

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         ::testing::Values("gridmask_narrow", "gridmask_basic", "fcos_narrow", "anchor_free_narrow",
                                           "anchor_free_variants"),
                         name_of);

// Torchvision has no losses of ours: activations, and of FCOS the whole inference.
TEST(GoldenTorchvision, ResNet50) { GoldenModel("torchvision_resnet50").check_activations(); }

// The same code at full width: numbers that a sanitizer does not look at.
#if !defined(__SANITIZE_ADDRESS__)
INSTANTIATE_TEST_SUITE_P(FullWidth, Golden, ::testing::Values("gridmask_r50", "fcos_r50", "anchor_free_r50"), name_of);

TEST(GoldenTorchvision, ResNeXt101) { GoldenModel("torchvision_resnext101_32x8d").check_activations(); }

TEST(GoldenTorchvision, FcosActivations) { GoldenModel("torchvision_fcos").check_activations(); }

TEST(GoldenTorchvision, FcosDetections) { GoldenModel("torchvision_fcos").check_detections(); }

// Two photographs of the shared data, decoded, resized and normalised here.
class GoldenPhotos : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenPhotos, MasksAgree) {
  TESSERA_REQUIRE_SHARED_DATA();
  GoldenModel(GetParam()).check_detections();
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenPhotos,
                         ::testing::Values("photos_gridmask_r50_chelsea", "photos_gridmask_r50_coffee",
                                           "photos_anchor_free_r50_chelsea", "photos_anchor_free_r50_coffee"),
                         name_of);
#endif

}  // namespace
}  // namespace tessera::golden
