// Every source's names, written here independently of the tables, must fill our models exactly.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <tuple>

#include "apps/run_config.h"
#include "models/config_keys.h"
#include "models/registry.h"
#include "weights_tools/fit_check.h"

namespace tessera {
namespace {

// Names and shapes alone.
class NamesOnly final : public ForeignFile {
 public:
  explicit NamesOnly(std::vector<ForeignTensor> tensors) : ForeignFile("names.pth", "test") {
    tensors_ = std::move(tensors);
  }
  std::span<const std::byte> storage(const ForeignTensor&) override { return {}; }
};

ForeignTensor tensor_of(std::string name, std::vector<int64_t> shape) {
  ForeignTensor tensor{std::move(name), "F32", std::move(shape), {}, 0, 0};
  tensor.stride.assign(tensor.shape.size(), 1);
  for (size_t axis = tensor.shape.size(); axis-- > 1;)
    tensor.stride[axis - 1] = tensor.stride[axis] * tensor.shape[axis];
  return tensor;
}

std::vector<TargetTensor> targets_of(const std::string& json) {
  ParameterStore store;
  const Config config = Config::from_json(run_config_table(), json, "test");
  const std::unique_ptr<System> system = make_system(model_config_from(config), store);
  std::vector<TargetTensor> targets;
  for (const Parameter& parameter : store.parameters()) {
    const auto extents = parameter.shape.extents();
    targets.push_back({parameter.name, {extents.begin(), extents.end()}});
  }
  return targets;
}

using Renaming = std::vector<std::pair<std::string, std::string>>;  // text (from the start after "^"), replacement

// Our names and shapes the way another program has them: convolutions O, I, H, W.
std::vector<ForeignTensor> foreign(const std::vector<TargetTensor>& targets, const Renaming& renaming) {
  std::vector<ForeignTensor> tensors;
  for (const TargetTensor& target : targets) {
    std::string name = target.name;
    for (const auto& [text, replacement] : renaming) {
      const bool start = text.starts_with("^");
      const std::string literal = text.substr(start ? 1 : 0);
      const size_t at = name.find(literal);
      if (at != std::string::npos && (!start || at == 0)) name.replace(at, literal.size(), replacement);
    }
    if (name.find("dropped") != std::string::npos) continue;
    std::vector<int64_t> shape = target.shape;
    if (shape.size() == 4) shape = {shape[0], shape[3], shape[1], shape[2]};
    tensors.push_back(tensor_of(name, shape));
  }
  return tensors;
}

// "layer4" for "res5" and so on, in torchvision's way.
Renaming torch_backbone(const std::string& prefix) {
  Renaming renaming;
  for (int stage = 2; stage <= 5; ++stage)
    renaming.emplace_back(fmt::format("^backbone.bottom_up.res{}", stage), fmt::format("{}layer{}", prefix, stage - 1));
  const Renaming rest = {{"^backbone.bottom_up.stem.conv1.weight", prefix + "conv1.weight"},
                         {"^backbone.bottom_up.stem.conv1.norm", prefix + "bn1"},
                         {"conv1.norm", "bn1"},
                         {"conv2.norm", "bn2"},
                         {"conv3.norm", "bn3"},
                         {"shortcut.weight", "downsample.0.weight"},
                         {"shortcut.norm", "downsample.1"}};
  renaming.insert(renaming.end(), rest.begin(), rest.end());
  return renaming;
}

Renaming joined(Renaming first, const Renaming& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

struct Case {
  const char* source;
  const char* variant;
  Renaming renaming;
  int first_fpn = 3;
};

std::vector<Case> whole_models() {
  Renaming torchvision = joined(torch_backbone("backbone.body."),
                                {{"backbone.top_block", "backbone.fpn.extra_blocks"},
                                 {"proposal_generator.fcos_head.cls_tower", "head.classification_head.conv"},
                                 {"proposal_generator.fcos_head.bbox_tower", "head.regression_head.conv"},
                                 {"proposal_generator.fcos_head.cls_logits", "head.classification_head.cls_logits"},
                                 {"proposal_generator.fcos_head.bbox_pred", "head.regression_head.bbox_reg"},
                                 {"proposal_generator.fcos_head.ctrness", "head.regression_head.bbox_ctrness"}});
  Renaming old_torchvision = torchvision;
  Renaming mmdet =
      joined(torch_backbone("backbone."), {{"backbone.top_block.p6", "neck.fpn_convs.3.conv"},
                                           {"backbone.top_block.p7", "neck.fpn_convs.4.conv"},
                                           {"proposal_generator.fcos_head.cls_logits", "bbox_head.conv_cls"},
                                           {"proposal_generator.fcos_head.bbox_pred", "bbox_head.conv_reg"},
                                           {"proposal_generator.fcos_head.ctrness", "bbox_head.conv_centerness"},
                                           {"proposal_generator.fcos_head.scales", "bbox_head.scales"}});
  Renaming tianzhi =
      joined({{"^backbone.bottom_up.stem.conv1.weight", "backbone.body.stem.conv1.weight"},
              {"^backbone.bottom_up.stem.conv1.norm", "backbone.body.stem.bn1"}},
             joined(torch_backbone("backbone.body."), {{"backbone.top_block", "backbone.fpn.top_blocks"},
                                                       {"proposal_generator.fcos_head.ctrness", "rpn.head.centerness"},
                                                       {"proposal_generator.fcos_head", "rpn.head"}}));
  for (int i = 0; i < 3; ++i) {
    torchvision.emplace_back(fmt::format("fpn_lateral{}", i + 3), fmt::format("fpn.inner_blocks.{}.0", i));
    torchvision.emplace_back(fmt::format("fpn_output{}", i + 3), fmt::format("fpn.layer_blocks.{}.0", i));
    old_torchvision.emplace_back(fmt::format("fpn_lateral{}", i + 3), fmt::format("fpn.inner_blocks.{}", i));
    old_torchvision.emplace_back(fmt::format("fpn_output{}", i + 3), fmt::format("fpn.layer_blocks.{}", i));
    mmdet.emplace_back(fmt::format("backbone.fpn_lateral{}", i + 3), fmt::format("neck.lateral_convs.{}.conv", i));
    mmdet.emplace_back(fmt::format("backbone.fpn_output{}", i + 3), fmt::format("neck.fpn_convs.{}.conv", i));
    tianzhi.emplace_back(fmt::format("fpn_lateral{}", i + 3), fmt::format("fpn.fpn_inner{}", i + 2));
    tianzhi.emplace_back(fmt::format("fpn_output{}", i + 3), fmt::format("fpn.fpn_layer{}", i + 2));
  }
  for (int i = 0; i < 4; ++i) {
    for (const auto& [ours, theirs] : {std::pair{"cls_tower", "cls_convs"}, std::pair{"bbox_tower", "reg_convs"}}) {
      mmdet.emplace_back(fmt::format("proposal_generator.fcos_head.{}.{}.", ours, 3 * i),
                         fmt::format("bbox_head.{}.{}.conv.", theirs, i));
      mmdet.emplace_back(fmt::format("proposal_generator.fcos_head.{}.{}.", ours, 3 * i + 1),
                         fmt::format("bbox_head.{}.{}.gn.", theirs, i));
    }
  }
  Renaming mmdet1 = mmdet;
  for (const char* name : {"cls", "reg", "centerness"})
    mmdet1.emplace_back(fmt::format("bbox_head.conv_{}", name), fmt::format("bbox_head.fcos_{}", name));
  Renaming data_parallel = tianzhi;
  data_parallel.emplace_back("^", "module.");  // in front
  return {{"torchvision", "torchvision", torchvision},
          {"torchvision", "torchvision", old_torchvision},
          {"adelaidet", "adelaidet", {}},
          {"mmdet", "mmdet", mmdet},
          {"mmdet", "mmdet", mmdet1},
          {"tianzhi", "fcos2019", tianzhi},
          {"tianzhi", "fcos2019", data_parallel}};
}

TEST(NameTables, WholeModelsAreFilledExactly) {
  const NameTables tables;
  for (const char* preset : {"r50", "r101", "x101_32x8d", "x101_64x4d"}) {
    for (const Case& test : whole_models()) {
      SCOPED_TRACE(fmt::format("{} {}", test.source, preset));
      const std::string json =
          fmt::format(R"({{"model.system": "fcos", "model.backbone.preset": "{}", "model.fcos.variant": "{}"}})",
                      preset, test.variant);
      const std::vector<TargetTensor> targets = targets_of(json);
      const NamesOnly file(foreign(targets, test.renaming));
      for (const std::string from : {"auto", test.source}) {
        const MappedModel mapped = map_names(file, tables, from);
        EXPECT_EQ(mapped.model->source, test.source);
        EXPECT_EQ(mapped.tensors.size(), targets.size());
        EXPECT_EQ(mapped.classes, 80);
        EXPECT_TRUE(mapped.coco);
        const Config config = Config::from_json(run_config_table(), mapped.config, "test");
        EXPECT_EQ(config.get_string("model.backbone.preset"), preset);
        EXPECT_NO_THROW(check_fit(file, mapped, targets_of(mapped.config), false));
      }
    }
  }
}

// The names and shapes of SOTR's module tree (spec yolactr.md 9.1), with the blocks of its stages.
std::vector<ForeignTensor> sotr_file(const std::vector<int>& blocks) {
  std::vector<ForeignTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back(tensor_of(name, std::move(shape)));
  };
  const auto conv_norm = [&](const std::string& name, int64_t out, int64_t in, int64_t window) {
    add(name + ".weight", {out, in, window, window});
    for (const char* part : {"weight", "bias", "running_mean", "running_var"}) add(name + ".norm." + part, {out});
  };
  conv_norm("backbone.bottom_up.stem.conv1", 64, 3, 7);
  int64_t in = 64;
  for (int stage = 2; stage <= 5; ++stage) {
    const int64_t middle = int64_t{64} << (stage - 2), out = 4 * middle;
    for (int block = 0; block < blocks[static_cast<size_t>(stage - 2)]; ++block) {
      const std::string name = fmt::format("backbone.bottom_up.res{}.{}.", stage, block);
      if (block == 0) conv_norm(name + "shortcut", out, in, 1);
      conv_norm(name + "conv1", middle, in, 1);
      conv_norm(name + "conv2", middle, middle, 3);
      conv_norm(name + "conv3", out, middle, 1);
      in = out;
    }
    for (const auto& [name, from, window] : {std::tuple{"lateral", out, 1}, std::tuple{"output", int64_t{256}, 3}}) {
      add(fmt::format("backbone.fpn_{}{}.weight", name, stage), {256, from, window, window});
      add(fmt::format("backbone.fpn_{}{}.bias", name, stage), {256});
    }
  }
  for (int layer = 0; layer < 12; ++layer) {
    for (int i = 0; i < 2; ++i) {
      const std::string attention = fmt::format("cate_head.transformer.layers.blocks.{}.{}.fn.", 2 * layer, i);
      add(attention + "g", {});
      add(attention + "fn.to_q.weight", {256, 256});
      add(attention + "fn.to_kv.weight", {512, 256});
      add(attention + "fn.to_out.weight", {256, 256});
      add(attention + "fn.to_out.bias", {256});
      const std::string forward = fmt::format("cate_head.transformer.layers.blocks.{}.{}.", 2 * layer + 1, i);
      add(forward + "g", {});
      for (const char* conv : {"fn.0", "fn.2"}) {
        add(forward + conv + ".weight", {256, 256, 3, 3});
        add(forward + conv + ".bias", {256});
      }
    }
  }
  for (const auto& [name, rows] : {std::pair{"cate", 80}, std::pair{"kernel", 256}}) {
    add(fmt::format("cate_head.{}_pred.weight", name), {rows, 256});
    add(fmt::format("cate_head.{}_pred.bias", name), {rows});
  }
  const auto conv_group_norm = [&](const std::string& name, int64_t out, int64_t from, int64_t window) {
    add(name + ".0.weight", {out, from, window, window});
    add(name + ".1.weight", {out});
    add(name + ".1.bias", {out});
  };
  for (int level = 0; level < 4; ++level) {
    for (int i = 0; i < std::max(level, 1); ++i)
      conv_group_norm(fmt::format("mask_head.convs_all_levels.{}.conv{}", level, i), 128, i == 0 ? 256 : 128, 3);
  }
  conv_group_norm("mask_head.conv_pred", 256, 128, 1);
  return tensors;
}

TEST(NameTables, SotrFillsTheModelOfItsConfig) {
  const NameTables tables;
  for (const auto& [preset, blocks] :
       {std::pair{"r50", std::vector<int>{3, 4, 6, 3}}, std::pair{"r101", std::vector<int>{3, 4, 23, 3}}}) {
    SCOPED_TRACE(preset);
    const std::vector<ForeignTensor> tensors = sotr_file(blocks);
    const NamesOnly file(tensors);
    const MappedModel mapped = map_names(file, tables, "auto");
    EXPECT_TRUE(mapped.model->whole);
    EXPECT_EQ(mapped.classes, 80);
    EXPECT_TRUE(mapped.coco);
    EXPECT_EQ(mapped.tensors.size(), tensors.size());
    EXPECT_EQ(check_fit(file, mapped, targets_of(mapped.config), false), static_cast<int64_t>(tensors.size()));

    // The same network as the config that trains it.
    Config ours(run_config_table());
    ours.merge_file("configs/sotr_r50.json");
    ours.set("model.backbone.preset", std::string(preset));
    const Config theirs = Config::from_json(run_config_table(), mapped.config, "test");
    for (const char* key : {"system", "classes", "anchor_free.layers", "anchor_free.duplicate_width",
                            "anchor_free.position.enabled", "anchor_free.mask_head", "anchor_free.semantic.enabled"})
      EXPECT_EQ(theirs.to_json(fmt::format("model.{}", key)), ours.to_json(fmt::format("model.{}", key)));
    EXPECT_EQ(model_config_from(theirs).backbone.stride_in_1x1, model_config_from(ours).backbone.stride_in_1x1);
    for (const char* key : {"input.order", "input.mean", "input.std", "input.short_side", "input.max_side"})
      EXPECT_EQ(theirs.to_json(key), ours.to_json(key));
  }
}

// Whoever calls a table whole names it here and fills its model above.
TEST(NameTables, WholeModelsAreThoseThatTheseTestsFill) {
  std::set<std::string> filled = {"SOTR of sotr"}, whole;
  for (const Case& test : whole_models())
    filled.insert(fmt::format("{} of {}", test.source == std::string("torchvision") ? "fcos" : "FCOS", test.source));
  const NameTables tables;
  for (const SourceModel& model : tables.models()) {
    if (model.whole) whole.insert(fmt::format("{} of {}", model.model, model.source));
  }
  EXPECT_EQ(whole, filled);
}

std::string complaint_of(const std::function<void()>& call) {
  try {
    call();
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights) << error.what();
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
}

TEST(NameTables, WhatDoesNotFitIsListed) {
  const NameTables tables;
  const std::vector<TargetTensor> targets = targets_of(R"({"model.system": "fcos"})");
  const std::vector<ForeignTensor> good = foreign(targets, {});
  const auto check = [&](std::vector<ForeignTensor> tensors, bool partial = false, const std::string& from = "auto") {
    return complaint_of([&] {
      const NamesOnly file(std::move(tensors));
      const MappedModel mapped = map_names(file, tables, from);
      check_fit(file, mapped, targets, partial);
    });
  };
  EXPECT_EQ(check(good), "");

  std::vector<ForeignTensor> tensors = good;
  std::erase_if(tensors, [](const ForeignTensor& t) { return t.name.find("ctrness.bias") != std::string::npos; });
  EXPECT_NE(check(tensors).find(
                "does not fill the model: 1 missing\n  missing  proposal_generator.fcos_head.ctrness.bias [1]"),
            std::string::npos);
  EXPECT_EQ(check(tensors, true), "");

  tensors = good;
  tensors.push_back(tensor_of("backbone.fpn_lateral2.weight", {256, 256, 1, 1}));
  EXPECT_NE(check(tensors).find("extra    backbone.fpn_lateral2.weight [256, 1, 1, 256]"), std::string::npos);
  EXPECT_NE(check(tensors, true).find("3 missing\n  missing  backbone.fpn_lateral2.bias"), std::string::npos);
  tensors.push_back(tensor_of("backbone.fpn_lateral2.bias", {256}));
  tensors.push_back(tensor_of("backbone.fpn_output2.weight", {256, 256, 3, 3}));
  tensors.push_back(tensor_of("backbone.fpn_output2.bias", {256}));
  EXPECT_EQ(check(tensors, true), "");

  tensors = good;
  tensors.push_back(tensor_of("pixel_mean", {3, 1, 1}));
  tensors.push_back(tensor_of("backbone.bottom_up.stem.conv1.norm.num_batches_tracked", {}));
  EXPECT_EQ(check(tensors), "");
  tensors.push_back(tensor_of("mystery.weight", {1}));
  EXPECT_NE(check(tensors).find("unknown  mystery.weight [1] F32"), std::string::npos);
  EXPECT_NE(check(tensors, true).find("unknown  mystery.weight"), std::string::npos);

  tensors = good;
  for (ForeignTensor& tensor : tensors) {
    if (tensor.name == "backbone.fpn_output3.weight") tensor = tensor_of(tensor.name, {256, 256, 1, 1});
  }
  EXPECT_NE(check(tensors).find(
                "differs  backbone.fpn_output3.weight: the model has [256, 3, 3, 256], the file [256, 1, 1, 256]"),
            std::string::npos);
  EXPECT_NE(check(tensors, true).find("differs"), std::string::npos);

  tensors = good;
  for (ForeignTensor& tensor : tensors) tensor.dtype = "I64";
  EXPECT_NE(check(tensors).find("I64"), std::string::npos);
  EXPECT_NE(check(tensors).find("... and "), std::string::npos);  // a long table is cut

  // All kinds in one table.
  tensors = good;
  std::erase_if(tensors, [](const ForeignTensor& t) { return t.name.find("ctrness.bias") != std::string::npos; });
  for (ForeignTensor& tensor : tensors) {
    if (tensor.name == "backbone.fpn_output3.bias") tensor = tensor_of(tensor.name, {7});
  }
  tensors.push_back(tensor_of("backbone.fpn_lateral2.weight", {256, 256, 1, 1}));
  tensors.push_back(tensor_of("mystery.weight", {1}));
  EXPECT_NE(check(tensors).find("1 missing, 1 differs, 1 extra, 1 unknown\n"
                                "  missing  proposal_generator.fcos_head.ctrness.bias [1]\n"
                                "  differs  backbone.fpn_output3.bias: the model has [256], the file [7]"),
            std::string::npos);
  EXPECT_NE(check(tensors).find("\n  extra    backbone.fpn_lateral2.weight [256, 1, 1, 256]\n"
                                "  unknown  mystery.weight [1] F32"),
            std::string::npos);

  tensors = good;
  tensors.push_back(tensor_of("backbone.bottom_up.res3.0.conv2_offset.weight", {18, 128, 3, 3}));
  EXPECT_NE(check(tensors).find("deformable"), std::string::npos);

  EXPECT_NE(check(good, false, "mmdet").find("it looks like FCOS of adelaidet"), std::string::npos);
  EXPECT_NE(check({tensor_of("a", {1})}).find("no known model"), std::string::npos);
  EXPECT_NE(check({tensor_of("a", {1})}, false, "sotr").find("no known model of sotr"), std::string::npos);
}

// --init drops the demand for the other parts of a model, not for the rest of a backbone or a pyramid of which some is
// there.
TEST(NameTables, PartsAreThereAsAWhole) {
  const NameTables tables;
  std::vector<TargetTensor> backbone;
  for (const TargetTensor& target : targets_of(R"({"model.system": "fcos"})")) {
    if (target.name.starts_with("backbone.bottom_up.")) backbone.push_back(target);
  }
  std::vector<ForeignTensor> resnet = foreign(backbone, torch_backbone(""));
  const auto check = [&](const std::vector<ForeignTensor>& whole, const std::string& beginning) {
    std::vector<ForeignTensor> tensors = whole;
    const size_t gone =
        std::erase_if(tensors, [&](const ForeignTensor& tensor) { return tensor.name.starts_with(beginning); });
    EXPECT_GT(gone, 0u);
    return complaint_of([&] {
      const NamesOnly file(tensors);
      const MappedModel mapped = map_names(file, tables, "auto");
      check_fit(file, mapped, targets_of(mapped.config), true);
    });
  };
  resnet.push_back(tensor_of("fc.weight", {1000, 2048}));
  EXPECT_EQ(check(resnet, "fc"), "");
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"layer4.2.conv3.weight", "1 missing\n  missing  backbone.bottom_up.res5.2.conv3.weight [2048, 1, 1, 512]"},
      {"layer4.", "missing  backbone.bottom_up.res5.0.shortcut.weight"},
      {"layer3.", "missing  backbone.bottom_up.res4.0.shortcut.weight [1024, 1, 1, 512]"},
      {"layer2.1.", "missing  backbone.bottom_up.res3.1.conv1.weight"},
      {"layer1.0.conv2.weight", "1 missing"},
      {"layer3.0.conv3.weight", "1 missing"},
      {"layer3.0.downsample", "missing  backbone.bottom_up.res4.0.shortcut.weight"},
      {"bn1.bias", "missing  backbone.bottom_up.stem.conv1.norm.bias [64]"}};
  for (const auto& [beginning, reason] : cases) {
    const std::string text = check(resnet, beginning);
    EXPECT_NE(text.find(reason), std::string::npos) << beginning << ": " << text;
  }

