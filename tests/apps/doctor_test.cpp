#include "apps/doctor.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace tessera {
namespace {

constexpr uint64_t kGiB = uint64_t(1) << 30;

TEST(Machine, ParsesWhatLinuxWrites) {
  EXPECT_EQ(parse_cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz \nmodel name\t: second\n"),
            "Some CPU @ 3 GHz");
  EXPECT_EQ(parse_cpu_model(""), "");
  const Memory memory = parse_meminfo("MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:  1024 kB\n");
  EXPECT_EQ(memory.total, 2048u * 1024);
  EXPECT_EQ(memory.available, 1024u * 1024);
  EXPECT_EQ(parse_meminfo("nonsense").total, 0u);
  EXPECT_EQ(parse_cpu_max("150000 100000\n"), 1.5);
  EXPECT_EQ(parse_cpu_max("max 100000\n"), std::nullopt);
  EXPECT_EQ(parse_cpu_max(""), std::nullopt);
  EXPECT_EQ(parse_cpu_max("100 0"), std::nullopt);
  EXPECT_EQ(parse_memory_max("4096\n"), 4096u);
  EXPECT_EQ(parse_memory_max("max\n"), std::nullopt);
}

TEST(Machine, LibrariesOnce) {
  const std::vector<LoadedLibrary> found = parse_maps(
      "7f00-7f01 r-xp 0 fd:00 1    /usr/lib/libturbojpeg.so.0.2.0\n"
      "7f01-7f02 r--p 0 fd:00 1    /usr/lib/libturbojpeg.so.0.2.0\n"
      "7f02-7f03 r-xp 0 fd:00 2    /usr/lib/libc-2.31.so\n"
      "7f02-7f03 r-xp 0 fd:00 2    /usr/lib/libcrypt.so.1\n"
      "7f02-7f03 r-xp 0 fd:00 2    /usr/lib/libzip.so.4.0\n"
      "7f03-7f04 rw-p 0 00:00 0    [heap]\n");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].file, "libc-2.31.so");
  EXPECT_EQ(found[2].file, "libzip.so.4.0");
  EXPECT_EQ(found[1].name, "libturbojpeg");
  EXPECT_EQ(found[1].file, "libturbojpeg.so.0.2.0");
}

TEST(Doctor, ABinaryForAnotherProcessorFails) {
  const Processor processor{"Old", 2, std::nullopt, {"sse4.2"}};
  EXPECT_EQ(check_processor(processor, {"sse4.2"}).status, CheckStatus::ok);
  const DoctorCheck check = check_processor(processor, {"sse4.2", "avx2", "fma"});
  EXPECT_EQ(check.status, CheckStatus::failed);
  EXPECT_NE(check.message.find("avx2 fma"), std::string::npos);
  EXPECT_NE(check.cure, "");
}

TEST(Doctor, TooManyThreads) {
  EXPECT_EQ(check_threads({"", 4, std::nullopt, {}}, 4).status, CheckStatus::ok);
  EXPECT_EQ(check_threads({"", 4, std::nullopt, {}}, 8).cure, "--threads 4");
  EXPECT_EQ(check_threads({"", 64, 1.5, {}}, 64).cure, "--threads 2");
  EXPECT_EQ(check_threads({"", 4, 16.0, {}}, 4).status, CheckStatus::ok);
}

TEST(Doctor, LittleMemoryAndDisk) {
  EXPECT_EQ(check_memory({8 * kGiB, 4 * kGiB, std::nullopt}).status, CheckStatus::ok);
  EXPECT_EQ(check_memory({8 * kGiB, kGiB, std::nullopt}).status, CheckStatus::warning);
  EXPECT_EQ(check_memory({}).status, CheckStatus::warning);
  EXPECT_EQ(check_disk({"here", 5 * kGiB, true}).status, CheckStatus::ok);
  EXPECT_EQ(check_disk({"here", kGiB / 2, true}).status, CheckStatus::warning);
  EXPECT_EQ(check_disk({"here", 5 * kGiB, false}).status, CheckStatus::warning);
  EXPECT_FALSE(find_disk("no/such/folder").writable);
  EXPECT_EQ(find_disk("no/such/folder").free, 0u);
}

TEST(Doctor, NamesTheWayToBf16) {
  EXPECT_NE(check_bf16(Bf16Path::amx).message.find("AMX-BF16"), std::string::npos);
  EXPECT_NE(check_bf16(Bf16Path::portable).message.find("no gain"), std::string::npos);
  EXPECT_NE(diagnosis_text(diagnose("cpu", 1, ".")).find(check_bf16(best_bf16_path()).message), std::string::npos);
}

TEST(Doctor, ThisMachineIsHealthy) {
  const Diagnosis diagnosis = diagnose("cpu", 1, ".");
  EXPECT_TRUE(healthy(diagnosis)) << diagnosis_text(diagnosis);
  ASSERT_FALSE(diagnosis.checks.empty());
  EXPECT_EQ(diagnosis.checks.back().name, "kernels");
  const nlohmann::json json = nlohmann::json::parse(diagnosis_json(diagnosis));
  EXPECT_EQ(json["healthy"], true);
  EXPECT_EQ(json["device"], "cpu");
  EXPECT_EQ(json["checks"].size(), diagnosis.checks.size());
  EXPECT_EQ(json["backends"][0]["name"], "cpu");
  EXPECT_EQ(json["backends"][0]["available"], true);
  EXPECT_GT(json["memory"]["total_bytes"], 0);
}

