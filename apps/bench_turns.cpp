// `tessera bench turns`: one run for every line on standard input, so that a benchmark can give several programs their
// turns while all of them stay loaded (benchmarks/cpu_vs_pytorch.py).
#include <sys/resource.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/model_file.h"
#include "apps/timing.h"
#include "apps/training_step.h"
#include "apps/verbs.h"
#include "engine/core/error.h"
#include "engine/io/safetensors.h"

namespace tessera {

namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void bad_input(const SafetensorsFile& file, const std::string& reason) {
  throw Error(ExitCode::data, fmt::format("{}: {}", file.path().string(), reason),
              "\"input\" [N, 3, H, W]; to train also \"objects\" [n, 6] (picture, label, x1, y1, x2, y2) and \"masks\" "
              "[n, H, W]");
}

const SafetensorsEntry& entry_of(const SafetensorsFile& file, const std::string& name, size_t rank) {
  const SafetensorsEntry* entry = file.find(name);
  if (entry == nullptr) bad_input(file, fmt::format("no tensor \"{}\"", name));
  if (entry->shape.size() != rank || entry->elements() == 0)
    bad_input(file, fmt::format("\"{}\" is [{}]", name, fmt::join(entry->shape, ", ")));
  return *entry;
}

Batch read_pictures(const SafetensorsFile& file, int divisor) {
  const SafetensorsEntry& entry = entry_of(file, "input", 4);
  const int64_t count = entry.shape[0], height = entry.shape[2], width = entry.shape[3], plane = height * width;
  if (entry.shape[1] != 3 || height % divisor != 0 || width % divisor != 0)
    bad_input(file,
              fmt::format("\"input\" is [{}], not padded to multiples of {}", fmt::join(entry.shape, ", "), divisor));
  const std::vector<float> planes = file.read_f32(entry);
  Batch batch;
  batch.count = static_cast<int>(count);
  batch.height = static_cast<int>(height);
  batch.width = static_cast<int>(width);
  batch.images.resize(planes.size());
  for (int64_t i = 0; i < count * 3; ++i) {
    for (int64_t pixel = 0; pixel < plane; ++pixel)
      batch.images[static_cast<size_t>((i / 3 * plane + pixel) * 3 + i % 3)] =
          planes[static_cast<size_t>(i * plane + pixel)];
  }
  batch.targets.assign(static_cast<size_t>(count), {0, batch.height, batch.width, {}});
  batch.geometry.assign(static_cast<size_t>(count), {batch.height, batch.width, batch.height, batch.width});
  return batch;
}

void read_objects(const SafetensorsFile& file, int classes, Batch& batch) {
  const SafetensorsEntry& entry = entry_of(file, "objects", 2);
  const SafetensorsEntry& masks = entry_of(file, "masks", 3);
  const std::vector<float> rows = file.read_f32(entry), pixels = file.read_f32(masks);
  const auto plane = static_cast<int64_t>(batch.height) * batch.width;
  if (entry.shape[1] != 6 || masks.shape[0] != entry.shape[0] || masks.shape[1] != batch.height ||
      masks.shape[2] != batch.width) {
    bad_input(file, "\"objects\", \"masks\" and \"input\" do not belong together");
  }
  for (int64_t i = 0; i < entry.shape[0]; ++i) {
    const float* row = rows.data() + 6 * i;
    if (!(row[0] >= 0 && row[0] < static_cast<float>(batch.count) && row[1] >= 0 &&
          row[1] < static_cast<float>(classes)))
      bad_input(file, fmt::format("object {}: picture {}, label {}", i, row[0], row[1]));
    Bitmap mask{batch.height, batch.width, {pixels.begin() + i * plane, pixels.begin() + (i + 1) * plane}};
    batch.targets[static_cast<size_t>(row[0])].objects.push_back(
        {{row[2], row[3], row[4], row[5]}, static_cast<int>(row[1]), std::move(mask)});
  }
}

void say(const Json& answer) {
  std::cout << answer.dump() << std::endl;  // flushed: the other side waits for it
}

// `run` once untimed, then once for each line.
void take_turns(const std::function<Json()>& run) {
  Json first = run();
  first["ready"] = true;
  say(first);
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    say({{"seconds", seconds}, {"memory", int64_t{1024} * usage.ru_maxrss}});
  }
}

}  // namespace

int run_bench_turns(const CommonOptions& common, const TurnsOptions& options) {
  const std::unique_ptr<Context> context = common.context();
  const Model model = load_model(*context, options.weights, options.train);
  const SafetensorsFile file(options.input);
  Batch batch = read_pictures(file, model.system->size_divisor());
  if (!options.train) {
    const Tensor images = Tensor::from_host<float>(*context, {batch.count, batch.height, batch.width, 3}, batch.images);
    take_turns([&] {
      Tape tape(*context, Tape::Mode::forward);
      model.system->forward(tape, images);
      synchronize(*context);
      return Json::object();
    });
    return 0;
  }
  read_objects(file, model.system->classes(), batch);
  TrainingStep step(*context, model, model.config);
  int64_t iteration = 0;
  take_turns([&] {
    Json losses = Json::array();
    for (const auto& [name, value] : step.run(batch, iteration++).losses) losses.push_back(value);
    return Json{{"losses", losses}};
  });
  return 0;
}

}  // namespace tessera
