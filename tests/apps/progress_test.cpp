#include "apps/progress.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

struct FakeOutput {
  double now = 100;
  std::string written;

  ProgressOutput output(bool terminal, int columns = 80) {
    return {[this] { return now; }, [this](std::string_view text) { written += text; }, terminal, columns};
  }
};

TEST(Progress, ShortJobsPrintNothing) {
  for (const bool terminal : {false, true}) {
    FakeOutput fake;
    {
      Progress progress(fake.output(terminal), "read", 100, false);
      for (int i = 1; i <= 100; ++i) fake.now += 0.0199, progress.update(i);
      progress.finish();
    }
    EXPECT_EQ(fake.written, "");
  }
}

TEST(Progress, QuietPrintsNothing) {
  FakeOutput fake;
  Progress progress(fake.output(true), "read", 10, true);
  for (int i = 1; i <= 10; ++i) fake.now += 5, progress.update(i);
  progress.finish();
  EXPECT_EQ(fake.written, "");
}

TEST(Progress, LinesOfAFileComeEveryTenSeconds) {
  FakeOutput fake;
  Progress progress(fake.output(false), "train", 60, false, 0, 8, "images");
  for (int i = 1; i <= 25; ++i) fake.now += 1, progress.update(i, "loss 1.50");
  EXPECT_EQ(fake.written,
            "train    3%  2/60  8.00 images/s  ETA 0:58  loss 1.50\n"
            "train   20%  12/60  8.00 images/s  ETA 0:48  loss 1.50\n"
            "train   36%  22/60  8.00 images/s  ETA 0:38  loss 1.50\n");
  fake.written.clear();
  progress.finish("loss 1.25");
  EXPECT_EQ(fake.written, "train  25 of 60 in 0:25  8.00 images/s  loss 1.25\n");
  progress.finish();
  progress.update(60);
  EXPECT_EQ(fake.written, "train  25 of 60 in 0:25  8.00 images/s  loss 1.25\n");
}

TEST(Progress, TerminalLineIsRewrittenAndCut) {
  FakeOutput fake;
  Progress progress(fake.output(true, 20), "predict", 10, false, 0, 1, "pictures");
  fake.now += 3;
  progress.update(5);
  EXPECT_EQ(fake.written, "\rpredict   50%  5/10\x1b[K");
  fake.written.clear();
  fake.now += 0.05;
  progress.update(6);
  EXPECT_EQ(fake.written, "");
  progress.update(10);
  progress.finish();
  EXPECT_EQ(fake.written, "\rpredict  10 pictures in 0:03  3.28 pictures/s\x1b[K\n");
}

TEST(Progress, ResumedStepsDoNotCountInTheRate) {
  FakeOutput fake;
  Progress progress(fake.output(false), "train", 1100, false, 1000);
  fake.now += 10;
  progress.update(1010);
  EXPECT_EQ(fake.written, "train   91%  1010/1100  1.00/s  ETA 1:30\n");
}

TEST(Progress, RateFollowsARecentChange) {
  FakeOutput fake;
  Progress progress(fake.output(false), "train", 0, false);
  int done = 0;
  for (int i = 0; i < 200; ++i) fake.now += 1, progress.update(++done);
  for (int i = 0; i < 200; ++i) fake.now += 1, progress.update(done += 3);
  const std::string last = fake.written.substr(fake.written.rfind('\n', fake.written.size() - 2) + 1);
  EXPECT_NE(last.find("  3.00/s"), std::string::npos) << last;
  EXPECT_EQ(last.find('%'), std::string::npos) << "total unknown";
  EXPECT_EQ(last.find("ETA"), std::string::npos) << "total unknown";
}

TEST(Progress, AnExceptionLeavesTheLineClosed) {
  FakeOutput fake;
  {
    Progress progress(fake.output(true), "train", 10, false);
    fake.now += 3;
    progress.update(1);
  }
  EXPECT_TRUE(fake.written.ends_with("\n"));
}

TEST(Progress, Durations) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(725), "12:05");
  EXPECT_EQ(format_duration(11045), "3:04:05");
  EXPECT_EQ(format_duration(2 * 86400 + 11045), "2d 03:04");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(1e300), "?");
}

}  // namespace
}  // namespace tessera
