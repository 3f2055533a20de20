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

TEST(Doctor, LeavesTheNumberOfThreadsAlone) {
  const int usual = diagnose("cpu", 0, ".").threads;
  EXPECT_EQ(diagnose("cpu", usual + 1, ".").threads, usual + 1);
  EXPECT_EQ(diagnose("cpu", 0, ".").threads, usual) << "a context made on the way must not change the default";
}

TEST(Doctor, ADeviceThatIsNotThereIsNamedWithItsCure) {
  const Diagnosis diagnosis = diagnose("cuda:99", 1, ".");
  EXPECT_FALSE(healthy(diagnosis));
  EXPECT_EQ(diagnosis.checks.back().name, "device");
  EXPECT_EQ(diagnosis.checks.back().cure, "--device cpu");
  EXPECT_NE(diagnosis_text(diagnosis).find("try: --device cpu"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(diagnosis_json(diagnosis))["healthy"], false);
  EXPECT_THROW(diagnose("gpu", 1, "."), Error);
}

}  // namespace
}  // namespace tessera
