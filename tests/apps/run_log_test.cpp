#include "apps/run_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/core/error.h"

namespace tessera {
namespace {

TEST(RunLog, ReadsTrainAndEvalLines) {
  const RunLog log = parse_run_log(
      R"({"type": "train", "iteration": 20, "loss": 1.5, "losses": {"cls": 0.5, "seg": 1.0}, "learning_rate": 0.01, )"
      R"("gradient_norm": 3.25, "images_per_second": 8.5, "data_wait": 0.125, "seconds": 12})"
      "\n"
      R"({"type": "train", "iteration": 40, "losses": {"box": 0.25, "seg": null}})"
      "\r\n\n"
      R"({"type": "eval", "iteration": 40, "segm": {"AP": 0.25, "AP50": 0.5, "APl": null, "ARl": 0.75}, "seconds": 3})"
      "\n");
  EXPECT_EQ(log.skipped, 0);
  EXPECT_EQ(log.loss_names, (std::vector<std::string>{"cls", "seg", "box"}));
  ASSERT_EQ(log.train.size(), 2u);
  EXPECT_EQ(log.train[0].iteration, 20);
  EXPECT_EQ(log.train[0].loss, 1.5);
  EXPECT_EQ(log.train[0].losses, (std::vector<double>{0.5, 1.0}));
  EXPECT_EQ(log.train[0].learning_rate, 0.01);
  EXPECT_EQ(log.train[0].gradient_norm, 3.25);
  EXPECT_EQ(log.train[0].images_per_second, 8.5);
  EXPECT_EQ(log.train[0].data_wait, 0.125);
  EXPECT_EQ(log.train[0].seconds, 12);
  EXPECT_TRUE(std::isnan(log.train[1].loss));
  ASSERT_EQ(log.train[1].losses.size(), 3u);
  EXPECT_TRUE(std::isnan(log.train[1].losses[0]));
  EXPECT_TRUE(std::isnan(log.train[1].losses[1]));
  EXPECT_EQ(log.train[1].losses[2], 0.25);
  ASSERT_EQ(log.eval.size(), 1u);
  EXPECT_EQ(log.eval[0].iteration, 40);
  EXPECT_EQ(log.eval[0].segm[0], 0.25);
  EXPECT_EQ(log.eval[0].segm[1], 0.5);
  EXPECT_TRUE(std::isnan(log.eval[0].segm[5]));
  EXPECT_EQ(log.eval[0].segm[11], 0.75);
  EXPECT_TRUE(std::isnan(log.eval[0].bbox[0]));
  EXPECT_EQ(log.eval[0].seconds, 3);
}

TEST(RunLog, LeavesOutWhatItCannotRead) {
  const RunLog log = parse_run_log(
      "{\"type\": \"start\", \"iteration\": 0}\n"
      "not json\n"
      "[1, 2]\n"
      "{\"iteration\": 3}\n"
      "{\"type\": \"train\", \"iteration\": \"4\"}\n"
      "{\"type\": 5, \"iteration\": 5}\n"
      "{\"type\": \"train\", \"iteration\": 6, \"loss\": \"high\", \"losses\": [1]}\n"
      "{\"type\": \"eval\", \"iteration\": 7, \"segm\": 0.5}\n"
      "{\"type\": \"train\", \"iteration\": 8, \"lo");
  EXPECT_EQ(log.skipped, 7);
  ASSERT_EQ(log.train.size(), 1u);
  EXPECT_TRUE(std::isnan(log.train[0].loss));
  EXPECT_TRUE(log.train[0].losses.empty());
  ASSERT_EQ(log.eval.size(), 1u);
  EXPECT_TRUE(std::isnan(log.eval[0].segm[0]));
}

TEST(RunLog, ARunThatWentBackReplacesItsPoints) {
  std::string text;
  for (const int iteration : {10, 20, 30, 40, 20, 30}) {
    text += fmt::format("{{\"type\": \"train\", \"iteration\": {}, \"loss\": {}}}\n", iteration, text.size());
  }
  const RunLog log = parse_run_log(text);
  ASSERT_EQ(log.train.size(), 3u);
  EXPECT_EQ(log.train[1].iteration, 20);
  EXPECT_EQ(log.train[2].iteration, 30);
  EXPECT_GT(log.train[1].loss, 150) << "the later line counts";
}

TEST(RunLog, Files) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("tessera-run-log-{}.jsonl", getpid());
  { std::ofstream out(file, std::ios::binary); }
  EXPECT_TRUE(read_run_log(file).train.empty());
  std::ofstream(file, std::ios::binary) << "{\"type\": \"train\", \"iteration\": 1, \"loss\": 2}\n";
  EXPECT_EQ(read_run_log(file).train.size(), 1u);
  std::filesystem::remove(file);
  EXPECT_THROW(read_run_log(file), Error);
  EXPECT_THROW(read_run_log(std::filesystem::temp_directory_path()), Error);
}

}  // namespace
}  // namespace tessera
