#include "engine/training/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/training/sgd.h"
#include "engine/training/weights.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/engine/training/toy_store.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing_support::set_toy_gradients;
using testing_support::TemporaryFolder;
using testing_support::toy_store;

std::string slurp(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void no_warning(const std::string& warning) { ADD_FAILURE() << warning; }

struct Hashes {
  std::string weights, momentum;
  bool operator==(const Hashes&) const = default;
};

Hashes hashes(Context& context, const ParameterStore& store) {
  return {weights_sha256(context, store), momentum_sha256(context, store)};
}

void train(Context& context, const ParameterStore& store, int64_t begin, int64_t end) {
  Sgd sgd(context, store, {0.9, 1e-2, 1.0});
  for (int64_t iteration = begin; iteration < end; ++iteration) {
    set_toy_gradients(context, store, iteration);
    sgd.step(context, iteration, 0.05);
  }
}

TEST(Checkpoint, KeepsTheNewestAndPointsToIt) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const auto store = toy_store(context);
  std::ofstream(folder.path() / "checkpoint_00000005.safetensors.tmp-99-1") << "killed";
  const CheckpointFolder checkpoints(folder.path(), 2);
  EXPECT_TRUE(names_in(folder.path()).empty());
  EXPECT_FALSE(checkpoints.resume(context, *store, no_warning).has_value());
  for (const int64_t iteration : {5, 10, 15, 100000000}) checkpoints.save(context, *store, iteration, {{"a", "b"}});
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"LATEST", "checkpoint_00000015.safetensors",
                                                               "checkpoint_100000000.safetensors"}));
  EXPECT_EQ(slurp(folder.path() / "LATEST"), "checkpoint_100000000.safetensors\n");
  const auto resumed = checkpoints.resume(context, *store, no_warning);
  ASSERT_TRUE(resumed.has_value());
  EXPECT_EQ(resumed->iterations, 100000000);
  EXPECT_EQ(resumed->metadata.at("a"), "b");
  EXPECT_EQ(resumed->file.filename(), "checkpoint_100000000.safetensors");
}

TEST(Checkpoint, InterruptedRunsEqualTheStraightRun) {
  for (const int threads : {1, 3}) {
    CpuContext context(threads);
    const auto straight = toy_store(context);
    train(context, *straight, 0, 40);
    const TemporaryFolder folder;
    const CheckpointFolder checkpoints(folder.path(), 1);
    int64_t done = 0;
    for (const int64_t stop : {1, 7, 8, 23, 39, 40}) {
      const auto store = toy_store(context, 99);  // other initial values: all state must come from the checkpoint
      if (done == 0) {
        const auto fresh = toy_store(context);
        train(context, *fresh, 0, stop);
        checkpoints.save(context, *fresh, stop, {});
      } else {
        const auto resumed = checkpoints.resume(context, *store, no_warning);
        ASSERT_TRUE(resumed.has_value());
        ASSERT_EQ(resumed->iterations, done);
        train(context, *store, done, stop);
        checkpoints.save(context, *store, stop, {});
      }
      done = stop;
    }
    const auto last = toy_store(context, 99);
    checkpoints.resume(context, *last, no_warning);
    EXPECT_EQ(hashes(context, *last), hashes(context, *straight));
  }
}

TEST(Checkpoint, DamagedOnesAreSkippedWithAWarning) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const CheckpointFolder checkpoints(folder.path(), 9);
  const auto store = toy_store(context);
  std::vector<Hashes> at;
  for (int64_t iteration = 0; iteration < 4; ++iteration) {
    checkpoints.save(context, *store, iteration, {});
    at.push_back(hashes(context, *store));
    train(context, *store, iteration, iteration + 1);
  }
  const auto file = [&](int number) { return folder.path() / fmt::format("checkpoint_{:08d}.safetensors", number); };
  std::string content = slurp(file(3));
  content[content.size() - 2] ^= 4;
  std::ofstream(file(3), std::ios::binary) << content;
  fs::resize_file(file(2), fs::file_size(file(2)) / 2);
  std::vector<std::string> warnings;
  const auto resumed =
      checkpoints.resume(context, *store, [&](const std::string& warning) { warnings.push_back(warning); });
  ASSERT_TRUE(resumed.has_value());
  EXPECT_EQ(resumed->iterations, 1);
  EXPECT_EQ(hashes(context, *store), at[1]);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("checkpoint_00000003.safetensors: tensor \""), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[1].find("truncated"), std::string::npos) << warnings[1];
  for (const int number : {0, 1}) fs::resize_file(file(number), 0);
  try {
    checkpoints.resume(context, *store, [](const std::string&) {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights);
    EXPECT_NE(std::string(error.what()).find("all 4 checkpoints are damaged"), std::string::npos);
  }
  EXPECT_EQ(hashes(context, *store), at[1]);
}

TEST(Checkpoint, OfAnotherModelIsAnErrorNotAWarning) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const CheckpointFolder checkpoints(folder.path(), 2);
  checkpoints.save(context, *toy_store(context, 1, 3), 1, {});
  const auto other = toy_store(context, 1, 4);
  EXPECT_THROW(checkpoints.resume(context, *other, no_warning), Error);
}

