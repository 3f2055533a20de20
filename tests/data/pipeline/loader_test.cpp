#include "data/pipeline/loader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "data/image/encode.h"
#include "data/synthetic/scenes.h"
#include "engine/core/error.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

// A folder of its own that disappears with the test.
class LoaderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() /
        fmt::format("tessera_loader_{}_{}", getpid(), testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "images");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  CocoDataset scenes(int count, int size = 48) {
    SceneOptions options;
    options.size = size;
    return read_coco(write_scene_set(folder_, "train", count, 3, 0, options).annotations);
  }
  CocoDataset written(const std::string& json) {
    std::ofstream(folder_ / "instances.json") << json;
    return read_coco(folder_ / "instances.json");
  }
  std::filesystem::path images() const { return folder_ / "images"; }

  std::filesystem::path folder_;
};

TrainingSetOptions busy_options() {
  TrainingSetOptions options;
  options.seed = 17;
  options.preprocessing.short_side = 64;
  options.preprocessing.max_side = 100;
  options.augmentation = {.min_short_side = 40,
                          .max_short_side = 72,
                          .vertical_flip = 0.5f,
                          .transpose = 0.5f,
                          .crop = 0.5f,
                          .brightness = 20,
                          .contrast = 0.2f,
                          .channel_gain = 0.1f};
  return options;
}

LoaderOptions loader_options(int threads, uint64_t first = 0, int batch_size = 3) {
  LoaderOptions options;
  options.batch_size = batch_size;
  options.threads = threads;
  options.first_iteration = first;
  return options;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.iteration, b.iteration);
  EXPECT_EQ(a.height, b.height);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.images, b.images);
  ASSERT_EQ(a.targets.size(), b.targets.size());
  for (size_t i = 0; i < a.targets.size(); ++i) {
    EXPECT_EQ(a.targets[i].image_id, b.targets[i].image_id);
    ASSERT_EQ(a.targets[i].objects.size(), b.targets[i].objects.size());
    for (size_t k = 0; k < a.targets[i].objects.size(); ++k) {
      const ObjectTarget &x = a.targets[i].objects[k], &y = b.targets[i].objects[k];
      EXPECT_EQ(x.label, y.label);
      EXPECT_EQ(x.mask.pixels, y.mask.pixels);
      EXPECT_TRUE(x.box.x1 == y.box.x1 && x.box.y1 == y.box.y1 && x.box.x2 == y.box.x2 && x.box.y2 == y.box.y2);
    }
  }
}

TEST_F(LoaderTest, SameBitsForAnyThreadsCacheAndStart) {
  const CocoDataset dataset = scenes(10);
  TrainingSetOptions uncached = busy_options();
  uncached.cache_bytes = 0;
  const TrainingSet set(dataset, images(), busy_options()), bare(dataset, images(), uncached);
  std::vector<Batch> straight;
  Loader reference(set, loader_options(0));
  EXPECT_EQ(reference.batches_per_epoch(), 3u);
  for (int i = 0; i < 8; ++i) straight.push_back(reference.next());
  EXPECT_NE(straight[0].images, straight[3].images);
  for (const int threads : {0, 1, 3})
    for (const uint64_t first : {uint64_t(0), uint64_t(2), uint64_t(5)}) {
      Loader loader(threads == 1 ? bare : set, loader_options(threads, first));
      for (uint64_t i = first; i < 8; ++i) expect_equal(loader.next(), straight[i]);
    }
}

TEST_F(LoaderTest, TargetsFitTheirPictures) {
  const CocoDataset dataset = scenes(12);
  const TrainingSet set(dataset, images(), busy_options());
  EXPECT_EQ(set.size(), 12);
  Loader loader(set, loader_options(0, 0, 4));
  int objects = 0;
  for (int i = 0; i < 6; ++i) {
    const Batch batch = loader.next();
    EXPECT_EQ(batch.height % 32, 0);
    EXPECT_EQ(batch.images.size(), size_t(batch.count) * batch.height * batch.width * 3);
    for (int n = 0; n < batch.count; ++n) {
      const ImageTargets& targets = batch.targets[n];
      EXPECT_EQ(batch.geometry[n].original_height, 48);
      EXPECT_EQ(batch.geometry[n].resized_height, targets.height);
      EXPECT_LE(std::max(targets.height, targets.width), 100);
      int wrong = 0;
      for (int y = 0; y < batch.height; ++y)
        for (int x = 0; x < batch.width; ++x) {
          const float value = batch.images[((size_t(n) * batch.height + y) * batch.width + x) * 3];
          wrong += (y >= targets.height || x >= targets.width) && value != 0;
        }
      EXPECT_EQ(wrong, 0) << "padding is zero";
      for (const ObjectTarget& object : targets.objects) {
        ++objects;
        EXPECT_EQ(object.mask.height, targets.height);
        EXPECT_EQ(object.mask.width, targets.width);
        const Box tight = tight_box(object.mask);
        // The mask is sampled at pixel centres, the box is exact: they differ by less than one pixel of the original.
        EXPECT_NEAR(tight.x1, object.box.x1, 1.51);
        EXPECT_NEAR(tight.y2, object.box.y2, 1.51);
        EXPECT_LT(object.label, scene_class_count);
      }
    }
  }
  EXPECT_GT(objects, 50);
}