  // The last block of a stage is missed by nobody: the summary says what the network is.
  const auto described = [&](const std::string& beginning) {
    std::vector<ForeignTensor> tensors = resnet;
    std::erase_if(tensors, [&](const ForeignTensor& tensor) { return tensor.name.starts_with(beginning); });
    const NamesOnly file(tensors);
    return map_names(file, tables, "auto").backbone;
  };
  EXPECT_EQ(described("fc"), "r50");
  EXPECT_EQ(described("layer4.2."), "of 3 + 4 + 6 + 2 blocks (not those of ResNet-50, 101 or 152: is the file whole?)");

  std::vector<ForeignTensor> solo = foreign(backbone, torch_backbone("backbone."));
  solo.push_back(tensor_of("bbox_head.solo_cate.weight", {80, 512, 3, 3}));
  for (int i = 0; i < 4; ++i) {
    for (const auto& [name, in, window] : {std::tuple{"lateral_convs", 256 << i, 1}, std::tuple{"fpn_convs", 256, 3}}) {
      solo.push_back(tensor_of(fmt::format("neck.{}.{}.conv.weight", name, i), {256, in, window, window}));
      solo.push_back(tensor_of(fmt::format("neck.{}.{}.conv.bias", name, i), {256}));
    }
  }
  solo.push_back(tensor_of("bbox_head.solo_kernel.weight", {256, 512, 3, 3}));
  EXPECT_EQ(check(solo, "bbox_head.solo_kernel"), "");
  EXPECT_NE(check(solo, "neck.fpn_convs.0.conv.bias").find("1 missing\n  missing  backbone.fpn_output2.bias"),
            std::string::npos);
  EXPECT_NE(check(solo, "neck.fpn_convs.3.").find("2 missing\n  missing  backbone.fpn_output5.weight [256, 3, 3, 256]"),
            std::string::npos);
  EXPECT_NE(check(solo, "backbone.layer2.3.bn2.running_var").find("1 missing"), std::string::npos);
}

