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

  ConvWork work(ConvMath math = ConvMath::tf32) const {
    return {.pass = ConvPass::forward,
            .math = math,
            .rows = rows_,
            .columns = 64,
            .depth = 4608,
            .taps = 9,
            .window = {512, 64, 3, 3, 1, 1},
            .maps = maps_};
  }

  // A GPU that is fastest with one choice.
  struct Clock {
    ConvChoice fastest;
    int calls = 0;
    std::function<double(const ConvChoice&)> measure() {
      return [this](const ConvChoice& choice) { return ++calls, choice == fastest ? 1e-4 : 2e-4; };
    }
  };

  std::vector<int64_t> rows_ = {70, 20};
  std::vector<Conv2dMap> maps_ = {{1, 7, 10, 7, 10}, {1, 4, 5, 4, 5}};
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
  std::vector<ConvWork> others(8, work());
  others[0].pass = ConvPass::data;
  others[1].pass = ConvPass::weight;
  others[2].window = {512, 64, 1, 9, 1, 1};
  others[3].window.stride = 2;
  others[4].window.padding = 0;
  const std::vector<Conv2dMap> turned = {{1, 10, 7, 10, 7}, {1, 4, 5, 4, 5}};
  others[5].maps = turned;
  others[6].branches = 2;
  others[7].epilogue = true;
  for (size_t i = 0; i < others.size(); ++i) {
    Clock never{choose_conv(others[i])};
    EXPECT_EQ(tuner.choose(others[i], never.measure()), never.fastest) << i;
    EXPECT_GT(never.calls, 0) << i;
  }
  EXPECT_EQ(tuner.choose(work(), {}), clock.fastest);
}

// A layer as wide as it is deep: its data gradient is the same product as its forward pass. Whatever is the fastest for
// one, and whichever libraries the other cannot ask, both keep what was measured for them.
TEST_F(ConvTuning, ForwardAndDataGradientKeepTheirOwnChoices) {
  const std::vector<ConvSource> libraries = {ConvSource::cudnn};
  ConvWork forward = work();
  forward.window = {256, 256, 3, 3, 1, 1};
  forward.libraries = libraries;
  ConvWork data = forward;
  data.pass = ConvPass::data;
  ConvWork folded = data;  // cuDNN has no scale there
  folded.epilogue = true;
  folded.libraries = {};
  int calls = 0;
  const auto clock = [&](ConvSource fastest) {
    return [&calls, fastest](const ConvChoice& choice) { return ++calls, choice.source == fastest ? 1e-4 : 2e-4; };
  };
  ConvTuningFile tuner(file(), "GPU A");
  for (int step = 0; step < 2; ++step) {
    EXPECT_EQ(tuner.choose(forward, clock(ConvSource::cudnn)).source, ConvSource::cudnn) << step;
    EXPECT_EQ(tuner.choose(data, clock(ConvSource::cudnn)).source, ConvSource::cudnn) << step;
    EXPECT_EQ(tuner.choose(folded, clock(ConvSource::own)).source, ConvSource::own) << step;
    if (step == 0) calls = 0;
  }
  EXPECT_EQ(calls, 0);
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
      {"", "{", "[]", "{}", R"({"format": 1})", R"({"format": "tessera conv choices 3"})",
       R"({"format": "tessera conv choices 2", "GPU": 3})",
       R"({"format": "tessera conv choices 2", "GPU": {"call": 1}})",
       R"({"format": "tessera conv choices 2", "GPU": {"call": {"tile": 4, "splits": 1, "microseconds": 1}}})",
       R"({"format": "tessera conv choices 2", "GPU": {"call": {"tile": "1x1", "splits": 1, "microseconds": 1}}})",
       R"({"format": "tessera conv choices 2", "GPU": {"call": {"tile": "64x64", "splits": 0, "microseconds": 1}}})",
       R"({"format": "tessera conv choices 2", "GPU": {"call": {"tile": "64x64", "splits": 1}}})",
       R"({"format": "tessera conv choices 2", "GPU": {"call": {"tile": "64x64", "splits": 1, "microseconds": 1, "source": "mkl"}}})"}) {
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
