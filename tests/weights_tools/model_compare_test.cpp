// `model compare` on dumps made of our own activations, renamed and turned to N, C, H, W as PyTorch has them.
#include <gtest/gtest.h>

#include <deque>

#include "apps/model_file.h"
#include "apps/model_metadata.h"
#include "apps/weights_verbs.h"
#include "engine/io/raw_safetensors.h"
#include "engine/training/weights.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/weights_tools/small_fcos.h"

namespace tessera {
namespace {

using namespace testing_support;

struct Dump {
  std::vector<std::string> names;
  std::deque<std::vector<float>> values;
  std::vector<std::vector<int64_t>> shapes;

  void add(const std::string& name, const std::vector<float>& nhwc, const std::vector<int64_t>& shape) {
    const int64_t n = shape[0], h = shape[1], w = shape[2], c = shape[3];
    std::vector<float>& nchw = values.emplace_back(nhwc.size());
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t p = 0; p < h * w; ++p) {
        for (int64_t k = 0; k < c; ++k)
          nchw[static_cast<size_t>((i * c + k) * h * w + p)] = nhwc[static_cast<size_t>((i * h * w + p) * c + k)];
      }
    }
    names.push_back(name);
    shapes.push_back({n, c, h, w});
  }
  std::vector<float>& of(const std::string& name) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) return values[i];
    }
    throw std::runtime_error(name);
  }
  void write(const std::filesystem::path& file) const {
    std::vector<RawSafetensorsSource> sources;
    for (size_t i = 0; i < names.size(); ++i) sources.push_back({names[i], "F32", shapes[i], values[i].data()});
    write_raw_safetensors(file, sources, {});
  }
};

// Ours -> torchvision's, of the modules this test dumps.
const std::vector<std::pair<std::string, std::string>> kModules = {
    {"backbone.bottom_up.stem.conv1.norm", "backbone.body.bn1"},
    {"backbone.bottom_up.res3.0", "backbone.body.layer2.0"},
    {"backbone.bottom_up.res3.0.shortcut.norm", "backbone.body.layer2.0.downsample.1"},
    {"backbone.fpn_lateral4", "backbone.fpn.inner_blocks.1.0"},
    {"backbone.top_block.p7", "backbone.fpn.extra_blocks.p7"},
    {"proposal_generator.fcos_head.cls_tower.3@1", "head.classification_head.conv.3@1"},
    {"proposal_generator.fcos_head.bbox_tower.10@4", "head.regression_head.conv.10@4"},
    {"proposal_generator.fcos_head.bbox_pred@0", "head.regression_head.bbox_reg@0"}};

class ModelCompare : public ::testing::Test {
 protected:
  ModelCompare() {
    ConvertOptions convert;
    convert.input = spill(folder_.path() / "in.pth", zip_pth(small_fcos(91)));
    convert.output = options_.weights = folder_.path() / "out.safetensors";
    convert.overrides = kSmall;
    run_convert({.quiet = true}, convert);
    options_.dump = folder_.path() / "dump.safetensors";

    CpuContext context(1);
    const Model model = load_model(context, options_.weights);
    std::vector<float> pixels;
    for (int64_t i = 0; i < 64 * 96 * 3; ++i) pixels.push_back(value_of(3, i) - 0.5f);
    dump_.add("input", pixels, {1, 64, 96, 3});
    Tape tape(context, Tape::Mode::forward);
    tape.observe_activations([&](const std::string& module, const Tensor& value, bool) {
      for (const auto& [ours, theirs] : kModules) {
        const auto extents = value.shape().extents();
        if (ours == module) dump_.add(theirs, value.to_host<float>(context), {extents.begin(), extents.end()});
      }
    });
    model.system->forward(tape, Tensor::from_host<float>(context, {1, 64, 96, 3}, pixels));
  }

  // The exit code and what was printed.
  std::pair<int, std::string> compare() {
    dump_.write(options_.dump);
    ::testing::internal::CaptureStdout();
    const int code = run_model_compare({.threads = 1, .json = true}, options_);
    return {code, ::testing::internal::GetCapturedStdout()};
  }

  TemporaryFolder folder_;
  ModelCompareOptions options_;
  Dump dump_;
};

TEST_F(ModelCompare, EqualActivationsPass) {
  EXPECT_EQ(dump_.names.size(), kModules.size() + 1);
  // In front of a ReLU that is part of our op, PyTorch's hooks see negative values.
  for (const char* name : {"backbone.body.bn1", "head.regression_head.bbox_reg@0"}) {
    for (float& value : dump_.of(name)) value = value == 0 ? -1.0f : value;
  }
  const auto [code, text] = compare();
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find(fmt::format("\"compared\":{},\"off\":0", kModules.size())), std::string::npos) << text;
}

