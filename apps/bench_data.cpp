#include "apps/bench_data.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

#include "data/annotations/polygon.h"
#include "data/evaluation/coco_eval.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace tessera {

namespace {

constexpr int kWidth = 640, kHeight = 480, kClasses = 80;

// A closed outline around a centre, coordinates in hundredths inside the picture.
std::vector<double> outline(Rng& rng, double x, double y, double radius, int points) {
  std::vector<double> polygon;
  for (int i = 0; i < points; ++i) {
    const double angle = 2 * std::numbers::pi * i / points, reach = radius * rng.uniform(0.75f, 1.0f);
    const auto hundredths = [](double value, double most) {
      return std::round(100 * std::clamp(value, 0.0, most)) / 100;
    };
    polygon.push_back(hundredths(x + reach * std::cos(angle), kWidth));
    polygon.push_back(hundredths(y + reach * std::sin(angle), kHeight));
  }
  return polygon;
}

std::string annotation_json(int64_t id, int64_t image, int category, const std::vector<double>& polygon) {
  std::string text = fmt::format("{{\"segmentation\": [[{:.2f}", polygon[0]);
  for (size_t i = 1; i < polygon.size(); ++i) fmt::format_to(std::back_inserter(text), ", {:.2f}", polygon[i]);
  const BoxXywh box = polygon_box(polygon);
  fmt::format_to(std::back_inserter(text),
                 "]], \"area\": {:.4f}, \"iscrowd\": 0, \"image_id\": {}, \"bbox\": [{:.2f}, {:.2f}, {:.2f}, {:.2f}], "
                 "\"category_id\": {}, \"id\": {}}}",
                 polygon_area(polygon), image, box.x, box.y, box.w, box.h, category, id);
  return text;
}

// Buffered text, checked when it is closed.
class TextFile {
 public:
  explicit TextFile(const std::filesystem::path& file) : path_(file), stream_(std::fopen(file.c_str(), "wb")) {
    if (stream_ == nullptr) throw Error(ExitCode::usage, file.string() + ": cannot be written", "another folder");
  }
  ~TextFile() {
    if (stream_ != nullptr) std::fclose(stream_);
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  void write(const std::string& text) {
    whole_ = whole_ && std::fwrite(text.data(), 1, text.size(), stream_) == text.size();
  }
  void close() {
    whole_ = std::fclose(stream_) == 0 && whole_;
    stream_ = nullptr;
    if (!whole_)
      throw Error(ExitCode::usage, path_.string() + ": the disk refused part of it", "a folder with 600 MB free");
  }

 private:
  std::filesystem::path path_;
  std::FILE* stream_;
  bool whole_ = true;
};

void write_images_and_categories(TextFile& out, int64_t images) {
  out.write("{\"images\": [");
  for (int64_t i = 0; i < images; ++i) {
    out.write(fmt::format("{}{{\"id\": {}, \"file_name\": \"{:012}.jpg\", \"height\": {}, \"width\": {}}}",
                          i ? ", " : "", i + 1, i + 1, kHeight, kWidth));
  }
  out.write("], \"categories\": [");
  for (int c = 1; c <= kClasses; ++c)
    out.write(fmt::format("{}{{\"id\": {}, \"name\": \"class {}\"}}", c > 1 ? ", " : "", c, c));
  out.write("], \"annotations\": [");
}

}  // namespace

void write_annotation_file(const std::filesystem::path& file, const AnnotationFileSize& size) {
  TextFile out(file);
  write_images_and_categories(out, size.images);
  Rng rng(1, RandomPurpose::test);
  for (int64_t id = 1; id <= size.annotations; ++id) {
    const double radius = 4 + 150 * std::pow(rng.uniform(), 3);
    const int points = 3 + static_cast<int>(rng.below(static_cast<uint32_t>(2 * size.polygon_points - 5)));
    const std::vector<double> polygon = outline(rng, rng.uniform(0, kWidth), rng.uniform(0, kHeight), radius, points);
    out.write((id > 1 ? ", " : "") +
              annotation_json(id, 1 + id % size.images, 1 + static_cast<int>(rng.below(kClasses)), polygon));
  }
  out.write("]}\n");
  out.close();
}

EvaluationBench bench_evaluation(int images, int per_image, int threads) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() /
      fmt::format("tessera-bench-{}.json", std::chrono::steady_clock::now().time_since_epoch().count());
  constexpr int kObjects = 7;  // per picture, as in COCO
  CocoResults results;
  {
    TextFile out(file);
    write_images_and_categories(out, images);
    int64_t id = 0;
    for (int image = 1; image <= images; ++image) {
      Rng rng(1, RandomPurpose::test, 0, static_cast<uint64_t>(image));
      struct Object {
        double x, y, radius;
        int category;
      };
      std::vector<Object> objects;
      for (int i = 0; i < kObjects; ++i) {
        const Object object{rng.uniform(0, kWidth), rng.uniform(0, kHeight), 10 + 120 * std::pow(rng.uniform(), 2),
                            1 + static_cast<int>(rng.below(kClasses))};
        objects.push_back(object);
        out.write((id > 0 ? ", " : "") +
                  annotation_json(id + 1, image, object.category, outline(rng, object.x, object.y, object.radius, 24)));
        ++id;
      }
      for (int i = 0; i < per_image; ++i) {
        const Object& object = objects[static_cast<size_t>(i % kObjects)];
        const double shift = 0.15 * object.radius * (i / kObjects);
        const Rle mask = rle_from_polygon(
            outline(rng, object.x + shift * rng.normal(), object.y + shift * rng.normal(), object.radius, 24), kHeight,
            kWidth);
        results.add(image, rng.uniform() < 0.8f ? object.category : 1 + static_cast<int>(rng.below(kClasses)),
                    rng.uniform(), std::nullopt, &mask);
      }
    }
    out.write("]}\n");
    out.close();
  }
  const CocoDataset truth = read_coco(file);
  std::filesystem::remove(file);
  EvaluationBench bench{images, static_cast<int64_t>(images) * kObjects, static_cast<int64_t>(results.size()), 0, 0};
  const auto begin = std::chrono::steady_clock::now();
  const CocoEvaluation evaluation = evaluate_coco(truth, results, {.overlap = OverlapKind::segm, .threads = threads});
  bench.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  bench.ap = evaluation.metric("AP").value_or(0);
  return bench;
}

}  // namespace tessera
