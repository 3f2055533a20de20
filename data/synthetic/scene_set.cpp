// Scenes as a COCO data set on disk.
#include <omp.h>

#include <atomic>
#include <exception>
#include <iterator>
#include <mutex>

#include "data/image/encode.h"
#include "data/synthetic/scenes.h"
#include "engine/core/error.h"
#include "engine/io/atomic_file.h"

namespace tessera {
namespace {

// Uncompressed COCO runs: column by column, alternating background and object, beginning with background.
void append_runs(fmt::memory_buffer& out, const Bitmap& mask) {
  bool is_object = false, is_first = true;
  int64_t run = 0;
  const auto flush = [&] {
    fmt::format_to(std::back_inserter(out), "{}{}", is_first ? "" : ",", run);
    is_first = false;
    run = 0;
  };
  for (int x = 0; x < mask.width; ++x)
    for (int y = 0; y < mask.height; ++y) {
      if ((mask.at(y, x) != 0) != is_object) {
        flush();
        is_object = !is_object;
      }
      ++run;
    }
  flush();
}

// The annotations of one scene, without ids of their own: those depend on the scenes before it.
std::vector<std::string> annotation_texts(const Scene& scene, int64_t image_id) {
  std::vector<std::string> texts;
  for (const SceneObject& object : scene.objects) {
    fmt::memory_buffer out;
    fmt::format_to(std::back_inserter(out),
                   R"("image_id":{},"category_id":{},"iscrowd":0,"area":{},"bbox":[{},{},{},{}],)"
                   R"("segmentation":{{"size":[{},{}],"counts":[)",
                   image_id, object.label + 1, object.area, object.box.x1, object.box.y1, object.box.width(),
                   object.box.height(), object.mask.height, object.mask.width);
    append_runs(out, object.mask);
    texts.push_back(fmt::to_string(out) + "]}");
  }
  return texts;
}

}  // namespace

SceneSet write_scene_set(const std::filesystem::path& folder, const std::string& name, int64_t count, uint64_t seed,
                         uint64_t first, const SceneOptions& options, int threads,
                         const std::function<void(int64_t)>& on_written) {
  const SceneSet set{folder / fmt::format("instances_{}.json", name), folder / "images", count, 0};
  std::error_code failure;
  std::filesystem::create_directories(set.images, failure);
  if (failure)
    throw Error(ExitCode::data, fmt::format("{}: cannot be created: {}", set.images.string(), failure.message()),
                "choose another output folder");
  const auto file_name = [&](int64_t i) { return fmt::format("{}_{:05d}.png", name, i); };

  std::vector<std::vector<std::string>> annotations(static_cast<size_t>(count));
  std::exception_ptr error;
  std::mutex error_mutex;
  std::atomic<bool> has_failed = false;
  std::atomic<int64_t> done = 0;
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < count; ++i) {
    if (has_failed) continue;
    try {
      const Scene scene = make_scene(seed, first + uint64_t(i), options);
      write_png(set.images / file_name(i), scene.image);
      annotations[i] = annotation_texts(scene, i + 1);
      const int64_t written_now = ++done;
      if (on_written && omp_get_thread_num() == 0) on_written(written_now);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!has_failed.exchange(true)) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  if (on_written) on_written(count);

  SceneSet written = set;
  fmt::memory_buffer out;
  auto sink = std::back_inserter(out);
  fmt::format_to(sink, R"({{"info":{{"description":"generated scenes, seed {}, from index {}"}},)", seed, first);
  fmt::format_to(sink, R"("categories":[)");
  for (int i = 0; i < scene_class_count; ++i)
    fmt::format_to(sink, R"({}{{"id":{},"name":"{}"}})", i ? "," : "", i + 1, scene_class_names[i]);
  fmt::format_to(sink, R"(],"images":[)");
  for (int64_t i = 0; i < count; ++i)
    fmt::format_to(sink, R"({}{{"id":{},"file_name":"{}","height":{},"width":{}}})", i ? ",\n" : "\n", i + 1,
                   file_name(i), options.size, options.size);
  fmt::format_to(sink, R"(],"annotations":[)");
  for (const auto& texts : annotations)
    for (const std::string& text : texts) {
      fmt::format_to(sink, R"({}{{"id":{},{}}})", written.object_count ? ",\n" : "\n", written.object_count + 1, text);
      ++written.object_count;
    }
  fmt::format_to(sink, "]}}\n");
  write_file_atomic(set.annotations, {out.data(), out.size()});
  return written;
}

}  // namespace tessera
