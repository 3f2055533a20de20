// tools/gpu_check.sh as far as a machine without a GPU shows it: arguments, and the form of the report. Its dry run
// with PyTorch takes minutes; it is made by hand (docs/kernels/gpu_check.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/apps/run_program.h"

namespace tessera {
namespace {

using Json = nlohmann::json;
using testing_support::file_content;
using testing_support::ProgramResult;

bool has_python() { return testing_support::run_command("/usr/bin/env", {"python3", "-c", ""}).exit_code == 0; }

ProgramResult gpu_check(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tools/gpu_check.sh");
  return testing_support::run_command("/bin/bash", arguments);
}

// Runs a piece of Python beside tools/gpu_check.py.
ProgramResult python(const std::string& text) {
  return testing_support::run_command(
      "/usr/bin/env", {"python3", "-B", "-c", "import sys; sys.path.insert(0, 'tools'); import gpu_check\n" + text});
}

TEST(GpuCheck, SaysWhatIsWrongWithArguments) {
  if (!has_python()) GTEST_SKIP() << "no python3";
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--nonsense"},
                                             {"--deadline"},
                                             {"--deadline", "0"},
                                             {"--deadline", "1.5"},
                                             {"--python", "/no/such/python"},
                                             {"--stages", "tests,nonsense"}}) {
    const ProgramResult result = gpu_check(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments.front();
    EXPECT_TRUE(result.err.starts_with("error: ")) << result.err;
    EXPECT_NE(result.err.find("\n  try: "), std::string::npos) << result.err;
  }
  const ProgramResult help = gpu_check({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* word : {"--deadline", "--python", "--stages", "--dry-run", "Exit: "}) {
    EXPECT_NE(help.out.find(word), std::string::npos) << word;
  }
}

// Stages that find no time are left out, one that misses what it needs is "not here"; neither has passed.
TEST(GpuCheck, DryRunReportsEveryStage) {
  TESSERA_REQUIRE_PROGRAM();
  if (!has_python()) GTEST_SKIP() << "no python3";
  const testing_support::TemporaryFolder folder;
  const ProgramResult result =
      gpu_check({"--dry-run", "--out", folder.path(), "--deadline", "60", "--stages", "start,first_mask,memcheck"});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  const Json report = Json::parse(file_content(folder.path() / "gpu_check.json"));
  EXPECT_EQ(report.at("dry_run"), true);
  EXPECT_TRUE(report.at("goals").empty());  // of a machine without a GPU
  std::map<std::string, std::string> verdicts;
  for (const Json& stage : report.at("stages")) verdicts[stage.at("stage")] = stage.at("verdict");
  EXPECT_EQ(verdicts.size(), 5u);
  EXPECT_EQ(verdicts["probe"], "passed");
  EXPECT_EQ(verdicts["binaries"], "passed");
  EXPECT_EQ(verdicts["start"], "passed");
  EXPECT_EQ(verdicts["first_mask"], "not here");  // its weights are the stage infer's
  EXPECT_NE(verdicts["memcheck"], "passed");
  EXPECT_GT(report.at("start_seconds"), 0);
}

TEST(GpuCheck, WithoutPyTorchComparisonsAreNotHere) {
  if (!has_python()) GTEST_SKIP() << "no python3";
  const testing_support::TemporaryFolder folder;
  const ProgramResult result = python(
      "gpu_check.have_torch = lambda: False\nimport argparse\nsys.exit(gpu_check.operations(argparse.Namespace()))");
  EXPECT_EQ(result.exit_code, 125) << result.err;
}

// Ratios above 1 are in our favour; a goal that is missed says so, one that was not measured is not there.
TEST(GpuCheck, ComparesWithTheGoals) {
  if (!has_python()) GTEST_SKIP() << "no python3";
  const ProgramResult result = python(R"(
rows = {}
for description, ours, cudnn in (("a", [2.0], 3.0), ("b", [2.0], 1.0), ("within noise", [2.0, 2.06], 1.70), ("beyond", [2.03, 2.03], 1.70)):
    for milliseconds in ours:
        gpu_check.merge_convolutions(rows, "bf16", "ours", {description: {"bare": milliseconds}})
    gpu_check.merge_convolutions(rows, "bf16", "cudnn", {description: {"bare": cudnn}})
ops = {"convolutions": gpu_check.finished(rows), "operations": [], "grid_binarize": [{"median_ms": 0.05}, {"median_ms": 0.07}, {"median_ms": 0.2}]}
infer = {"rows": [{"model": "m", "batch": 1, "ours bf16 graph detect": {"ms": 2.0}, "ours bf16 network": {"ms": 4.0}, "torch eager": {"ms": 12.0}, "torch compile": {"error": "none"}}]}
import json
print(json.dumps({"rows": ops["convolutions"], "goals": gpu_check.goals_of({"ops": ops, "infer": infer, "train": None})})))");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json report = Json::parse(result.out);
  EXPECT_EQ(report.at("rows")[0].at("bare ours/cudnn"), 1.5);
  EXPECT_EQ(report.at("rows")[1].at("bare ours/cudnn"), 0.5);
  std::map<std::string, Json> goals;
  for (const Json& goal : report.at("goals")) goals[goal.at("goal")] = goal;
  const Json& shapes = goals.at("share of 4 conv shapes at 0.85 of cuDNN, bf16");
  EXPECT_EQ(shapes.at("measured"), 0.5);
  EXPECT_EQ(shapes.at("holds"), false);
  EXPECT_NEAR(goals.at("binarization of 100 boxes").at("measured"), 70, 1e-9);
  EXPECT_EQ(goals.at("binarization of 100 boxes").at("holds"), true);
  EXPECT_EQ(goals.at("m, batch 1: latency against PyTorch eager").at("measured"), 6);
  EXPECT_FALSE(goals.contains("m, batch 1: latency against PyTorch compile"));
}

TEST(GpuCheck, FindsLibrariesInRootsAndPackages) {
  if (!has_python()) GTEST_SKIP() << "no python3";
  const testing_support::TemporaryFolder folder;
  for (const char* file : {"root/lib/libcudnn.so.9", "site-packages/nvidia/cudnn/lib/libcudnn.so.9",
                           "site-packages/nvidia/nccl/lib/libnccl.so.2"}) {
    std::filesystem::create_directories((folder.path() / file).parent_path());
    std::ofstream(folder.path() / file) << "";
  }
  const std::string look = "import os, sysconfig\nsysconfig.get_path = lambda name: '" + folder.path().string() +
                           "/site-packages'\nsys.path[:] = ['tools']\n";
  const std::string root = folder.path() / "root";
  const ProgramResult packages = python(look + "gpu_check.libraries(None)");
  EXPECT_EQ(packages.out, (folder.path() / "site-packages/nvidia/cudnn/lib").string() + ":" +
                              (folder.path() / "site-packages/nvidia/nccl/lib").string() + "\n")
      << packages.err;
  const ProgramResult rooted = python(look + "os.environ['CUDNN_ROOT'] = '" + root + "'\ngpu_check.libraries(None)");
  EXPECT_TRUE(rooted.out.starts_with(root + "/lib:")) << rooted.out;
}

}  // namespace
}  // namespace tessera
