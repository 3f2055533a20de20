#include "engine/training/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "engine/core/error.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/engine/training/toy_store.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;
using testing_support::toy_store;

TEST(Weights, RoundTripToTheBit) {
  const TemporaryFolder folder;
  CpuContext context(2);
  const auto saved = toy_store(context, 1);
  save_weights(context, folder.path() / "w.safetensors", *saved, {{"config", "{}"}});
  const auto loaded = toy_store(context, 2);
  EXPECT_NE(weights_sha256(context, *loaded), weights_sha256(context, *saved));
  const SafetensorsFile file(folder.path() / "w.safetensors");
  load_weights(context, *loaded, file);
  EXPECT_EQ(weights_sha256(context, *loaded), weights_sha256(context, *saved));
  EXPECT_EQ(file.metadata().at("config"), "{}");
  EXPECT_EQ(file.entries().size(), 5u);
  EXPECT_EQ(file.find("head.conv.weight")->shape, (std::vector<int64_t>{3, 3, 3, 5}));
}

TEST(Weights, CheckpointServesAsWeightsButNotTheOtherWay) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const auto saved = toy_store(context, 1);
  save_weights_and_momentum(context, folder.path() / "c.safetensors", *saved, {});
  save_weights(context, folder.path() / "w.safetensors", *saved, {});
  const auto loaded = toy_store(context, 2);
  load_weights(context, *loaded, SafetensorsFile(folder.path() / "c.safetensors"));
  EXPECT_EQ(weights_sha256(context, *loaded), weights_sha256(context, *saved));
  try {
    load_weights_and_momentum(context, *loaded, SafetensorsFile(folder.path() / "w.safetensors"));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights);
    EXPECT_NE(std::string(error.what()).find("3 missing, 0 different, 0 extra\n  missing  momentum/head.conv.weight"),
              std::string::npos)
        << error.what();
  }
  EXPECT_EQ(fs::file_size(folder.path() / "c.safetensors") > checkpoint_bytes(*saved), true);
  EXPECT_EQ(checkpoint_bytes(*saved), 4u * (135 + 7 + 20 + 3 + 7 + 135 + 20 + 3));
}

TEST(Weights, MismatchListsEverythingAndTouchesNothing) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const fs::path path = folder.path() / "w.safetensors";
  const std::vector<float> values(200, 9.0f);
  write_safetensors(path,
                    {{"head.conv.bias", {4}, values.data()},
                     {"head.conv.weight", {3, 3, 3, 5}, values.data()},
                     {"head.norm.weight", {20}, values.data(), DType::i32},
                     {"stem.norm.weight", {7}, values.data()},
                     {"momentum/head.conv.bias", {3}, values.data()},
                     {"fc.weight", {2, 2}, values.data()}},
                    {});
  const auto store = toy_store(context);
  const std::string before = weights_sha256(context, *store);
  try {
    load_weights(context, *store, SafetensorsFile(path));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights);
    EXPECT_EQ(error.what(), path.string() +
                                ": does not fit the model: 1 missing, 2 different, 1 extra\n"
                                "  differs  head.norm.weight: the model has [20] F32, the file [20] I32\n"
                                "  differs  head.conv.bias: the model has [3] F32, the file [4] F32\n"
                                "  missing  stem.norm.running_mean [7]\n"
                                "  extra    fc.weight [2x2] F32");
    EXPECT_EQ(error.hint(), "tessera model info " + path.string());
  }
  EXPECT_EQ(weights_sha256(context, *store), before);
}

TEST(Weights, DamagedDataTouchesNothing) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const fs::path path = folder.path() / "w.safetensors";
  save_weights(context, path, *toy_store(context, 1), {});
  {
    std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekp(-1, std::ios::end);
    stream.put('\x55');
  }
  const auto store = toy_store(context, 2);
  const std::string before = weights_sha256(context, *store);
  EXPECT_THROW(load_weights(context, *store, SafetensorsFile(path)), Error);
  EXPECT_THROW(load_matching_weights(context, *store, SafetensorsFile(path)), Error);
  EXPECT_EQ(weights_sha256(context, *store), before);
}

TEST(Weights, HalfPrecisionIsWidened) {
  const TemporaryFolder folder;
  CpuContext context(1);
  ParameterStore store;
  store.declare("a", {2}, ParameterRole::weight, Initializer::zeros());
  store.declare("b", {2}, ParameterRole::weight, Initializer::zeros());
  store.allocate(context, 1, false);
  const uint16_t half[] = {0x3c00, 0xc000}, brain[] = {0x3f80, 0xc000};
  write_safetensors(folder.path() / "w.safetensors", {{"a", {2}, half, DType::f16}, {"b", {2}, brain, DType::bf16}},
                    {});
  load_weights(context, store, SafetensorsFile(folder.path() / "w.safetensors"));
  for (const Parameter& parameter : store.parameters())
    EXPECT_EQ(parameter.value.to_host<float>(context), (std::vector<float>{1, -2}));
}

TEST(Weights, MatchingLoadsWhatFitsForAnotherNumberOfClasses) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const auto saved = toy_store(context, 1, 3);
  save_weights_and_momentum(context, folder.path() / "w.safetensors", *saved, {});
  const auto store = toy_store(context, 2, 80);
  const std::vector<float> bias = store->find("head.conv.bias")->value.to_host<float>(context);
  const std::vector<float> affine(20, 7.0f);
  store->find("head.norm.weight")->value.copy_from_host(context, affine.data());
  const LoadReport report = load_matching_weights(context, *store, SafetensorsFile(folder.path() / "w.safetensors"));
  EXPECT_EQ(report.loaded,
            (std::vector<std::string>{"stem.norm.weight", "head.norm.weight", "stem.norm.running_mean"}));
  EXPECT_EQ(report.mismatched, (std::vector<std::string>{"head.conv.weight", "head.conv.bias"}));
  EXPECT_TRUE(report.missing.empty());
  EXPECT_TRUE(report.unused.empty());
  EXPECT_EQ(store->find("head.conv.bias")->value.to_host<float>(context), bias);
  EXPECT_EQ(store->find("head.norm.weight")->value.to_host<float>(context), std::vector<float>(20, 1.0f));

  const float one = 1;
  write_safetensors(folder.path() / "other.safetensors", {{"x", {1}, &one}}, {});
  EXPECT_THROW(load_matching_weights(context, *store, SafetensorsFile(folder.path() / "other.safetensors")), Error);
}

TEST(Weights, HashSeesEveryBitAndName) {
  CpuContext context(1);
  const auto a = toy_store(context), b = toy_store(context);
  EXPECT_EQ(weights_sha256(context, *a), weights_sha256(context, *b));
  EXPECT_EQ(momentum_sha256(context, *a), momentum_sha256(context, *b));
  std::vector<float> mean(7, 0.0f);
  mean[3] = -0.0f;
  b->find("stem.norm.running_mean")->value.copy_from_host(context, mean.data());
  EXPECT_NE(weights_sha256(context, *a), weights_sha256(context, *b));
  EXPECT_EQ(momentum_sha256(context, *a), momentum_sha256(context, *b));
  std::vector<float> momentum(3, 0.0f);
  momentum[2] = 1e-45f;
  b->momentum_of(*b->find("head.conv.bias")).copy_from_host(context, momentum.data());
  EXPECT_NE(momentum_sha256(context, *a), momentum_sha256(context, *b));
}

}  // namespace
}  // namespace tessera
