// `tessera data convert cityscapes` and `eval --cityscapes` as a user runs them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/annotations/cityscapes.h"
#include "data/annotations/coco_results.h"
#include "tests/apps/run_program.h"
#include "tests/data/cityscapes_miniature.h"

namespace tessera {
namespace {

using namespace testing_support;
using nlohmann::json;

TEST(DataConvert, CityscapesFromFoldersToMetrics) {
  TESSERA_REQUIRE_PROGRAM();
  const TemporaryFolder folder;
  const std::string root = folder.path() / "cityscapes", out = folder.path() / "coco";
  const Gray16 map = label_map(60, 80, {{4, 4, 40, 30, 26000}, {50, 30, 20, 20, 24001}});
  write_frame(root, "train", "ulm", "000000_000019", map);
  write_frame(root, "val", "bonn", "000000_000019", map);
  const ProgramResult converted = run_program({"data", "convert", "cityscapes", root, "-o", out, "--json"});
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  const json splits = json::parse(converted.out);
  ASSERT_EQ(splits.size(), 2u);
  EXPECT_EQ(splits[1]["split"], "val");
  EXPECT_EQ(splits[1]["objects"], 2);
  const std::string annotations = splits[1]["annotations"];
  EXPECT_EQ(run_program({"data", "check", annotations, "--images", root + "/leftImg8bit/val"}).exit_code, 0);

  CocoResults results;
  for (const CityscapesObject& object : cityscapes_objects(map))
    results.add(1, object.label.class_id, 0.9, std::nullopt, &object.mask);
  write_results(folder.path() / "results.json", results);
  const ProgramResult evaluated = run_program({"eval", "--data", annotations, "--results",
                                               folder.path() / "results.json", "--cityscapes", root + "/gtFine/val"});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
  EXPECT_NE(evaluated.out.find("Cityscapes protocol, 1 pictures, 2 predictions"), std::string::npos) << evaluated.out;

  std::filesystem::resize_file(root + "/gtFine/val/bonn/bonn_000000_000019_gtFine_instanceIds.png", 60);
  write_frame(root, "val", "bonn", "000001_000019", map);
  const ProgramResult damaged = run_program({"data", "convert", "cityscapes", root, "-o", out, "--split", "val"});
  EXPECT_EQ(damaged.exit_code, 3);
  EXPECT_NE(damaged.err.find("left out: "), std::string::npos);
  EXPECT_EQ(run_program({"data", "convert", "cityscapes", out, "-o", out}).exit_code, 3);
}

}  // namespace
}  // namespace tessera
