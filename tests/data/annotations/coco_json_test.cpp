#include "data/annotations/coco_json.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace tessera {
namespace {

const char* const kSmall = R"({"annotations": [
 {"id": 7, "image_id": 20, "category_id": 9, "segmentation": [[1, 1, 3.25, 1, 3.25, 4], [4, 4, 6, 4, 6, 6.123456789, 4, 6]],
  "area": 5.5, "bbox": [1, 1, 5, 5], "iscrowd": 0},
 {"id": 8, "image_id": 10, "category_id": 3, "segmentation": {"size": [4, 5], "counts": [3, 2, 15]}, "area": 2, "bbox": [0, 3, 2, 2], "iscrowd": 1},
 {"id": 5, "image_id": 20, "category_id": 3, "segmentation": {"size": [8, 9], "counts": "0X2"}, "area": 72, "bbox": [0, 0, 9, 8]}],
 "images": [{"id": 20, "file_name": "b/c.png", "width": 9, "height": 8}, {"id": 10, "file_name": "a.png", "width": 5, "height": 4}],
 "categories": [{"id": 9, "name": "nine"}, {"id": 3, "name": "three"}], "info": {"x": [[1], {"y": null}]}})";

class CocoJson : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }
  const std::filesystem::path& write(const std::string& text) {
    std::ofstream(file_, std::ios::binary) << text;
    return file_;
  }
  std::string rules(const std::string& text, const CocoReadOptions& options = {}) {
    std::string all;
    for (const Finding& finding : check_dataset(write(text), options)) all += (all.empty() ? "" : " ") + finding.rule;
    return all;
  }

  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / fmt::format("tessera_{}_coco.json", ::getpid());
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST_F(CocoJson, ReadsListsInAnyOrderAndSortsById) {
  const CocoDataset dataset = read_coco(write(kSmall));
  EXPECT_TRUE(dataset.findings().empty());
  ASSERT_EQ(dataset.images().size(), 2u);
  EXPECT_EQ(dataset.images()[0].id, 10);
  EXPECT_EQ(dataset.images()[1].file_name, "b/c.png");
  EXPECT_EQ(dataset.categories()[1].name, "nine");
  EXPECT_EQ(dataset.image_index(20), 1);
  EXPECT_EQ(dataset.image_index(15), -1);
  EXPECT_EQ(dataset.category_index(3), 0);
  ASSERT_EQ(dataset.annotations().size(), 3u);
  const CocoAnnotation& first = dataset.annotations()[0];
  EXPECT_EQ(first.id, 7);
  EXPECT_EQ(first.image, 1);
  EXPECT_EQ(first.category, 1);
  EXPECT_EQ(first.area, 5.5);
  EXPECT_EQ(first.box, (BoxXywh{1, 1, 5, 5}));
  EXPECT_TRUE(first.trainable);
  EXPECT_EQ(dataset.polygons(first),
            (std::vector<std::vector<double>>{{1, 1, 3.25, 1, 3.25, 4}, {4, 4, 6, 4, 6, 6.123456789, 4, 6}}));
  EXPECT_TRUE(dataset.annotations()[1].crowd);
  EXPECT_FALSE(dataset.annotations()[1].trainable);
  EXPECT_EQ(dataset.mask(dataset.annotations()[1]).counts, (std::vector<uint32_t>{3, 2, 15}));
  EXPECT_EQ(rle_area(dataset.mask(dataset.annotations()[2])), 72u);
  const auto of_second = dataset.annotations_of(1);
  EXPECT_EQ(std::vector<uint32_t>(of_second.begin(), of_second.end()), (std::vector<uint32_t>{0, 2}));
}