TEST(Checkpoint, FullDiskKeepsTheOldOneAndTheRun) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const CheckpointFolder checkpoints(folder.path(), 1);
  const auto store = toy_store(context);
  checkpoints.save(context, *store, 1, {});
  const Hashes old = hashes(context, *store);
  train(context, *store, 1, 2);
  const Hashes current = hashes(context, *store);
  for (const int number : {ENOSPC, EIO, EROFS}) {
    for (const uint64_t after : {uint64_t{0}, uint64_t{8}, uint64_t{500}}) {
      set_file_fault(
          [&](FileStep step, uint64_t written) { return step == FileStep::write && written >= after ? number : 0; });
      EXPECT_THROW(checkpoints.save(context, *store, 2, {}), WriteError);
      set_file_fault({});
      EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"LATEST", "checkpoint_00000001.safetensors"}));
    }
  }
  EXPECT_EQ(hashes(context, *store), current);
  const auto other = toy_store(context, 99);
  checkpoints.resume(context, *other, no_warning);
  EXPECT_EQ(hashes(context, *other), old);
  checkpoints.save(context, *store, 2, {});  // space again: the run retries
  EXPECT_EQ(slurp(folder.path() / "LATEST"), "checkpoint_00000002.safetensors\n");
}

TEST(Checkpoint, NonFiniteWeightsAreNotSaved) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const CheckpointFolder checkpoints(folder.path(), 2);
  const auto store = toy_store(context);
  std::vector<float> bias(3, std::nanf(""));
  store->find("head.conv.bias")->value.copy_from_host(context, bias.data());
  EXPECT_THROW(checkpoints.save(context, *store, 3, {}), Error);
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Checkpoint, RunFolderIsPrepared) {
  const TemporaryFolder folder;
  prepare_run_folder(folder.path() / "a" / "b", 1024);
  EXPECT_TRUE(fs::is_empty(folder.path() / "a" / "b"));
  try {
    prepare_run_folder(folder.path(), uint64_t{1} << 62);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("checkpoints need"), std::string::npos);
  }
  std::ofstream(folder.path() / "file") << "x";
  EXPECT_THROW(prepare_run_folder(folder.path() / "file", 0), Error);
  set_file_fault([](FileStep, uint64_t) { return EROFS; });
  EXPECT_THROW(prepare_run_folder(folder.path(), 0), WriteError);
  set_file_fault({});
}

// What a training process does until it is killed: resume, then checkpoint after every iteration. Each save that
// returned is told to the parent.
[[noreturn]] void run_until_killed(Context& context, const fs::path& folder, std::atomic<int64_t>& saved) {
  try {
    const auto store = toy_store(context);
    const CheckpointFolder checkpoints(folder, 2);
    const auto resumed = checkpoints.resume(context, *store, [](const std::string&) { _exit(3); });
    for (int64_t iteration = resumed ? resumed->iterations : 0;; ++iteration) {
      train(context, *store, iteration, iteration + 1);
      checkpoints.save(context, *store, iteration + 1, {});
      saved = iteration + 1;
    }
  } catch (...) {
    _exit(4);
  }
}

// 50 times SIGKILL at a random moment (TESSERA_KILLS for more): the newest checkpoint is always whole, no finished save
// is lost, and in the end the weights are those of a run that nobody disturbed.
TEST(Checkpoint, KillNeverLosesASavedCheckpoint) {
  const char* wanted = std::getenv("TESSERA_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 50;
  const TemporaryFolder folder;
  CpuContext context(1);  // no thread pool: the child of a fork has none
  void* page = mmap(nullptr, sizeof(std::atomic<int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto& saved = *new (page) std::atomic<int64_t>(0);
  std::mt19937 random(7);
  int64_t iterations = 0;
  int inside = 0;  // kills that left a temporary file: they hit the middle of a write
  for (int kill_number = 0; kill_number < kills; ++kill_number) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) run_until_killed(context, folder.path(), saved);
    // Every fifth child gets as far as one more checkpoint however slow the machine is.
    const int64_t before = saved;
    for (int wait = 0; kill_number % 5 == 0 && saved == before && wait < 30000; ++wait) usleep(1000);
    usleep(static_cast<useconds_t>(std::uniform_int_distribution<int>(0, 30000)(random)));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child stopped by itself with " << WEXITSTATUS(status);
    for (const std::string& name : names_in(folder.path())) inside += name.find(".tmp-") != std::string::npos;
    const auto store = toy_store(context);
    const auto resumed = CheckpointFolder(folder.path(), 2).resume(context, *store, no_warning);
    const int64_t now = resumed ? resumed->iterations : 0;
    EXPECT_GE(now, saved.load());
    EXPECT_GE(now, iterations);
    iterations = now;
  }
  munmap(page, sizeof(std::atomic<int64_t>));
  EXPECT_GT(iterations, 0);
  RecordProperty("iterations", static_cast<int>(iterations));
  RecordProperty("killed_inside_a_write", inside);
  const auto straight = toy_store(context), last = toy_store(context, 99);
  train(context, *straight, 0, iterations);
  CheckpointFolder(folder.path(), 2).resume(context, *last, no_warning);
  EXPECT_EQ(hashes(context, *last), hashes(context, *straight));
}

}  // namespace
}  // namespace tessera
