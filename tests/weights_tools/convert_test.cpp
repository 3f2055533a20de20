// `convert` as a whole on a small FCOS the way torchvision saves it: values, layouts, classes, metadata, and what the
// program does with the result.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "apps/init_weights.h"
#include "apps/model_file.h"
#include "apps/weights_verbs.h"
#include "engine/training/weights.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/weights_tools/file_builders.h"
#include "tests/weights_tools/small_fcos.h"

namespace tessera {
namespace {

using namespace testing_support;

struct Conversion {
  TemporaryFolder folder;
  CommonOptions common{.quiet = true};
  ConvertOptions options;

  explicit Conversion(const std::string& content, const char* name = "in.pth") {
    options.input = spill(folder.path() / name, content);
    options.output = folder.path() / "out.safetensors";
    options.overrides = kSmall;
  }
  void run() { EXPECT_EQ(run_convert(common, options), 0); }
  std::string complaint() {
    try {
      run_convert(common, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::weights) << error.what();
      EXPECT_FALSE(std::filesystem::exists(options.output)) << "nothing may be written";
      EXPECT_FALSE(error.hint().empty());
      return error.what();
    }
    return {};
  }
};

const NamedFloats& find(const std::vector<NamedFloats>& tensors, const std::string& name) {
  for (const NamedFloats& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error(name);
}

TEST(Convert, TorchvisionFcosBecomesAModelOfOurs) {
  const std::vector<NamedFloats> tensors = small_fcos(91);
  Conversion conversion(zip_pth(tensors, "model"));
  conversion.run();
  const SafetensorsFile file(conversion.options.output);

  const NamedFloats& conv = find(tensors, "backbone.body.layer2.0.conv2.weight");
  const std::vector<float> ours = file.read_f32(*file.find("backbone.bottom_up.res3.0.conv2.weight"));
  ASSERT_EQ(ours.size(), conv.values.size());
  for (int64_t o = 0; o < 8; ++o) {
    for (int64_t i = 0; i < 8; ++i) {
      for (int64_t y = 0; y < 3; ++y) {
        for (int64_t x = 0; x < 3; ++x) {
          EXPECT_EQ(ours[static_cast<size_t>(((o * 3 + y) * 3 + x) * 8 + i)],
                    conv.values[static_cast<size_t>(((o * 8 + i) * 3 + y) * 3 + x)]);
        }
      }
    }
  }
  // COCO's 80 of 91 rows: person is 1, toothbrush 90, stop sign (twelfth class) 13.
  const NamedFloats& bias = find(tensors, "head.classification_head.cls_logits.bias");
  const std::vector<float> rows = file.read_f32(*file.find("proposal_generator.fcos_head.cls_logits.bias"));
  ASSERT_EQ(rows.size(), 80u);
  EXPECT_EQ(rows[0], bias.values[1]);
  EXPECT_EQ(rows[11], bias.values[13]);
  EXPECT_EQ(rows[79], bias.values[90]);

  CpuContext context(1);
  const Model model = load_model(context, conversion.options.output);
  EXPECT_EQ(model.categories.size(), 80u);
  EXPECT_EQ(model.categories[11].id, 13);
  EXPECT_EQ(model.categories[11].name, "stop sign");
  EXPECT_EQ(model.config.get_string("model.fcos.variant"), "torchvision");
  EXPECT_EQ(model.config.get_string("model.backbone.stride_in"), "3x3");
  EXPECT_EQ(model.config.get_string("input.order"), "rgb");
  const auto source = nlohmann::json::parse(file.metadata().at("source"));
  EXPECT_EQ(source["file"], "in.pth");
  EXPECT_EQ(source["model"], "fcos of torchvision");
  EXPECT_EQ(source["sha256"].get<std::string>().size(), 64u);
}

TEST(Convert, OtherClassCountsKeepTheirRows) {
  Conversion conversion(zip_pth(small_fcos(7)));
  conversion.run();
  CpuContext context(1);
  EXPECT_EQ(load_model(context, conversion.options.output).system->classes(), 7);
}

// SOTR of one layer on a map of 32 channels: the gates are scalars, the position of attention and feed-forward is in
// the numbers of the names.
TEST(Convert, SotrBecomesAModelOfOurs) {
  std::vector<NamedFloats> tensors;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    const int64_t elements = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    std::vector<float> values;
    for (int64_t i = 0; i < elements; ++i) values.push_back(value_of(tensors.size(), i));
    tensors.push_back({name, shape, std::move(values)});
  };
  for (const NamedFloats& tensor : small_fcos(1)) {
    const std::string body = "backbone.body.";
    if (!tensor.name.starts_with(body)) continue;
    std::string name = tensor.name.substr(body.size());
    for (const auto& [theirs, sotr] :
         std::vector<std::pair<std::string, std::string>>{{"layer1", "res2"},
                                                          {"layer2", "res3"},
                                                          {"layer3", "res4"},
                                                          {"layer4", "res5"},
                                                          {"bn1", "conv1.norm"},
                                                          {"bn2", "conv2.norm"},
                                                          {"bn3", "conv3.norm"},
                                                          {"downsample.0", "shortcut"},
                                                          {"downsample.1", "shortcut.norm"}}) {
      const size_t at = name.find(theirs);
      if (at != std::string::npos) name.replace(at, theirs.size(), sotr);
    }
    add((name.starts_with("res") ? "backbone.bottom_up." : "backbone.bottom_up.stem.") + name, tensor.shape);
  }
  for (int level = 2; level <= 5; ++level) {
    add(fmt::format("backbone.fpn_lateral{}.weight", level), {32, 16 << (level - 2), 1, 1});
    add(fmt::format("backbone.fpn_lateral{}.bias", level), {32});
    add(fmt::format("backbone.fpn_output{}.weight", level), {32, 32, 3, 3});
    add(fmt::format("backbone.fpn_output{}.bias", level), {32});
  }
  const std::string blocks = "cate_head.transformer.layers.blocks.";
  for (const char* axis : {"0", "1"}) {
    const std::string attention = fmt::format("{}0.{}.fn.", blocks, axis),
                      forward = fmt::format("{}1.{}.", blocks, axis);
    add(attention + "g", {});
    add(attention + "fn.to_q.weight", {32, 32});
    add(attention + "fn.to_kv.weight", {64, 32});
    add(attention + "fn.to_out.weight", {32, 32});
    add(attention + "fn.to_out.bias", {32});
    add(forward + "g", {});
    for (const char* conv : {"fn.0", "fn.2"}) {
      add(forward + conv + ".weight", {32, 32, 3, 3});
      add(forward + conv + ".bias", {32});
    }
  }
  for (const auto& [name, rows] : {std::pair{"cate", 3}, std::pair{"kernel", 8}}) {
    add(fmt::format("cate_head.{}_pred.weight", name), {rows, 32});
    add(fmt::format("cate_head.{}_pred.bias", name), {rows});
  }
  for (const auto& [name, out, in] : {std::tuple{"convs_all_levels.0.conv0", 8, 32},
                                      {"convs_all_levels.1.conv0", 8, 32},
                                      {"convs_all_levels.2.conv0", 8, 32},
                                      {"convs_all_levels.2.conv1", 8, 8},
                                      {"convs_all_levels.3.conv0", 8, 32},
                                      {"convs_all_levels.3.conv1", 8, 8},
                                      {"convs_all_levels.3.conv2", 8, 8},
                                      {"conv_pred", 8, 8}}) {
    const int64_t window = name == std::string("conv_pred") ? 1 : 3;
    add(fmt::format("mask_head.{}.0.weight", name), {out, in, window, window});
    add(fmt::format("mask_head.{}.1.weight", name), {out});
    add(fmt::format("mask_head.{}.1.bias", name), {out});
  }
  Conversion conversion(zip_pth(tensors, "model"));
  conversion.options.overrides = {"model.fpn.channels=32", "model.norm_groups=2", "model.anchor_free.layers=1",
                                  "model.anchor_free.mask_channels=8", "model.anchor_free.kernel_channels=8"};
  conversion.run();

  CpuContext context(1);
  const Model model = load_model(context, conversion.options.output);
  EXPECT_EQ(model.config.get_string("model.system"), "anchor_free_yolactr");
  EXPECT_EQ(model.system->classes(), 3);
  EXPECT_EQ(model.config.get_string("input.order"), "bgr");
  const auto expect_equal = [&](const std::string& ours, const std::string& theirs) {
    const Parameter* parameter = model.parameters->find(ours);
    ASSERT_NE(parameter, nullptr) << ours;
    EXPECT_EQ(parameter->value.to_host<float>(context), find(tensors, theirs).values) << ours;
  };
  expect_equal("prediction.transformer.0.gate.column", blocks + "0.0.fn.g");
  expect_equal("prediction.transformer.0.gate.row", blocks + "0.1.fn.g");
  expect_equal("prediction.transformer.0.gate.feed_forward1", blocks + "1.1.g");
  expect_equal("prediction.transformer.0.row.key_value.weight", blocks + "0.1.fn.fn.to_kv.weight");
  expect_equal("prediction.transformer.0.column.output.bias", blocks + "0.0.fn.fn.to_out.bias");
  expect_equal("prediction.transformer.0.feed_forward.1.conv2.bias", blocks + "1.1.fn.2.bias");
  expect_equal("prediction.class_logits.weight", "cate_head.cate_pred.weight");
  expect_equal("mask.levels.3.2.norm.bias", "mask_head.convs_all_levels.3.conv2.1.bias");
  expect_equal("mask.output.weight", "mask_head.conv_pred.0.weight");

  tensors.push_back({"cate_head.transformer.pos_emb.params.0", {1}, {0}});
  EXPECT_NE(Conversion(zip_pth(tensors, "model")).complaint().find("position embeddings"), std::string::npos);
}

TEST(Convert, StrictByDefault) {
  std::vector<NamedFloats> tensors = small_fcos(91);
  std::erase_if(tensors, [](const NamedFloats& t) { return t.name == "head.regression_head.bbox_reg.bias"; });
  EXPECT_NE(Conversion(zip_pth(tensors)).complaint().find("missing  proposal_generator.fcos_head.bbox_pred.bias [4]"),
            std::string::npos);

  tensors = small_fcos(91);
  tensors.push_back({"head.more.weight", {1}, {1}});
  EXPECT_NE(Conversion(zip_pth(tensors)).complaint().find("unknown  head.more.weight"), std::string::npos);

  tensors = small_fcos(91);
  for (NamedFloats& tensor : tensors) {
    if (tensor.name == "head.classification_head.cls_logits.bias") tensor = {tensor.name, {90}, std::vector<float>(90)};
  }
  EXPECT_NE(Conversion(zip_pth(tensors))
                .complaint()
                .find("differs  proposal_generator.fcos_head.cls_logits.bias: the model has [80], the file [90]"),
            std::string::npos);

  Conversion wrong(zip_pth(small_fcos(91)));
  wrong.options.from = "mmdet";
  EXPECT_NE(wrong.complaint().find("looks like fcos of torchvision"), std::string::npos);

  std::string damaged = zip_pth(small_fcos(91));
  damaged[damaged.find("archive/data/40") + 40] ^= 1;
  EXPECT_NE(Conversion(damaged).complaint().find("checksum"), std::string::npos);
  EXPECT_NE(Conversion(zip_pth(small_fcos(91)).substr(0, 9999)).complaint().find("truncated"), std::string::npos);
}

TEST(Convert, ErrorsEndInACommandThatWorks) {
  const auto hint_of = [](Conversion& conversion) {
    try {
      run_convert(conversion.common, conversion.options);
      return std::string("converted");
    } catch (const Error& error) {
      return error.hint();
    }
  };
  // None of the models: what it is, and the copy.
  Conversion other(zip_pth({{"a", {2}, {1, 2}}, {"b", {}, {3}}}));
  EXPECT_NE(other.complaint().find("PyTorch .pth, 2 tensors (a [2] F32, b [] F32) that fit no known model"),
            std::string::npos);
  EXPECT_EQ(hint_of(other), fmt::format("tessera convert {} {} --from raw", other.options.input, other.options.output));
  other.options.from = "raw";
  other.options.overrides.clear();
  other.run();
  EXPECT_EQ(SafetensorsFile(other.options.output).entries().size(), 2u);

  // A part of a model: --init, which it fills, with the keys that were given.
  std::vector<NamedFloats> tensors = small_fcos(91);
  std::erase_if(tensors, [](const NamedFloats& t) { return t.name.starts_with("head."); });
  for (NamedFloats& tensor : tensors) {
    if (tensor.name.starts_with("backbone.body.")) tensor.name = tensor.name.substr(14);
  }
  std::erase_if(tensors, [](const NamedFloats& t) { return t.name.starts_with("backbone."); });
  Conversion part(zip_pth(tensors));
  EXPECT_EQ(hint_of(part), fmt::format("tessera convert {} {} --init model.fpn.channels=8 model.norm_groups=2",
                                       part.options.input, part.options.output));
  // A part that is itself cut: --init would be refused as well.
  std::erase_if(tensors, [](const NamedFloats& t) { return t.name.starts_with("layer4.0.conv3"); });
  Conversion cut(zip_pth(tensors));
  EXPECT_EQ(hint_of(cut), fmt::format("tessera convert {} {} --from raw", cut.options.input, cut.options.output));
  cut.options.partial = true;
  EXPECT_NE(cut.complaint().find("missing  backbone.bottom_up.res5.0.conv3.weight"), std::string::npos);
}

TEST(Convert, PartsOfAModelAreForInit) {
  std::vector<NamedFloats> tensors = small_fcos(91);
  std::erase_if(tensors, [](const NamedFloats& t) { return !t.name.starts_with("backbone.body."); });
  for (NamedFloats& tensor : tensors) tensor.name = tensor.name.substr(std::string("backbone.body.").size());
  tensors.push_back({"fc.weight", {2, 2}, {1, 2, 3, 4}});
  EXPECT_NE(Conversion(zip_pth(tensors)).complaint().find("missing  backbone.fpn_lateral3.weight"), std::string::npos);

  Conversion conversion(zip_pth(tensors));
  conversion.options.partial = true;
  conversion.run();
  const SafetensorsFile file(conversion.options.output);
  Config config = read_config(conversion.options.output);
  config.set("model.system", std::string("gridmask_fcos"));
  config.set("model.gridmask.pixel.channels", int64_t{8});
  CpuContext context(1);
  const Model model = make_model(context, config, {}, 1, false);
  check_init_weights(config, file);
  const LoadReport report = load_matching_weights(context, *model.parameters, file);
  EXPECT_EQ(report.loaded.size(), file.entries().size());
  EXPECT_TRUE(report.mismatched.empty());
  EXPECT_TRUE(report.unused.empty());

  config.set("input.order", std::string("bgr"));
  config.set("model.backbone.stride_in", std::string("1x1"));
  try {
    check_init_weights(config, file);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("input.order = rgb, not bgr"), std::string::npos) << error.what();
    EXPECT_NE(error.hint().find("model.backbone.stride_in=3x3"), std::string::npos) << error.hint();
  }
}

TEST(Convert, RawKeepsNamesLayoutsAndDtypes) {
  PickleBuilder pickle;
  pickle.raw("}(")
      .text("module.a")
      .tensor("HalfStorage", "0", 6, 0, {2, 3}, {1, 2})
      .text("b")
      .tensor("LongStorage", "1", 1, 0, {}, {});
  pickle.text("c").tensor("BoolStorage", "2", 3, 1, {2}, {1}).text("epoch").integer(3).raw("u");
  const std::string halves = "a0b1c2d3e4f5";
  Conversion conversion(zip_archive({{"x/data.pkl", pickle.stop()},
                                     {"x/data/0", halves},
                                     {"x/data/1", little(int64_t{-5})},
                                     {"x/data/2", std::string("\1\0\1", 3)}}));
  conversion.options.from = "raw";
  conversion.options.overrides.clear();
  conversion.run();
  const SafetensorsFile file(conversion.options.output);
  ASSERT_EQ(file.entries().size(), 3u);
  const SafetensorsEntry* a = file.find("module.a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, "F16");
  EXPECT_EQ(a->shape, (std::vector<int64_t>{2, 3}));
  std::string bytes(12, '\0');
  file.read(*a, bytes.data());
  EXPECT_EQ(bytes, "a0c2e4b1d3f5");
  int64_t number = 0;
  ASSERT_EQ(file.find("b")->dtype, "I64");
  file.read(*file.find("b"), &number);
  EXPECT_EQ(number, -5);
  EXPECT_EQ(file.find("c")->dtype, "BOOL");
  EXPECT_EQ(file.read_f32(*file.find("c")), (std::vector<float>{0, 1}));
}

TEST(Convert, UsageErrorsComeFirst) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"nobody", {}}, {"raw", kSmall}, {"auto", {"train.batch=4"}}};
  for (const auto& [from, overrides] : cases) {
    Conversion conversion(zip_pth(small_fcos(91)));
    conversion.options.from = from;
    conversion.options.overrides = overrides;
    try {
      run_convert(conversion.common, conversion.options);
      ADD_FAILURE() << from;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(conversion.options.output));
  }
}

}  // namespace
}  // namespace tessera