TEST_F(CocoJson, EveryTruncationIsACleanError) {
  const std::string text = kSmall;
  for (size_t length = 0; length < text.size(); ++length) {
    try {
      read_coco(write(text.substr(0, length)));
      ADD_FAILURE() << length;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

TEST_F(CocoJson, EveryDamagedByteIsReadOrRefused) {
  const std::string text = kSmall;
  const std::string bytes = "\"}-9\\\xff";
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = bytes[i % bytes.size()];
    EXPECT_NO_THROW(check_dataset(write(damaged))) << i;
  }
}

TEST_F(CocoJson, FindingsCountAndNameIds) {
  std::string text =
      R"({"images": [{"id": 1, "file_name": "a", "width": 9, "height": 9}], "categories": [], "annotations": [)";
  for (int id = 1; id <= 7; ++id) {
    text += fmt::format(
        "{}{{\"id\": {}, \"image_id\": 1, \"category_id\": 4, \"segmentation\": [], \"area\": 1, \"bbox\": [1,1,1,1]}}",
        id == 1 ? "" : ",", id);
  }
  const auto findings = check_dataset(write(text + "]}"));
  const auto unknown =
      std::find_if(findings.begin(), findings.end(), [](const Finding& f) { return f.rule == "unknown-category"; });
  ASSERT_NE(unknown, findings.end());
  EXPECT_EQ(unknown->count, 7);
  EXPECT_EQ(unknown->ids, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(unknown->message,
            "annotation 1 uses category_id 4, which \"categories\" does not list (7 cases: 1, 2, 3, 4, 5, ...)");
  const auto json = nlohmann::json::parse(findings_to_json(findings));
  EXPECT_EQ(json.at(0).at("severity"), "warning");
  EXPECT_EQ(json.size(), findings.size());
  EXPECT_THROW(read_coco(file_), Error);
}

TEST_F(CocoJson, MissingFieldsAreComputedFromTheMask) {
  const CocoDataset dataset =
      read_coco(write(replaced(replaced(kSmall, "\"area\": 72, ", ""), "\"bbox\": [0, 0, 9, 8]", "\"bbox\": []")));
  EXPECT_EQ(dataset.annotations()[2].area, 72);
  EXPECT_EQ(dataset.annotations()[2].box, (BoxXywh{0, 0, 9, 8}));
  EXPECT_EQ(dataset.findings().size(), 2u);
}

TEST_F(CocoJson, OptionsRelaxRules) {
  const std::string no_name = replaced(kSmall, "\"file_name\": \"a.png\", ", "");
  EXPECT_EQ(rules(no_name), "image-without-file-name");
  EXPECT_EQ(rules(no_name, {.need_file_names = false}), "");
  const std::string outside = replaced(kSmall, "a.png", "../a.png");
  EXPECT_EQ(rules(outside), "file-name-outside");
  EXPECT_EQ(rules(outside, {.allow_outside = true}), "");
  const std::string no_mask = replaced(kSmall, "\"segmentation\": {\"size\": [8, 9], \"counts\": \"0X2\"}, ", "");
  EXPECT_EQ(rules(no_mask), "annotation-without-segmentation");
  EXPECT_EQ(rules(no_mask, {.need_masks = false}), "no-mask");
}

TEST_F(CocoJson, WrongTypesAreNamed) {
  EXPECT_EQ(rules(replaced(kSmall, "\"id\": 7", "\"id\": 7.5")), "wrong-type");
  EXPECT_EQ(rules(replaced(kSmall, "\"id\": 7", "\"id\": 7.0")), "");
  EXPECT_EQ(rules(replaced(kSmall, "\"id\": 7", "\"id\": [7]")), "wrong-type");
  EXPECT_EQ(rules(replaced(kSmall, "\"id\": 7", "\"id\": 7, \"id\": 7")), "duplicate-key");
  EXPECT_EQ(rules(replaced(kSmall, "\"area\": 5.5", "\"area\": \"5\"")), "wrong-type");
  EXPECT_EQ(rules(replaced(kSmall, "[1, 1, 5, 5]", "[1, 1, 5, null]")), "bbox-values");
  EXPECT_EQ(rules(replaced(kSmall, "\"width\": 9", "\"width\": \"9\"")), "wrong-type");
  EXPECT_EQ(rules(replaced(kSmall, "\"0X2\"", "12")), "segmentation-type");
  EXPECT_EQ(rules(replaced(kSmall, "[3, 2, 15]", "[3, 2.5, 14.5]")), "segmentation-type");
  EXPECT_EQ(rules(replaced(kSmall, "\"nine\"", "9")), "wrong-type unknown-category");
  EXPECT_EQ(rules("{\"images\": 1, \"categories\": [1], \"annotations\": {}}"),
            "wrong-type no-images no-categories no-annotations");
}

}  // namespace
}  // namespace tessera
