#include "engine/io/atomic_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "tests/engine/io/temporary_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

std::string slurp(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

int files_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

struct FaultGuard {
  explicit FaultGuard(FileFault fault) { set_file_fault(std::move(fault)); }
  ~FaultGuard() { set_file_fault({}); }
};

TEST(AtomicFile, AppearsOnCommitOnly) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "x";
  {
    AtomicFile file(target);
    file.write("half");
    EXPECT_FALSE(fs::exists(target));
  }
  EXPECT_EQ(files_in(folder.path()), 0);
  write_file_atomic(target, "first");
  EXPECT_EQ(slurp(target), "first");
  write_file_atomic(target, "second");
  EXPECT_EQ(slurp(target), "second");
  EXPECT_EQ(files_in(folder.path()), 1);
}

// Whatever step fails with whatever errno: the old content stays, nothing is left over, the message says why.
TEST(AtomicFile, FailureOfAnyStepKeepsTheOldFile) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "x";
  write_file_atomic(target, "old");
  for (const FileStep step : {FileStep::open, FileStep::write, FileStep::sync, FileStep::close, FileStep::rename}) {
    for (const int number : {ENOSPC, EIO, EROFS, EDQUOT}) {
      const FaultGuard guard([&](FileStep at, uint64_t) { return at == step ? number : 0; });
      try {
        write_file_atomic(target, "new");
        ADD_FAILURE() << "no error at step " << static_cast<int>(step);
      } catch (const WriteError& error) {
        EXPECT_EQ(error.error_number(), number);
        EXPECT_EQ(error.code(), ExitCode::usage);
        EXPECT_TRUE(std::string(error.what()).starts_with(target.string() + ": cannot ")) << error.what();
        EXPECT_FALSE(error.hint().empty());
      }
      EXPECT_EQ(slurp(target), "old");
      EXPECT_EQ(files_in(folder.path()), 1);
    }
  }
}

TEST(AtomicFile, DiskFullInTheMiddle) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "x";
  const FaultGuard guard(
      [](FileStep step, uint64_t written) { return step == FileStep::write && written >= 2048 ? ENOSPC : 0; });
  AtomicFile file(target);
  const std::string piece(1024, 'x');
  file.write(piece);
  file.write(piece);
  try {
    file.write(piece);
    ADD_FAILURE();
  } catch (const WriteError& error) {
    EXPECT_EQ(error.what(), target.string() + ": cannot write: No space left on device");
    EXPECT_EQ(error.hint(), "df -h " + folder.path().string());
  }
  EXPECT_EQ(files_in(folder.path()), 0);
  EXPECT_THROW(file.commit(), Error);
}

TEST(AtomicFile, FolderThatCannotBeSynced) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "x";
  int number = EINVAL;
  const FaultGuard guard([&](FileStep step, uint64_t) { return step == FileStep::sync_folder ? number : 0; });
  EXPECT_NO_THROW(write_file_atomic(target, "one"));
  number = EIO;
  EXPECT_THROW(write_file_atomic(target, "two"), WriteError);
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, InterruptedCallsAreRepeated) {
  const TemporaryFolder folder;
  int left = 3;
  const FaultGuard guard([&](FileStep step, uint64_t) { return step == FileStep::write && left-- > 0 ? EINTR : 0; });
  write_file_atomic(folder.path() / "x", "text");
  EXPECT_EQ(left, -1);
  EXPECT_EQ(slurp(folder.path() / "x"), "text");
}

TEST(AtomicFile, MissingFolder) {
  const TemporaryFolder folder;
  try {
    write_file_atomic(folder.path() / "absent" / "x", "text");
    ADD_FAILURE();
  } catch (const WriteError& error) {
    EXPECT_EQ(error.error_number(), ENOENT);
    EXPECT_EQ(error.hint(), "mkdir -p " + (folder.path() / "absent").string());
  }
}

TEST(AtomicFile, StaleTemporariesAreRemoved) {
  const TemporaryFolder folder;
  for (const char* name : {"a.safetensors.tmp-12-0", "LATEST.tmp-1-33", "keep.tmp", "keep.tmp-1", "keep.tmp-1-", "keep",
                           "keep.tmp-a-1", "keep.tmp-1-2-3"}) {
    std::ofstream(folder.path() / name) << "x";
  }
  fs::create_directory(folder.path() / "keep.tmp-1-2");
  EXPECT_EQ(remove_stale_temporaries(folder.path()), 2);
  EXPECT_EQ(files_in(folder.path()), 7);
  EXPECT_EQ(remove_stale_temporaries(folder.path() / "absent"), 0);
}

}  // namespace
}  // namespace tessera