TEST(Doctor, SaysWhatABackendLacks) {
  Diagnosis diagnosis = diagnose("cpu", 1, ".");
  ASSERT_EQ(diagnosis.backends.size(), 3u);
  EXPECT_EQ(diagnosis.backends[0].missing_kernels.size(), 0u);
  diagnosis.backends[2].missing_kernels = {"first", "second"};
  EXPECT_NE(diagnosis_text(diagnosis).find("emulated (lacks first, second)"), std::string::npos);
  const nlohmann::json json = nlohmann::json::parse(diagnosis_json(diagnosis));
  EXPECT_EQ(json["backends"][2]["missing_kernels"], nlohmann::json({"first", "second"}));
  EXPECT_NE(diagnosis_text(diagnosis).find("occupancy"), std::string::npos);
}

// Each with its one cure; no word of it needs a GPU.
TEST(Doctor, SaysWhyAGpuCannotBeUsed) {
  const CudaFacts good{.runtime_version = 13000,
                       .driver_version = 13010,
                       .gpus = 2,
                       .index = 1,
                       .name = "GeForce",
                       .major = 8,
                       .minor = 6,
                       .architectures = "86;89;90"};
  EXPECT_FALSE(explain_cuda(good));
  EXPECT_EQ(check_gpu(explain_cuda(good)).status, CheckStatus::ok);
  const auto expect = [&](const auto& change, const char* message, const char* cure) {
    CudaFacts facts = good;
    change(facts);
    const DoctorCheck check = check_gpu(explain_cuda(facts));
    EXPECT_EQ(check.status, CheckStatus::warning);
    EXPECT_NE(check.message.find(message), std::string::npos) << check.message;
    EXPECT_NE(check.cure.find(cure), std::string::npos) << check.cure;
    EXPECT_EQ(check.message.find('\n'), std::string::npos);
  };
  expect([](CudaFacts& facts) { facts.driver_version = 0; }, "no GPU driver", "install");
  expect([](CudaFacts& facts) { facts.driver_version = 12080; }, "runs CUDA 12.8, this program needs CUDA 13.0",
         "update");
  expect([](CudaFacts& facts) { facts.gpus = 0, facts.refusal = "in words of the runtime"; },
         "no GPU: in words of the runtime", "nvidia-smi");
  expect([](CudaFacts& facts) { facts.index = 2; }, "2 GPUs, counted from 0", "--device cuda:0");
  expect([](CudaFacts& facts) { facts.gpus = facts.index = 1; }, "one GPU", "--device cuda:0");
  expect([](CudaFacts& facts) { facts.major = 7, facts.minor = 5; }, "GeForce (compute capability 7.5) is too old",
         "--device cpu");
  expect([](CudaFacts& facts) { facts.architectures = "89;90"; }, "no code for GeForce (compute capability 8.6)",
         "make CUDA_ARCH=86");
}

// Machine code from its minor version on within a major one, PTX of the last for all that is newer.
TEST(Doctor, KnowsWhatCodeRunsWhere) {
  for (const auto& [major, minor] : {std::pair{8, 6}, {8, 7}, {8, 9}, {9, 0}, {10, 0}, {12, 0}}) {
    EXPECT_TRUE(has_code_for("86;89;90", major, minor)) << major << "." << minor;
    EXPECT_TRUE(has_code_for("86", major, minor)) << major << "." << minor;
  }
  EXPECT_FALSE(has_code_for("86;89;90", 8, 0));
  EXPECT_FALSE(has_code_for("90", 8, 9));
  EXPECT_FALSE(has_code_for("80;90", 7, 5));
  EXPECT_TRUE(has_code_for("80;90", 8, 9));
  EXPECT_FALSE(has_code_for("", 9, 0));
}

TEST(Doctor, AFullGpuSaysHowFull) {
  const DeviceOutOfMemory error(size_t{3} << 29, size_t{1} << 30, size_t{24} << 30);
  EXPECT_STREQ(error.what(), "out of memory of the GPU: 1.5 GiB more wanted, 1.0 GiB of 24.0 GiB free");
}

TEST(Doctor, LeavesTheNumberOfThreadsAlone) {
  const int usual = diagnose("cpu", 0, ".").threads;
  EXPECT_EQ(diagnose("cpu", usual + 1, ".").threads, usual + 1);
  EXPECT_EQ(diagnose("cpu", 0, ".").threads, usual) << "a context made on the way must not change the default";
}

TEST(Doctor, ADeviceThatIsNotThereIsNamedWithItsCure) {
  const Diagnosis diagnosis = diagnose("cuda:99", 1, ".");
  EXPECT_FALSE(healthy(diagnosis));
  EXPECT_EQ(diagnosis.checks.back().name, "device");
  EXPECT_NE(diagnosis.checks.back().cure.find("--device cpu"), std::string::npos);
  EXPECT_NE(diagnosis_text(diagnosis).find("try: " + diagnosis.checks.back().cure), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(diagnosis_json(diagnosis))["healthy"], false);
  EXPECT_THROW(diagnose("gpu", 1, "."), Error);
}

}  // namespace
}  // namespace tessera