// Backbones: r50 of every source that has one, into the part of the model they cover.
TEST(NameTables, BackbonesKeepTheirNamesAndSayHowTheyStride) {
  const NameTables tables;
  for (const char* preset : {"r50", "r101", "x101_32x8d", "x101_64x4d"}) {
    std::vector<TargetTensor> targets;
    for (const TargetTensor& target :
         targets_of(fmt::format(R"({{"model.system": "fcos", "model.backbone.preset": "{}"}})", preset))) {
      if (target.name.starts_with("backbone.bottom_up.")) targets.push_back(target);
    }
    Renaming caffe2 = {{"^backbone.bottom_up.stem.conv1.weight", "conv1_w"},
                       {"^backbone.bottom_up.stem.conv1.norm", "res_conv1_bn"}};
    for (int stage = 2; stage <= 5; ++stage) {
      for (int block = 22; block >= 0; --block) {
        for (const auto& [ours, theirs] : {std::pair{"conv1", "branch2a"}, std::pair{"conv2", "branch2b"},
                                           std::pair{"conv3", "branch2c"}, std::pair{"shortcut", "branch1"}}) {
          const std::string name = fmt::format("^backbone.bottom_up.res{}.{}.{}.", stage, block, ours);
          caffe2.emplace_back(name + "weight", fmt::format("res{}_{}_{}_w", stage, block, theirs));
          caffe2.emplace_back(name + "norm", fmt::format("res{}_{}_{}_bn", stage, block, theirs));
        }
      }
    }
    const Renaming statistics = {{"running", "dropped"}, {"bn.weight", "bn_s"}, {"bn.bias", "bn_b"}};
    caffe2.insert(caffe2.end(), statistics.begin(), statistics.end());
    Renaming yolact = {{"^backbone.bottom_up.stem.conv1.weight", "backbone.conv1.weight"},
                       {"^backbone.bottom_up.stem.conv1.norm", "backbone.bn1"},
                       {"conv1.norm", "bn1"},
                       {"conv2.norm", "bn2"},
                       {"conv3.norm", "bn3"},
                       {"shortcut.weight", "downsample.0.weight"},
                       {"shortcut.norm", "downsample.1"}};
    for (int stage = 2; stage <= 5; ++stage)
      yolact.emplace_back(fmt::format("^backbone.bottom_up.res{}", stage),
                          fmt::format("backbone.layers.{}", stage - 2));
    struct Backbone {
      const char *source, *stride_in;
      Renaming renaming;
      std::vector<ForeignTensor> more;
    };
    const std::vector<Backbone> cases = {
        {"torchvision",
         "3x3",
         torch_backbone(""),
         {tensor_of("fc.weight", {1000, 2048}), tensor_of("fc.bias", {1000}),
          tensor_of("bn1.num_batches_tracked", {})}},
        {"detectron2", "preset", {{"^backbone.bottom_up.", ""}}, {tensor_of("stem.fc.weight", {1000, 2048})}},
        {"detectron2",
         "preset",
         caffe2,
         {tensor_of("fc1000_w", {1000, 2048}), tensor_of("conv1_w_momentum", {64, 3, 7, 7})}},
        {"sotr",
         "preset",
         {},
         {tensor_of("cate_head.cate_pred.weight", {80, 256}), tensor_of("cate_head.kernel_pred.weight", {256, 256})}},
        {"solo",
         "3x3",
         torch_backbone("backbone."),
         {tensor_of("neck.lateral_convs.0.conv.weight", {256, 256, 1, 1}),
          tensor_of("bbox_head.solo_cate.weight", {80, 512, 3, 3})}},
        {"yolact",
         "3x3",
         yolact,
         {tensor_of("proto_net.0.weight", {256, 256, 3, 3}), tensor_of("backbone.layer1.0.conv1.weight", {1})}},
        {"detectron2",
         "preset",
         {},
         {tensor_of("proposal_generator.rpn_head.conv.weight", {256, 256, 3, 3}),
          tensor_of("backbone.fpn_lateral2.weight", {256, 256, 1, 1})}}};
    for (const Backbone& test : cases) {
      SCOPED_TRACE(fmt::format("{} {}", test.source, preset));
      std::vector<ForeignTensor> tensors = foreign(targets, test.renaming);
      tensors.insert(tensors.end(), test.more.begin(), test.more.end());
      const NamesOnly file(tensors);
      const MappedModel mapped = map_names(file, tables, "auto");
      EXPECT_EQ(mapped.model->source, test.source);
      const Config config = Config::from_json(run_config_table(), mapped.config, "test");
      EXPECT_EQ(config.get_string("model.backbone.preset"), preset);
      EXPECT_EQ(config.get_string("model.backbone.stride_in"), test.stride_in);
      MappedModel backbone = mapped;
      std::erase_if(backbone.tensors,
                    [](const MappedTensor& tensor) { return !tensor.name.starts_with("backbone.bottom_up."); });
      EXPECT_NO_THROW(check_fit(file, backbone, targets, false));
    }
  }
}