TEST_F(LoaderTest, PolygonsCrowdsAndUnusableObjects) {
  write_png(images() / "a.png", Image(20, 30, {1, 2, 3}));
  write_png(images() / "b.png", Image(20, 30));
  const CocoDataset dataset = written(R"({"images":[{"id":5,"file_name":"a.png","height":20,"width":30},
    {"id":9,"file_name":"b.png","height":20,"width":30}],"categories":[{"id":4,"name":"x"},{"id":2,"name":"y"}],
    "annotations":[
    {"id":1,"image_id":5,"category_id":4,"iscrowd":0,"area":200,"bbox":[5,4,20,10],
     "segmentation":[[5,4,25,4,25,14,5,14]]},
    {"id":2,"image_id":5,"category_id":2,"iscrowd":1,"area":600,"bbox":[0,0,30,20],
     "segmentation":{"size":[20,30],"counts":[0,600]}},
    {"id":3,"image_id":5,"category_id":2,"iscrowd":0,"area":0,"bbox":[1,1,0,0],"segmentation":[]},
    {"id":4,"image_id":5,"category_id":2,"iscrowd":0,"area":0.01,"bbox":[1.1,1.1,0.1,0.1],
     "segmentation":[[1.1,1.1,1.2,1.1,1.2,1.2,1.1,1.2]]}]})");
  TrainingSetOptions options;
  options.preprocessing.short_side = 40;
  options.augmentation.horizontal_flip = 0;
  const TrainingSet set(dataset, images(), options);
  EXPECT_EQ(set.size(), 1);
  EXPECT_EQ(set.empty_pictures(), 1);
  EXPECT_EQ(set.left_out_objects(), 2);
  const TrainingSample sample = set.sample({0, 0, 0});
  ASSERT_EQ(sample.targets.objects.size(), 1u);
  EXPECT_EQ(sample.dropped_objects, 1);
  EXPECT_EQ(sample.targets.image_id, 5);
  const ObjectTarget& object = sample.targets.objects[0];
  EXPECT_EQ(object.label, 1) << "labels follow the ids in ascending order";
  EXPECT_FLOAT_EQ(object.box.x1, 10);
  EXPECT_FLOAT_EQ(object.box.y2, 28);
  EXPECT_EQ(std::count(object.mask.pixels.begin(), object.mask.pixels.end(), 1), 40 * 20);

  options.keeps_empty = true;
  const TrainingSet all(dataset, images(), options);
  EXPECT_EQ(all.size(), 2);
  EXPECT_TRUE(all.sample({1, 0, 0}).targets.objects.empty());
  Loader loader(all, loader_options(1, 0, 5));  // larger than the set
  EXPECT_EQ(loader.next().count, 5);
}

TEST_F(LoaderTest, NothingToTrainOn) {
  const CocoDataset empty = written(R"({"images":[],"categories":[{"id":1,"name":"x"}],"annotations":[]})");
  EXPECT_THROW(TrainingSet(empty, images(), {}), Error);
  const CocoDataset unlabelled = written(
      R"({"images":[{"id":1,"file_name":"a.png","height":8,"width":8}],"categories":[{"id":1,"name":"x"}],"annotations":[]})");
  EXPECT_THROW(TrainingSet(unlabelled, images(), {}), Error);
}

