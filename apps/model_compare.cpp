// `tessera model compare`: our activations beside those that PyTorch wrote down (docs/weights.md).
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/model_file.h"
#include "apps/weights_verbs.h"
#include "engine/core/error.h"
#include "engine/io/safetensors.h"
#include "weights_tools/activation_names.h"

namespace tessera {

namespace {

constexpr int64_t kCocoIds = 91;

struct ActivationDifference {
  std::string name;
  double largest = 0, mean = 0;  // |ours - theirs|
  double scale = 0;              // greatest |theirs|
  std::string problem;           // instead of figures: the shapes differ

  bool within(double tolerance) const { return problem.empty() && largest <= tolerance * scale; }
};

[[noreturn]] void bad_dump(const std::string& file, const std::string& reason) {
  throw Error(ExitCode::data, fmt::format("{}: {}", file, reason), "docs/weights.md shows how to make a dump");
}

// [N, C, H, W] of a dump as [N, H, W, C].
std::vector<float> channels_last(const std::vector<float>& values, const std::vector<int64_t>& shape) {
  std::vector<float> result(values.size());
  const int64_t channels = shape[1], plane = shape[2] * shape[3];
  for (int64_t image = 0; image < shape[0]; ++image) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      for (int64_t pixel = 0; pixel < plane; ++pixel) {
        result[static_cast<size_t>((image * plane + pixel) * channels + channel)] =
            values[static_cast<size_t>((image * channels + channel) * plane + pixel)];
      }
    }
  }
  return result;
}

// [.., 91] -> [.., 80]: the channels of COCO's categories.
std::vector<float> of_categories(const std::vector<float>& values, const NameTables& tables) {
  std::vector<float> result;
  for (size_t first = 0; first < values.size(); first += kCocoIds) {
    for (const CocoClass& category : tables.coco()) result.push_back(values[first + static_cast<size_t>(category.id)]);
  }
  return result;
}

class Comparison {
 public:
  Comparison(Context& context, const std::string& file, const std::string& from) : context_(context), dump_(file) {
    std::vector<std::string> names;
    for (const SafetensorsEntry& entry : dump_.entries()) names.push_back(entry.name);
    const SourceModel* model = best_activation_names(tables_, from, names);
    for (const SafetensorsEntry& entry : dump_.entries()) {
      if (entry.name == "input") continue;
      ++theirs_;
      // Lines of a map, as attention over one axis has them, are no map.
      if (const auto name = model && entry.shape.size() == 4 ? activation_name(*model, entry.name) : std::nullopt)
        by_name_.emplace(name->name, Dumped{&entry, name->coco91});
      by_name_.emplace(entry.name, Dumped{&entry});  // names of ours
    }
  }

  Tensor input(int divisor) const {
    const SafetensorsEntry* entry = dump_.find("input");
    const std::string file = dump_.path().string();
    if (entry == nullptr) bad_dump(file, "no tensor \"input\", the pictures [N, 3, H, W] the network saw");
    if (entry->shape.size() != 4 || entry->shape[1] != 3) bad_dump(file, "\"input\" is not [N, 3, H, W]");
    const auto& shape = entry->shape;
    if (shape[0] < 1 || shape[2] < 1 || shape[3] < 1 || shape[2] % divisor != 0 || shape[3] % divisor != 0)
      bad_dump(file, fmt::format("\"input\" is {} x {}, not padded to multiples of {}", shape[2], shape[3], divisor));
    const std::vector<float> values = channels_last(dump_.read_f32(*entry), shape);
    return Tensor::from_host<float>(context_, {shape[0], shape[2], shape[3], 3}, values, "images");
  }

  void see(const std::string& module, const Tensor& value, bool rectified) {
    // A module that runs several times is "name@0", "name@1", ... in dumps, as the levels of a pyramid are.
    const int call = calls_[module]++;
    const auto extents = value.shape().extents();
    const std::vector<int64_t> our_shape(extents.begin(), extents.end());
    std::string name = fmt::format("{}@{}", module, call);
    Dumped* found = find(name);
    if (found == nullptr && call == 0) found = find(name = module);
    // The same calls in another order, told apart by their shapes.
    Dumped* fitting = found;
    for (int other = 0; fitting != nullptr && (fitting->taken || shape_of(*fitting, our_shape) != our_shape);)
      fitting = find(fmt::format("{}@{}", module, other++));
    if (fitting != nullptr) found = fitting;
    if (found == nullptr) return;
    found->taken = fitting != nullptr;
    const SafetensorsEntry& entry = *found->entry;
    ActivationDifference difference{name};
    if (const std::vector<int64_t> shape = shape_of(*found, our_shape); shape != our_shape) {
      difference.problem =
          fmt::format("ours is {}, the dump's [{}]", value.shape().to_string(), fmt::join(shape, ", "));
      differences_.push_back(std::move(difference));
      return;
    }
    std::vector<float> theirs = dump_.read_f32(entry);
    if (is_map(entry, our_shape)) theirs = channels_last(theirs, entry.shape);
    if (selects(*found)) theirs = of_categories(theirs, tables_);
    const std::vector<float> ours = value.to_host<float>(context_);
    for (size_t i = 0; i < ours.size(); ++i) {
      // Not std::max: NaN must stay.
      const double wanted = rectified && theirs[i] < 0 ? 0.0 : static_cast<double>(theirs[i]);
      const double distance = std::abs(static_cast<double>(ours[i]) - wanted);
      if (!(distance <= difference.largest)) difference.largest = distance;
      difference.mean += distance / static_cast<double>(ours.size());
      difference.scale = std::max(difference.scale, std::abs(wanted));
    }
    differences_.push_back(std::move(difference));
  }

