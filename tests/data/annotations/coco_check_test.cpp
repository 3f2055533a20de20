// Every malformed annotation file of the shared data, and what must be said about it (data.md, section D).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "data/annotations/coco_json.h"
#include "engine/core/error.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

struct Expected {
  const char* rules;      // of all findings, in order
  const char* text = "";  // part of the error message; empty = the file can be read
};

const std::map<std::string, Expected>& expectations() {
  static const std::map<std::string, Expected> table = {
      {"ann_id_zero", {"annotation-id-zero"}},
      {"ann_no_area", {"annotation-without-area"}},
      {"ann_no_bbox", {"annotation-without-bbox"}},
      {"ann_no_category_id", {"annotation-without-category-id", "annotation 1 has no \"category_id\""}},
      {"ann_no_id", {"annotation-without-id", "annotation at index 0 has no \"id\""}},
      {"ann_no_image_id", {"annotation-without-image-id", "annotation 1 has no \"image_id\""}},
      {"ann_no_iscrowd", {""}},
      {"ann_no_segmentation", {"annotation-without-segmentation", "annotation 1 has no \"segmentation\""}},
      {"area_negative", {"negative-area"}},
      {"bbox_3_values", {"bbox-values", "annotation 1 has a bbox of 3 values"}},
      {"bbox_empty", {"annotation-without-bbox"}},
      {"bbox_nan", {"unreadable", "NaN and Infinity are not JSON"}},
      {"bbox_negative_wh", {"empty-bbox"}},
      {"bbox_outside", {"bbox-outside"}},
      {"bbox_zero", {"empty-bbox"}},
      {"bom", {""}},
      {"crowd_rle", {""}},
      {"deep_nesting", {"root-type unreadable", "nested deeper than 64 levels"}},
      {"dup_ann_id", {"duplicate-annotation-id", "annotation 1 has an id used more than once"}},
      {"dup_category", {"duplicate-category-id", "category 1 is listed twice"}},
      {"dup_image_id", {"duplicate-image-id unknown-image", "image 1 is listed twice"}},
      {"dup_keys", {"duplicate-key", "has the key \"annotations\" twice"}},
      {"empty_file", {"unreadable", "file is empty"}},
      {"file_name_absolute", {"file-name-outside", "image 1 has file_name \"/etc/passwd\""}},
      {"file_name_traversal", {"file-name-outside", "leads out of the image folder"}},
      {"id_2e53", {""}},
      {"id_2e64_1e400", {"wrong-type unreadable", "number overflow"}},
      {"id_string", {"wrong-type", "annotation at index 0 has \"id\" \"one\""}},
      {"image_id_string", {"wrong-type", "annotation 1 has \"image_id\" \"1\""}},
      {"img_no_filename", {"image-without-file-name", "image 1 has no \"file_name\""}},
      {"img_no_height", {"image-without-size", "image 1 has no \"height\""}},
      {"iscrowd_2", {"iscrowd-value", "annotation 1 has an \"iscrowd\""}},
      {"iscrowd_bool", {""}},
      {"latin1", {"unreadable", "UTF-8"}},
      {"no_annotations", {"missing-annotations", "has no \"annotations\""}},
      {"no_categories", {"missing-categories", "has no \"categories\""}},
      {"no_images", {"missing-images", "has no \"images\""}},
      {"no_info", {""}},
      {"ok", {""}},
      {"rle_empty_counts", {"rle-counts", "annotation 1 has a bad mask: RLE counts sum to 0, expected 8000"}},
      {"rle_negative", {"rle-counts", "annotation 1 has an RLE with a run of -5"}},
      {"rle_no_size", {"rle-size", "annotation 1 has an RLE without a \"size\""}},
      {"rle_size_2e31", {"rle-size", "annotation 1 has an RLE of size [2147483648, 2147483648]"}},
      {"rle_size_mismatch", {"rle-size", "annotation 1 has an RLE of size [100, 80] in image 1"}},
      {"rle_string_cut", {"rle-counts", "ends inside a number"}},
      {"rle_string_garbage", {"rle-counts", "outside '0'..'o'"}},
      {"rle_sum_long", {"rle-counts", "sum to 100009, expected 8000"}},
      {"rle_sum_short", {"rle-counts", "sum to 60, expected 8000"}},
      {"root_is_list", {"root-type", "top level is a list"}},
      {"seg_4_numbers", {"short-polygon no-mask"}},
      {"seg_collinear", {"zero-area-polygon"}},
      {"seg_empty_list", {"no-mask"}},
      {"seg_empty_poly", {"short-polygon no-mask"}},
      {"seg_huge_coords", {"coordinate-range", "annotation 1 has a polygon coordinate of 1e+09"}},
      {"seg_inf", {"unreadable", "NaN and Infinity are not JSON"}},
      {"seg_nested_points", {"segmentation-type", "annotation 1 has a polygon of nested points"}},
      {"seg_null", {"no-mask"}},
      {"seg_odd", {"odd-polygon no-mask"}},
      {"seg_outside", {"polygon-outside"}},
      {"seg_strings", {"segmentation-type", "annotation 1 has a polygon with values that are not numbers"}},
      {"trailing_comma", {"unreadable", "line 1, column 52, byte 51"}},
      {"truncated", {"unreadable", "it is cut short"}},
      {"unknown_category",
       {"unknown-category", "annotation 1 uses category_id 77, which \"categories\" does not list"}},
      {"unknown_image", {"unknown-image"}},
      {"utf16", {"unreadable", "UTF-16"}},
      {"wh_wrong", {"polygon-outside bbox-outside"}},
      {"wh_zero", {"image-size", "image 1 has width 0 and height 0"}},
      {"zero_annotations", {"no-annotations"}},
  };
  return table;
}

TEST(CocoCheck, EveryBadFileGetsItsFinding) {
  TESSERA_REQUIRE_SHARED_DATA();
  const auto folder = testing_support::shared_data() / "bad" / "json";
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    SCOPED_TRACE(name);
    ASSERT_TRUE(expectations().contains(name));
    const Expected& expected = expectations().at(name);
    ++files;
    std::string rules;
    for (const Finding& finding : check_dataset(entry.path())) {
      rules += (rules.empty() ? "" : " ") + finding.rule;
      EXPECT_EQ(finding.message.find('\n'), std::string::npos);
    }
    EXPECT_EQ(rules, expected.rules);
    try {
      read_coco(entry.path());
      EXPECT_STREQ(expected.text, "");
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_STRNE(expected.text, "") << message;
      EXPECT_NE(message.find(expected.text), std::string::npos) << message;
      EXPECT_EQ(message.rfind(entry.path().string() + ": ", 0), 0u) << message;
      EXPECT_TRUE(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; })) << message;
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_FALSE(error.hint().empty());
    }
  }
  EXPECT_EQ(files, expectations().size());
}

}  // namespace
}  // namespace tessera