TEST_F(LoaderTest, UnreadablePicturesAreReplacedNamedOnceAndLimited) {
  const CocoDataset dataset = scenes(20);
  std::ofstream(images() / "train_00004.png") << "not a picture";
  std::filesystem::remove(images() / "train_00011.png");
  const TrainingSet set(dataset, images(), busy_options());
  std::vector<std::vector<std::string>> warnings;
  std::vector<Batch> first;
  for (const int threads : {0, 1, 3}) {
    warnings.emplace_back();
    LoaderOptions options = loader_options(threads);
    options.corrupt_quota = 0.1;
    options.on_warning = [&](const std::string& text) { warnings.back().push_back(text); };
    Loader loader(set, options);
    for (int i = 0; i < 14; ++i) {
      Batch batch = loader.next();
      if (threads == 0)
        first.push_back(std::move(batch));
      else
        expect_equal(batch, first[i]);
    }
    EXPECT_EQ(loader.corrupt_pictures(), 2);
  }
  ASSERT_EQ(warnings[0].size(), 2u);
  EXPECT_EQ(warnings[0], warnings[1]);
  EXPECT_EQ(warnings[0], warnings[2]);
  EXPECT_NE(warnings[0][0].find("train_000"), std::string::npos);

  LoaderOptions strict = loader_options(2);
  strict.corrupt_quota = 0.05;  // one of twenty
  Loader loader(set, strict);
  try {
    for (int i = 0; i < 14; ++i) loader.next();
    FAIL() << "the quota was not enforced";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_NE(std::string(error.what()).find("2 of 20"), std::string::npos) << error.what();
  }
}

TEST_F(LoaderTest, MissingFilesAreListed) {
  const CocoDataset dataset = scenes(4);
  EXPECT_TRUE(missing_images(dataset, images()).empty());
  std::filesystem::remove(images() / "train_00002.png");
  EXPECT_EQ(missing_images(dataset, images()), std::vector<std::string>{"train_00002.png"});
}

TEST_F(LoaderTest, RemarksOnFilesComeWithTheBatch) {
  const CocoDataset dataset = scenes(4);
  const std::string file = images() / "train_00002.png";
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-13, std::ios::end);  // the checksum of the pixels, before the twelve bytes of the end mark
  const auto last = static_cast<char>(stream.get() ^ 1);
  stream.seekp(-13, std::ios::end);
  stream.put(last);
  stream.close();
  for (const int threads : {0, 2}) {
    const TrainingSet set(dataset, images(), busy_options());
    LoaderOptions options = loader_options(threads);
    std::set<std::string> remarks;
    options.on_remark = [&](const std::string& text) { remarks.insert(text); };
    Loader loader(set, options);
    for (int i = 0; i < 4; ++i) loader.next();
    ASSERT_EQ(remarks.size(), 1u);
    EXPECT_TRUE(remarks.begin()->starts_with(file + ": damaged: ")) << *remarks.begin();
  }
}

TEST_F(LoaderTest, AllUnreadableFailsInEveryThread) {
  const CocoDataset dataset = scenes(3);
  std::filesystem::remove_all(images());
  const TrainingSet set(dataset, images(), busy_options());
  for (const int threads : {0, 2}) {
    Loader loader(set, loader_options(threads));
    EXPECT_THROW(loader.next(), Error);
    EXPECT_THROW(loader.next(), Error) << "and again";
  }
}

TEST_F(LoaderTest, SizeMustBeThatOfTheAnnotations) {
  const CocoDataset dataset = scenes(2);
  write_png(images() / "train_00000.png", Image(47, 48));
  EXPECT_THROW(load_dataset_image(dataset, 0, images()), Error);
  EXPECT_EQ(load_dataset_image(dataset, 1, images()).image.height, 48);
}

TEST_F(LoaderTest, StopsWhileThreadsAreBusy) {
  const CocoDataset dataset = scenes(8);
  const TrainingSet set(dataset, images(), busy_options());
  for (int i = 0; i < 5; ++i) {
    Loader loader(set, loader_options(4));
    if (i % 2) loader.next();
  }
}

TEST_F(LoaderTest, RealPicturesWithPolygons) {
  TESSERA_REQUIRE_SHARED_DATA();
  const auto folder = testing_support::shared_data() / "coco128_free";
  const CocoDataset dataset = read_coco(folder / "instances.json");
  TrainingSetOptions options;
  options.preprocessing.short_side = 128;
  options.preprocessing.max_side = 224;
  const TrainingSet set(dataset, folder / "images", options);
  Loader loader(set, loader_options(2, 0, 4));
  size_t objects = 0;
  for (uint64_t i = 0; i < loader.batches_per_epoch(); ++i)
    for (const ImageTargets& targets : loader.next().targets) objects += targets.objects.size();
  EXPECT_GT(objects, 150u);
  EXPECT_EQ(loader.corrupt_pictures(), 0);
}

}  // namespace
}  // namespace tessera
