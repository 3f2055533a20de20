#include "engine/core/conv_tuning.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "engine/core/error.h"

namespace tessera {
namespace {

class ConvTuning : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder()); }
  void TearDown() override { std::filesystem::remove_all(folder()); }

  static std::filesystem::path folder() {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    return std::filesystem::path(::testing::TempDir()) / ("tessera_conv_tuning_" + name);
  }
  static std::filesystem::path file() { return folder() / "choices.json"; }
  static void put(const std::string& text) { std::ofstream(file()) << text; }
  static std::string text() {
    std::ostringstream all;
    all << std::ifstream(file()).rdbuf();
    return all.str();
  }

  ConvWork work(ConvMath math = ConvMath::tf32) const { return {ConvPass::gather, math, rows_, 64, 1, 4608, 9}; }

  // A GPU that is fastest with one choice.
  struct Clock {
    ConvChoice fastest;
    int calls = 0;
    std::function<double(const ConvChoice&)> measure() {
      return [this](const ConvChoice& choice) { return ++calls, choice == fastest ? 1e-4 : 2e-4; };
    }
  };

  std::vector<int64_t> rows_ = {70, 20};
};

TEST_F(ConvTuning, CandidatesAreDistinctAndBeginWithTheDefault) {
  const std::vector<ConvChoice> candidates = conv_candidates(work(), 1000);
  EXPECT_EQ(candidates.front(), choose_conv(work()));
  std::set<std::pair<ConvTile, int>> distinct;
  for (const ConvChoice& choice : candidates) distinct.insert({choice.tile, choice.splits});
  EXPECT_EQ(distinct.size(), candidates.size());
  EXPECT_EQ(conv_candidates(work(), 3).size(), 3u);
}

TEST_F(ConvTuning, KeepsTheFastestAndMeasuresAShapeOnce) {
  Clock clock{conv_candidates(work(), 3).back()};
  {
    ConvTuningFile tuner(file(), "GPU A");
    EXPECT_EQ(tuner.choose(work(), clock.measure()), clock.fastest);
    const int calls = clock.calls;
    EXPECT_GT(calls, 0);
    EXPECT_EQ(tuner.choose(work(), clock.measure()), clock.fastest);
    EXPECT_EQ(clock.calls, calls);
  }
  Clock never{choose_conv(work())};
  ConvTuningFile again(file(), "GPU A");
  EXPECT_EQ(again.choose(work(), never.measure()), clock.fastest);
  EXPECT_EQ(again.choose(work(), {}), clock.fastest);
  EXPECT_EQ(never.calls, 0);
}

TEST_F(ConvTuning, GpusPrecisionsAndShapesAreTunedApart) {
  Clock clock{conv_candidates(work(), 2).back()};
  ConvTuningFile(file(), "GPU A").choose(work(), clock.measure());
  EXPECT_EQ(ConvTuningFile(file(), "GPU B").choose(work(), {}), choose_conv(work()));
  ConvTuningFile tuner(file(), "GPU A");
  EXPECT_EQ(tuner.choose(work(ConvMath::bf16), {}), choose_conv(work(ConvMath::bf16)));
  ConvWork other = work();
  other.taps = 1;
  EXPECT_EQ(tuner.choose(other, {}), choose_conv(other));
}

TEST_F(ConvTuning, TwoWritersKeepWhatTheOtherWrote) {
  ConvTuningFile a(file(), "GPU A"), b(file(), "GPU B");
  Clock clock{conv_candidates(work(), 2).back()};
  a.choose(work(), clock.measure());
  b.choose(work(), clock.measure());
  EXPECT_NE(text().find("GPU A"), std::string::npos);
  EXPECT_NE(text().find("GPU B"), std::string::npos);
}

TEST_F(ConvTuning, WithoutAClockNothingIsWritten) {
  EXPECT_EQ(ConvTuningFile(file(), "emulated").choose(work(), {}), choose_conv(work()));
  EXPECT_FALSE(std::filesystem::exists(file()));
}