TEST(NameTables, TransformerAndPyramidNumbering) {
  const NameTables tables;
  const std::vector<std::pair<std::string, std::string>> sotr = {
      {"cate_head.cate_pred.weight", "prediction.class_logits.weight"},
      {"cate_head.kernel_pred.weight", "prediction.kernel.weight"},
      {"cate_head.transformer.layers.blocks.6.0.fn.g", "prediction.transformer.3.gate.column"},
      {"cate_head.transformer.layers.blocks.6.1.fn.fn.to_kv.weight", "prediction.transformer.3.row.key_value.weight"},
      {"cate_head.transformer.layers.blocks.6.0.fn.fn.to_out.bias", "prediction.transformer.3.column.output.bias"},
      {"cate_head.transformer.layers.blocks.7.1.g", "prediction.transformer.3.gate.feed_forward1"},
      {"cate_head.transformer.layers.blocks.7.0.fn.2.weight", "prediction.transformer.3.feed_forward.0.conv2.weight"},
      {"mask_head.convs_all_levels.3.conv2.0.weight", "mask.levels.3.2.weight"},
      {"mask_head.conv_pred.1.bias", "mask.output.norm.bias"}};
  const std::vector<std::pair<std::string, std::string>> yolact = {
      {"backbone.layers.0.0.conv1.weight", "backbone.bottom_up.res2.0.conv1.weight"},
      {"proto_net.0.weight", "mask.prototypes.0.weight"},
      {"fpn.lat_layers.0.weight", "backbone.fpn_lateral5.weight"},
      {"fpn.pred_layers.2.bias", "backbone.fpn_output3.bias"},
      {"fpn.downsample_layers.1.weight", "backbone.top_block.p7.weight"}};
  for (const auto& names : {sotr, yolact}) {
    std::vector<ForeignTensor> tensors;
    for (const auto& [theirs, ours] : names) tensors.push_back(tensor_of(theirs, {2}));
    const NamesOnly file(tensors);
    const MappedModel mapped = map_names(file, tables, "auto");
    ASSERT_EQ(mapped.tensors.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(mapped.tensors[i].name, names[i].second);
  }
}

TEST(NamePattern, NumbersTextsAndArithmetic) {
  EXPECT_EQ(NamePattern("a{n}.{*}", "b{n+1}.{*}").apply("a9.x.y"), "b10.x.y");
  EXPECT_EQ(NamePattern("a{n}", "{5-n}").apply("a2"), "3");
  EXPECT_EQ(NamePattern("a{n}", "{3*n+1}").apply("a2"), "7");
  EXPECT_EQ(NamePattern("a{n}", "{n/2}").apply("a7"), "3");
  EXPECT_EQ(NamePattern("a{n}{m}", "{n}-{m}").apply("a123"), "12-3");
  EXPECT_EQ(NamePattern("{*}.bias", "{*}").apply("a.b.bias"), "a.b");
  EXPECT_EQ(NamePattern("a{n}", "b").apply("a"), std::nullopt);
  EXPECT_EQ(NamePattern("a{n}", "b").apply("ax"), std::nullopt);
  EXPECT_EQ(NamePattern("a", "b").apply("ab"), std::nullopt);
  EXPECT_TRUE(NamePattern("{*}anchor_generator.{*}").matches("x.anchor_generator.0"));
}

}  // namespace
}  // namespace tessera
