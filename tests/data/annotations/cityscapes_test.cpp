#include "data/annotations/cityscapes.h"

#include <gtest/gtest.h>

#include <fstream>

#include "data/annotations/coco_json.h"
#include "data/pipeline/training_set.h"
#include "engine/core/error.h"
#include "tests/data/cityscapes_miniature.h"
#include "tests/engine/io/temporary_folder.h"

namespace tessera {
namespace {

using namespace testing_support;

TEST(Cityscapes, ValuesOfInstanceMaps) {
  EXPECT_FALSE(cityscapes_label(0));
  EXPECT_FALSE(cityscapes_label(23));
  EXPECT_FALSE(cityscapes_label(29001));  // caravan
  EXPECT_FALSE(cityscapes_label(30));     // trailers, as a region
  EXPECT_FALSE(cityscapes_label(7000));   // not a class with instances
  EXPECT_FALSE(cityscapes_label(65535));
  EXPECT_EQ(cityscapes_label(26012)->class_id, 26);
  EXPECT_FALSE(cityscapes_label(26012)->is_group);
  EXPECT_EQ(cityscapes_label(33)->class_id, 33);
  EXPECT_TRUE(cityscapes_label(33)->is_group);
}

TEST(Cityscapes, ObjectsAreTheSetsOfEqualValues) {
  const Gray16 map =
      label_map(20, 30, {{0, 0, 10, 5, 24000}, {5, 3, 20, 10, 26001}, {28, 18, 2, 2, 24000}, {0, 15, 4, 4, 25}});
  const std::vector<CityscapesObject> objects = cityscapes_objects(map);
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0].value, 25);
  EXPECT_EQ(objects[1].value, 24000);
  EXPECT_EQ(objects[2].value, 26001);
  for (const CityscapesObject& object : objects) {
    rle_validate(object.mask);
    const Bitmap mask = rle_decode(object.mask);
    for (int y = 0; y < 20; ++y) {
      for (int x = 0; x < 30; ++x) EXPECT_EQ(mask.at(y, x), map.at(y, x) == object.value);
    }
  }
}

TEST(Cityscapes, InstanceFileOfAPicture) {
  EXPECT_EQ(cityscapes_instance_file("ulm/ulm_000001_000019_leftImg8bit.png"),
            "ulm/ulm_000001_000019_gtFine_instanceIds.png");
  EXPECT_THROW(cityscapes_instance_file("ulm/picture.png"), Error);
}

TEST(Cityscapes, ConvertsAMiniature) {
  const TemporaryFolder folder;
  const std::filesystem::path root = folder.path() / "cityscapes";
  // Written in another order than that of their paths.
  write_frame(root, "train", "ulm", "000000_000019", label_map(40, 60, {{1, 2, 20, 10, 26000}, {30, 5, 9, 9, 29001}}));
  write_frame(root, "train", "aachen", "000001_000019",
              label_map(40, 60, {{0, 0, 10, 10, 24000}, {0, 20, 30, 10, 24}, {40, 20, 12, 12, 33002}}));
  write_frame(root, "train", "aachen", "000000_000019", label_map(40, 60, {{5, 5, 10, 10, 26}}));
  const CityscapesConversion conversion = convert_cityscapes(root, "train", folder.path() / "coco");
  EXPECT_EQ(conversion.images, 3);
  EXPECT_EQ(conversion.objects, 3);
  EXPECT_EQ(conversion.groups, 2);
  EXPECT_EQ(conversion.empty_images, 1);
  EXPECT_EQ(conversion.other_instances, 1);
  EXPECT_TRUE(conversion.skipped.empty());
  EXPECT_EQ(conversion.annotations.filename(), "instancesonly_filtered_gtFine_train.json");

  const CocoDataset dataset = read_coco(conversion.annotations);
  EXPECT_TRUE(dataset.findings().empty());
  ASSERT_EQ(dataset.images().size(), 3u);
  EXPECT_EQ(dataset.images()[0].file_name, "aachen/aachen_000000_000019_leftImg8bit.png");
  EXPECT_EQ(dataset.images()[2].file_name, "ulm/ulm_000000_000019_leftImg8bit.png");
  ASSERT_EQ(dataset.categories().size(), 8u);
  EXPECT_EQ(dataset.categories()[2].id, 26);
  EXPECT_EQ(dataset.categories()[2].name, "car");
  const CocoAnnotation& car = dataset.annotations()[dataset.annotations_of(2)[0]];
  EXPECT_EQ(car.area, 200);
  EXPECT_EQ(car.box, (BoxXywh{1, 2, 20, 10}));
  EXPECT_FALSE(car.crowd);
  EXPECT_TRUE(dataset.annotations()[dataset.annotations_of(0)[0]].crowd);

  // The files go straight into training: the picture with a group alone has nothing to learn.
  const TrainingSet set(dataset, root / "leftImg8bit" / "train", {});
  EXPECT_EQ(set.size(), 2);
  EXPECT_EQ(set.trainable_objects(), 3);
  EXPECT_EQ(set.sample({1, 0, 0}).targets.objects.at(0).label, 2);
}

TEST(Cityscapes, BadFilesAreLeftOutAndNamed) {
  const TemporaryFolder folder;
  const std::filesystem::path root = folder.path();
  const Gray16 map = label_map(40, 60, {{1, 2, 20, 10, 26000}});
  for (const char* frame : {"000000_000019", "000001_000019", "000002_000019", "000003_000019", "000004_000019"}) {
    write_frame(root, "val", "bonn", frame, map);
  }
  const auto truth = [&](int frame) {
    return root / "gtFine/val/bonn" / fmt::format("bonn_00000{}_000019_gtFine_instanceIds.png", frame);
  };
  std::filesystem::remove(truth(0));
  write_png(truth(1), Image(40, 60));  // 8 bits
  std::filesystem::resize_file(truth(2), std::filesystem::file_size(truth(2)) - 20);
  write_file_atomic(truth(3), encode_gray16_png(label_map(20, 60, {})));
  const CityscapesConversion conversion = convert_cityscapes(root, "val", root / "coco");
  EXPECT_EQ(conversion.images, 1);
  ASSERT_EQ(conversion.skipped.size(), 4u);
  EXPECT_NE(conversion.skipped[0].find("No such file"), std::string::npos);
  EXPECT_NE(conversion.skipped[1].find("a PNG of 8 bits"), std::string::npos);
  EXPECT_NE(conversion.skipped[2].find("truncated"), std::string::npos);
  EXPECT_NE(conversion.skipped[3].find("60 x 40 pixels, its instance map 60 x 20"), std::string::npos);
  EXPECT_THROW(convert_cityscapes(root, "train", root / "coco"), Error);
  std::filesystem::remove(truth(4));
  EXPECT_THROW(convert_cityscapes(root, "val", root / "coco"), Error);
}

}  // namespace
}  // namespace tessera
