#include "data/annotations/coco_results.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace tessera {
namespace {

class CocoResultsFile : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }
  std::string error_of(const std::string& text) {
    std::ofstream(file_, std::ios::binary) << text;
    try {
      read_results(file_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      return error.what();
    }
    return "";
  }

  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / fmt::format("tessera_{}_results.json", ::getpid());
};

TEST_F(CocoResultsFile, WhatIsWrittenIsReadBack) {
  CocoResults results;
  for (uint64_t i = 0; i < 50; ++i) {
    Rng rng(1, RandomPurpose::shuffle, 0, i);
    Bitmap mask{31, 17, {}};
    for (int p = 0; p < 31 * 17; ++p) mask.pixels.push_back(rng.bits() % 3 == 0);
    const Rle rle = rle_encode(mask);
    const BoxXywh box{0.1 * static_cast<double>(i), 1. / 3, 7, 8};
    results.add(static_cast<int64_t>(i) - 3, 5, 1. / static_cast<double>(i + 1),
                i % 3 == 0 ? std::nullopt : std::optional(box), i % 3 == 1 ? nullptr : &rle);
  }
  write_results(file_, results);
  EXPECT_FALSE(std::filesystem::exists(file_.string() + ".tmp"));
  const CocoResults read = read_results(file_);
  ASSERT_EQ(read.size(), results.size());
  for (size_t i = 0; i < read.size(); ++i) {
    const CocoResult &a = results.entries()[i], &b = read.entries()[i];
    EXPECT_EQ(a.image_id, b.image_id);
    EXPECT_EQ(a.score, b.score);
    EXPECT_EQ(a.has_box, b.has_box);
    EXPECT_EQ(a.box, b.box);
    ASSERT_EQ(a.has_mask(), b.has_mask());
    if (a.has_mask()) {
      EXPECT_EQ(results.mask(a), read.mask(b));
    }
  }
  // A foreign reader agrees on the escapes.
  const auto json = nlohmann::json::parse(std::ifstream(file_));
  EXPECT_EQ(json[2].at("segmentation").at("counts").get<std::string>(), results.mask_text(results.entries()[2]));
}

TEST_F(CocoResultsFile, AnEmptyListIsAnEmptyList) {
  write_results(file_, {});
  EXPECT_EQ(read_results(file_).size(), 0u);
}

TEST_F(CocoResultsFile, AFailedWriteLeavesNothing) {
  const auto target = std::filesystem::temp_directory_path() / "tessera_no_such_folder" / "results.json";
  EXPECT_THROW(write_results(target, {}), Error);
  EXPECT_FALSE(std::filesystem::exists(target));
}

TEST_F(CocoResultsFile, UncompressedCountsAreTaken) {
  EXPECT_EQ(error_of(R"([{"image_id":1,"category_id":1,"score":1,"segmentation":{"size":[2,3],"counts":[1,2,3]}}])"),
            "");
  const CocoResults results = read_results(file_);
  EXPECT_EQ(results.mask(results.entries()[0]).counts, (std::vector<uint32_t>{1, 2, 3}));
}

TEST_F(CocoResultsFile, ErrorsNameTheIndex) {
  const std::string good = R"({"image_id":1,"category_id":1,"score":0.5,"bbox":[1,2,3,4],"id":[{"x":1}]})";
  const auto with = [&](const std::string& entry) { return error_of("[" + good + "," + entry + "]"); };
  EXPECT_EQ(error_of("[" + good + "]"), "");
  const std::pair<const char*, const char*> cases[] = {
      {R"({"category_id":1,"score":1,"bbox":[1,2,3,4]})", "result 1 of the list has no \"image_id\""},
      {R"({"image_id":1,"score":1,"bbox":[1,2,3,4]})", "result 1 of the list has no \"category_id\""},
      {R"({"image_id":1,"category_id":1,"bbox":[1,2,3,4]})", "result 1 of the list has no \"score\""},
      {R"({"image_id":1,"category_id":1,"score":1})", "neither \"bbox\" nor \"segmentation\""},
      {R"({"image_id":1,"category_id":1,"score":1,"bbox":[1,2,3]})", "a bbox of 3 values"},
      {R"({"image_id":"1","category_id":1,"score":1,"bbox":[1,2,3,4]})", "a string in \"image_id\""},
      {R"({"image_id":1.5,"category_id":1,"score":1,"bbox":[1,2,3,4]})", "expected an integer"},
      {R"({"image_id":1,"category_id":1,"score":NaN,"bbox":[1,2,3,4]})", "NaN and Infinity are not JSON"},
      {R"({"image_id":1,"category_id":1,"score":null,"bbox":[1,2,3,4]})", "null in \"score\""},
      {R"({"image_id":1,"category_id":1,"score":1,"segmentation":{"counts":"0"}})", "without a \"size\""},
      {R"({"image_id":1,"category_id":1,"score":1,"segmentation":{"size":[2,2]}})", "without \"counts\""},
      {R"({"image_id":1,"category_id":1,"score":1,"segmentation":{"size":[2,2],"counts":"0~"}})", "bad mask"},
      {R"({"image_id":1,"category_id":1,"score":1,"segmentation":{"size":[2,2],"counts":[5]}})",
       "sum to 5, expected 4"},
      {R"({"image_id":1,"category_id":1,"score":1,"segmentation":{"size":[2,2],"counts":[-1,5]}})", "a run of -1"},
      {R"({"image_id":1,"category_id":1,"score":1,"segmentation":[[1,2,3,4,5,6]]})", "polygons"},
      {R"({"image_id":{},"category_id":1,"score":1,"bbox":[1,2,3,4]})", "\"image_id\" of the wrong type"},
      {"[1]", "is not an object"},
      {"7", "is not an object"},
  };
  for (const auto& [entry, expected] : cases) {
    const std::string message = with(entry);
    EXPECT_NE(message.find(expected), std::string::npos) << entry << " -> " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  for (const char* text : {"{}", "7", "\"x\"", "null"}) {
    EXPECT_NE(error_of(text).find("is not a list of results"), std::string::npos) << text;
  }
  for (size_t length = 0; length <= good.size(); ++length)
    EXPECT_NE(error_of("[" + good.substr(0, length)), "") << length;
}

}  // namespace
}  // namespace tessera