// Torchvision's class scores have a channel for each of COCO's 91 ids, ours the 80 that are categories.
TEST_F(ModelCompare, ClassScoresAreThoseOfTheCategories) {
  CpuContext context(1);
  const Model model = load_model(context, options_.weights);
  std::vector<float> wide;
  Tape tape(context, Tape::Mode::forward);
  tape.observe_activations([&](const std::string& module, const Tensor& value, bool) {
    if (module != "proposal_generator.fcos_head.cls_logits@0") return;
    const std::vector<float> ours = value.to_host<float>(context);
    for (size_t first = 0; first < ours.size(); first += 80) {
      std::vector<float> row(91, 1e6f);  // of ids that nobody has
      for (size_t label = 0; label < 80; ++label)
        row[static_cast<size_t>(model.categories[label].id)] = ours[first + label];
      wide.insert(wide.end(), row.begin(), row.end());
    }
  });
  std::vector<float> pixels;
  for (int64_t i = 0; i < 64 * 96 * 3; ++i) pixels.push_back(value_of(3, i) - 0.5f);
  model.system->forward(tape, Tensor::from_host<float>(context, {1, 64, 96, 3}, pixels));
  ASSERT_EQ(wide.size(), 91u * 8 * 12);
  dump_.add("head.classification_head.cls_logits@0", wide, {1, 8, 12, 91});
  const auto [code, text] = compare();
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("cls_logits@0"), std::string::npos) << text;
}

// Layers that work on the cells of a map leave it as ours is, N, H, W, C.
TEST_F(ModelCompare, MapsMayStandInOurLayout) {
  for (size_t i = 0; i < dump_.names.size(); ++i) {
    if (dump_.names[i] != "head.regression_head.bbox_reg@0") continue;
    const std::vector<float> nchw = dump_.values[i];
    std::vector<int64_t>& shape = dump_.shapes[i];
    const int64_t channels = shape[1], plane = shape[2] * shape[3];
    for (int64_t p = 0; p < plane; ++p) {
      for (int64_t c = 0; c < channels; ++c)
        dump_.values[i][static_cast<size_t>(p * channels + c)] = nchw[static_cast<size_t>(c * plane + p)];
    }
    shape = {shape[0], shape[2], shape[3], channels};
  }
  const auto [code, text] = compare();
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find(fmt::format("\"compared\":{},\"off\":0", kModules.size())), std::string::npos) << text;
}

// SOTR runs its transformer on P5 before the last grid, ours after it: the calls of a module are told apart by shapes.
TEST(ModelCompareCalls, MayComeInAnotherOrder) {
  const TemporaryFolder folder;
  CpuContext context(1);
  const Model model = make_model(context, read_config("configs/yolactr_anchor_free_tiny_shapes.json"), {}, 1, false);
  ModelCompareOptions options;
  options.weights = folder.path() / "model.safetensors";
  options.dump = folder.path() / "dump.safetensors";
  save_weights(context, options.weights, *model.parameters, model_metadata(model.config, model.categories));

  Dump dump;
  std::vector<float> pixels;
  for (int64_t i = 0; i < 64 * 96 * 3; ++i) pixels.push_back(value_of(3, i) - 0.5f);
  dump.add("input", pixels, {1, 64, 96, 3});
  const std::string module = "prediction.transformer.0.feed_forward.0.conv1";
  int call = 0;
  Tape tape(context, Tape::Mode::forward);
  tape.observe_activations([&](const std::string& name, const Tensor& value, bool) {
    if (name != module) return;
    const auto extents = value.shape().extents();
    const int theirs = call == 4 ? 5 : call == 5 ? 4 : call;
    dump.add(fmt::format("{}@{}", name, theirs), value.to_host<float>(context), {extents.begin(), extents.end()});
    ++call;
  });
  model.system->forward(tape, Tensor::from_host<float>(context, {1, 64, 96, 3}, pixels));
  ASSERT_EQ(call, 6);
  dump.write(options.dump);
  ::testing::internal::CaptureStdout();
  const int code = run_model_compare({.threads = 1, .json = true}, options);
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("\"compared\":6,\"off\":0"), std::string::npos) << text;
}

TEST_F(ModelCompare, TheFirstThatIsOffComesFirst) {
  dump_.of("head.classification_head.conv.3@1")[5] += 10;
  dump_.of("backbone.fpn.inner_blocks.1.0")[7] += 1e10f;  // without trained norms the values grow
  const auto [code, text] = compare();
  EXPECT_EQ(code, static_cast<int>(ExitCode::check_failed));
  EXPECT_NE(text.find("\"off\":2,\"activations\":[{\"name\":\"backbone.fpn_lateral4\""), std::string::npos) << text;
}

TEST_F(ModelCompare, BadDumpsAreNamed) {
  const auto complaint = [&] {
    try {
      compare();
    } catch (const Error& error) {
      ::testing::internal::GetCapturedStdout();
      EXPECT_EQ(error.code(), ExitCode::data);
      return std::string(error.what());
    }
    return std::string();
  };
  Dump whole = dump_;
  dump_.names[0] = "picture";
  EXPECT_NE(complaint().find("no tensor \"input\""), std::string::npos);
  dump_ = whole;
  dump_.shapes[0] = {1, 3, 96, 64};
  dump_.shapes[0][2] = 48;
  dump_.shapes[0][3] = 128;
  EXPECT_NE(complaint().find("not padded"), std::string::npos);
  dump_ = Dump();
  dump_.names = {"input"};
  dump_.values = {whole.values[0]};
  dump_.shapes = {whole.shapes[0]};
  EXPECT_NE(complaint().find("none of its 0 tensors"), std::string::npos);
}

}  // namespace
}  // namespace tessera