  const std::vector<ActivationDifference>& differences() const { return differences_; }
  size_t ours() const {
    size_t count = 0;
    for (const auto& [module, calls] : calls_) count += static_cast<size_t>(calls);
    return count;
  }
  size_t theirs() const { return theirs_; }
  std::string file() const { return dump_.path().string(); }

 private:
  struct Dumped {
    const SafetensorsEntry* entry = nullptr;
    bool coco91 = false;
    bool taken = false;
  };

  Dumped* find(const std::string& name) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &found->second;
  }
  // [N, C, H, W]; a layer on the cells of a map may have left ours, [N, H, W, C].
  static bool is_map(const SafetensorsEntry& entry, const std::vector<int64_t>& our_shape) {
    const auto& shape = entry.shape;
    if (shape.size() != 4) return false;
    return shape != our_shape || std::vector<int64_t>{shape[0], shape[2], shape[3], shape[1]} == our_shape;
  }
  bool selects(const Dumped& dumped) const {
    const auto& shape = dumped.entry->shape;
    return dumped.coco91 && shape.size() == 4 && shape[1] == kCocoIds;
  }
  // In our layout, of our classes.
  std::vector<int64_t> shape_of(const Dumped& dumped, const std::vector<int64_t>& our_shape) const {
    std::vector<int64_t> shape = dumped.entry->shape;
    if (is_map(*dumped.entry, our_shape)) shape = {shape[0], shape[2], shape[3], shape[1]};
    if (selects(dumped)) shape.back() = static_cast<int64_t>(tables_.coco().size());
    return shape;
  }

  Context& context_;
  NameTables tables_;
  SafetensorsFile dump_;
  std::map<std::string, Dumped> by_name_;
  size_t theirs_ = 0;
  std::map<std::string, int> calls_;               // seen so far
  std::vector<ActivationDifference> differences_;  // in the order of the forward pass
};

}  // namespace

int run_model_compare(const CommonOptions& common, const ModelCompareOptions& options) {
  const std::unique_ptr<Context> context = common.context();
  const Model model = load_model(*context, options.weights);
  Comparison comparison(*context, options.dump, options.from);
  const Tensor images = comparison.input(model.system->size_divisor());
  {
    Tape tape(*context, Tape::Mode::forward);
    tape.observe_activations([&](const std::string& module, const Tensor& value, bool rectified) {
      comparison.see(module, value, rectified);
    });
    model.system->forward(tape, images);
  }
  std::vector<ActivationDifference> rows = comparison.differences();
  if (rows.empty()) {
    bad_dump(comparison.file(),
             fmt::format("none of its {} tensors is an activation of the model", comparison.theirs()));
  }
  const auto good = [&](const ActivationDifference& row) { return row.within(options.tolerance); };
  std::ranges::stable_partition(rows, [&](const ActivationDifference& row) { return !good(row); });
  const auto off = static_cast<size_t>(rows.size() - static_cast<size_t>(std::ranges::count_if(rows, good)));

  if (common.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const ActivationDifference& row : rows) {
      list.push_back(
          {{"name", row.name}, {"max", row.largest}, {"mean", row.mean}, {"scale", row.scale}, {"ok", good(row)}});
      if (!row.problem.empty()) list.back()["problem"] = row.problem;
    }
    fmt::print("{}\n", nlohmann::ordered_json({{"compared", rows.size()}, {"off", off}, {"activations", list}}).dump());
  } else {
    fmt::print("{:<64} {:>10} {:>10} {:>10}\n", "activation", "max", "mean", "scale");
    for (const ActivationDifference& row : rows) {
      if (row.problem.empty()) {
        fmt::print("{:<64} {:>10.3g} {:>10.3g} {:>10.3g}{}\n", row.name, row.largest, row.mean, row.scale,
                   good(row) ? "" : "  <-");
      } else {
        fmt::print("{:<64} {}  <-\n", row.name, row.problem);
      }
    }
    fmt::print(
        "{} activations compared, {} off by more than {:g} of their scale; {} of ours and {} of the dump without "
        "counterpart\n",
        rows.size(), off, options.tolerance, comparison.ours() - rows.size(), comparison.theirs() - rows.size());
  }
  return off == 0 ? 0 : static_cast<int>(ExitCode::check_failed);
}

}  // namespace tessera
