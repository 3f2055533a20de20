// The program with a small generated data set and a network that trains in a second.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/apps/run_program.h"

namespace tessera::testing_support {

// A network and a schedule that take a second.
inline const std::vector<std::string> kSmallRun = {"model.norm_groups=4",
                                                   "model.backbone.blocks=[1,1,1]",
                                                   "model.backbone.channels=[8,8,16]",
                                                   "model.backbone.stem_channels=8",
                                                   "model.fpn.channels=16",
                                                   "model.fcos.tower_convs=1",
                                                   "model.gridmask.pixel.channels=16",
                                                   "model.gridmask.dim=4",
                                                   "input.short_side=64",
                                                   "train.short_side=64",
                                                   "train.batch=2",
                                                   "train.warmup=2",
                                                   "evaluate.samples=2",
                                                   "log.every=1"};

class Program : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(program())) return;
    folder_ = new TemporaryFolder;
    const ProgramResult made = run_program({"data", "generate", "-o", scenes(), "--count", "8", "--size", "64"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override { TESSERA_REQUIRE_PROGRAM(); }

  static std::string path(const std::string& name) { return folder_->path() / name; }
  static std::string scenes() { return path("scenes"); }
  static std::string annotations() { return scenes() + "/instances_scenes.json"; }
  static std::string images() { return scenes() + "/images"; }

  static std::vector<std::string> training(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train",
                                          "configs/gridmask_fcos_tiny_shapes.json",
                                          "-q",
                                          "--threads",
                                          "1",
                                          "--out",
                                          path(out),
                                          "data.train.annotations=" + annotations(),
                                          "data.train.images=" + images()};
    arguments.insert(arguments.end(), kSmallRun.begin(), kSmallRun.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Weights of a finished short run with an evaluation.
  static std::string trained() {
    const std::string weights = path("trained/final.safetensors");
    if (!std::filesystem::exists(weights)) {
      const ProgramResult run = run_program(training(
          "trained", {"train.iterations=4", "data.val.annotations=" + annotations(), "data.val.images=" + images()}));
      EXPECT_EQ(run.exit_code, 0) << run.err;
    }
    return weights;
  }

  inline static TemporaryFolder* folder_ = nullptr;
};

inline void expect_error(const ProgramResult& result, int code, const std::string& text) {
  EXPECT_EQ(result.exit_code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("error: "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("  try: "), std::string::npos) << result.err;
}

}  // namespace tessera::testing_support