// A choice of a tile that this pass does not have would compute the wrong rows.
TEST_F(ConvTuning, AnEntryThatIsNoChoiceOfTheShapeIsMeasuredAgain) {
  Clock clock{choose_conv(work())};
  ConvTuningFile(file(), "GPU A").choose(work(), clock.measure());
  std::string changed = text();
  const size_t tile = changed.find("\"tile\": \"") + 9;
  changed.replace(tile, changed.find('"', tile) - tile, "16x64");
  put(changed);
  Clock again{conv_candidates(work(), 2).back()};
  EXPECT_EQ(ConvTuningFile(file(), "GPU A").choose(work(), {}), choose_conv(work()));
  EXPECT_EQ(ConvTuningFile(file(), "GPU A").choose(work(), again.measure()), again.fastest);
}

TEST_F(ConvTuning, OtherFilesAreRefused) {
  for (
      const char* content :
      {"", "{", "[]", "{}", R"({"format": 1})", R"({"format": "tessera conv choices 2"})",
       R"({"format": "tessera conv choices 1", "GPU": 3})",
       R"({"format": "tessera conv choices 1", "GPU": {"call": 1}})",
       R"({"format": "tessera conv choices 1", "GPU": {"call": {"tile": 4, "splits": 1, "microseconds": 1}}})",
       R"({"format": "tessera conv choices 1", "GPU": {"call": {"tile": "1x1", "splits": 1, "microseconds": 1}}})",
       R"({"format": "tessera conv choices 1", "GPU": {"call": {"tile": "64x64", "splits": 0, "microseconds": 1}}})",
       R"({"format": "tessera conv choices 1", "GPU": {"call": {"tile": "64x64", "splits": 1}}})",
       R"({"format": "tessera conv choices 1", "GPU": {"call": {"tile": "64x64", "splits": 1, "microseconds": 1, "source": "mkl"}}})"}) {
    put(content);
    try {
      ConvTuningFile(file(), "GPU");
      ADD_FAILURE() << content;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << content;
      EXPECT_NE(std::string(error.what()).find("choices.json"), std::string::npos);
    }
  }
}

// A library is one candidate more; where it is gone, or has no way to do the call, ours are.
TEST_F(ConvTuning, LibrariesAreCandidates) {
  const std::vector<ConvSource> libraries = {ConvSource::cublas, ConvSource::cudnn};
  ConvWork offered = work();
  offered.libraries = libraries;
  std::set<ConvSource> measured;
  const auto clock = [&](ConvSource fastest) {
    return [&, fastest](const ConvChoice& choice) {
      measured.insert(choice.source);
      if (choice.source == ConvSource::cublas) return std::numeric_limits<double>::infinity();
      return choice.source == fastest ? 1e-4 : 2e-4;
    };
  };
  EXPECT_EQ(ConvTuningFile(file(), "GPU A").choose(offered, clock(ConvSource::cudnn)).source, ConvSource::cudnn);
  EXPECT_EQ(measured, (std::set<ConvSource>{ConvSource::own, ConvSource::cublas, ConvSource::cudnn}));
  EXPECT_NE(text().find("\"source\": \"cudnn\""), std::string::npos) << text();
  EXPECT_EQ(ConvTuningFile(file(), "GPU A").choose(offered, {}).source, ConvSource::cudnn);
  // Another build, without it.
  EXPECT_EQ(ConvTuningFile(file(), "GPU A").choose(work(), {}), choose_conv(work()));
  EXPECT_EQ(ConvTuningFile(file(), "GPU B").choose(offered, clock(ConvSource::own)).source, ConvSource::own);
  EXPECT_EQ(choose_conv(offered).source, ConvSource::own);
}

TEST_F(ConvTuning, OnlyGpusAreTuned) {
  CpuContext cpu(1);
  EmulatedContext emulated;
  PlanContext plan;
  for (Context* context :
       {static_cast<Context*>(&cpu), static_cast<Context*>(&emulated), static_cast<Context*>(&plan)}) {
    EXPECT_THROW(tune_convolutions(*context, file()), Error) << backend_name(context->backend());
    EXPECT_EQ(context->convolutions().tuner, nullptr);
  }
}

}  // namespace
}  // namespace tessera
