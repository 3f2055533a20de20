// tools/check_kernel_budgets.sh on reports as nvcc writes them.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "tests/apps/run_program.h"

namespace tessera {
namespace {

using testing_support::file_content;
using testing_support::ProgramResult;

struct Resources {
  int registers = 40, stack = 0, spill = 0, shared = 256;
};

// A build of one file with two kernels, one of them spelled as nvcc spells what a nameless namespace of a batch holds.
class KernelBudgets : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(build() / "obj/kernels/cuda");
    std::ofstream(occupancy()) << "// rows\nRESOURCES(\"relu_kernel\", 40, 256, 1024, 128)\n";
    report({});
    ASSERT_EQ(check({"--update"}).exit_code, 0);
  }

  std::filesystem::path build() const { return folder_.path() / "build"; }
  std::filesystem::path budgets() const { return folder_.path() / "budgets.txt"; }
  std::filesystem::path occupancy() const { return folder_.path() / "occupancy.inc"; }

  void report(const Resources& of, const std::string& batch = "_GLOBAL__N__2691721c_10_batch_1_cu_dc29851a",
              bool second = true) const {
    std::ofstream file(build() / "obj/kernels/cuda/batch_1.cuda.ptxas");
    const auto kernel = [&](const std::string& name, const Resources& used) {
      file << "ptxas info    : Compiling entry function '" << name << "' for 'sm_86'\n"
           << "ptxas info    : Function properties for " << name << "\n    " << used.stack << " bytes stack frame, "
           << used.spill << " bytes spill stores, 0 bytes spill loads\nptxas info    : Used " << used.registers
           << " registers, used 1 barriers, " << used.shared << " bytes smem, 448 bytes cmem[0]\n";
    };
    kernel("_ZN7tessera" + std::to_string(batch.size()) + batch + "11relu_kernelEPKfPfl", of);
    if (second) kernel("_ZN7tessera9cuda_port12attend_tilesILNS_8ConvMathE2ELi64EEEvNS0_14AttentionTilesE", {});
  }
  ProgramResult check(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {
        "tools/check_kernel_budgets.sh", build(), "--budgets", budgets(), "--occupancy", occupancy()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing_support::run_command("/bin/bash", arguments);
  }

  testing_support::TemporaryFolder folder_;
};

TEST_F(KernelBudgets, HaveALineForEachKernel) {
  const std::string lines = file_content(budgets());
  EXPECT_NE(lines.find("\n40 0 0 256 relu_kernel\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("\n40 0 0 256 cuda_port::attend_tiles<(ConvMath)2, 64>\n"), std::string::npos) << lines;
  EXPECT_EQ(check().exit_code, 0) << check().out;
  report({.registers = 30});
  EXPECT_EQ(check({"--update"}).exit_code, 0);
  EXPECT_NE(file_content(occupancy()).find("(\"relu_kernel\", 30, 256, 1024, 128)"), std::string::npos);
}

TEST_F(KernelBudgets, GrowthFails) {
  for (const Resources& grown :
       {Resources{.registers = 41}, Resources{.stack = 8}, Resources{.spill = 4}, Resources{.shared = 260}}) {
    report(grown);
    const ProgramResult result = check();
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.out.find("relu_kernel on sm_86"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("  try: "), std::string::npos);
  }
}

TEST_F(KernelBudgets, DoNotDependOnTheBatch) {
  report({}, "_GLOBAL__N__00000000_7_relu_cu_11111111");
  EXPECT_EQ(check().exit_code, 0) << check().out;
}

TEST_F(KernelBudgets, KernelsAndLinesBelongTogether) {
  report({}, "_GLOBAL__N__2691721c_10_batch_1_cu_dc29851a", false);
  EXPECT_NE(check().out.find("attend_tiles<(ConvMath)2, 64>, which is no kernel"), std::string::npos);
  EXPECT_EQ(check().exit_code, 1);
  report({});
  std::ofstream(budgets()) << "40 0 0 256 relu_kernel\n";
  EXPECT_NE(check().out.find("attend_tiles<(ConvMath)2, 64> on sm_86 has no line"), std::string::npos);
  EXPECT_EQ(check().exit_code, 1);
}

TEST_F(KernelBudgets, RowsOfTheOccupancyTableAreTheCompilers) {
  for (const char* row : {"\"relu_kernel\", 40, 128, 1024, 128", "\"relu_kernel\", 39, 256, 1024, 128",
                          "\"gone_kernel\", 40, 256, 1024, 128"}) {
    std::ofstream(occupancy()) << "RESOURCES(" << row << ")\n";
    const ProgramResult result = check();
    EXPECT_EQ(result.exit_code, 1) << row;
    EXPECT_NE(result.out.find("occupancy.inc: "), std::string::npos) << result.out;
  }
}

TEST_F(KernelBudgets, ABuildWithoutNvccIsNotChecked) {
  std::filesystem::remove_all(build());
  const ProgramResult result = check();
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_NE(result.out.find("not checked"), std::string::npos);
}

// Reports of a build with other batches stay beside those of the latest.
TEST_F(KernelBudgets, ReportsOlderThanTheirSourcesSayNothing) {
  std::filesystem::copy_file(build() / "obj/kernels/cuda/batch_1.cuda.ptxas", build() / "obj/kernels/cuda/old.ptxas");
  report({.registers = 30});
  std::filesystem::last_write_time(build() / "obj/kernels/cuda/old.ptxas",
                                   std::filesystem::last_write_time("Makefile") - std::chrono::hours(1));
  std::ofstream(build() / "obj/kernels/cuda/old.d")
      << "old.o : tools/check_kernel_budgets.sh \\\n    Makefile\n\nMakefile:\n";
  ASSERT_EQ(check({"--update"}).exit_code, 0);
  EXPECT_NE(file_content(budgets()).find("\n30 0 0 256 relu_kernel\n"), std::string::npos) << file_content(budgets());
}

}  // namespace
}  // namespace tessera
