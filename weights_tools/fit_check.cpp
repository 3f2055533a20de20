#include "weights_tools/fit_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "weights_tools/refusal.h"

namespace tessera {

namespace {

constexpr size_t kTableRows = 12;  // of a kind

// Lines of one kind under an error; a long list is cut, with its length.
class Rows {
 public:
  explicit Rows(const char* kind) : kind_(kind) {}

  void add(const std::string& text) {
    if (count_++ < kTableRows) text_ += fmt::format("\n  {:8} {}", kind_, text);
  }
  size_t count() const { return count_; }
  std::string text() const {
    return count_ <= kTableRows ? text_ : text_ + fmt::format("\n  ... and {} more {}", count_ - kTableRows, kind_);
  }
  std::string title() const { return count_ == 0 ? "" : fmt::format("{} {}", count_, kind_); }

 private:
  const char* kind_;
  std::string text_;
  size_t count_ = 0;
};

std::string extents_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

bool in_backbone(const std::string& name) { return name.starts_with("backbone.bottom_up."); }

// Names of the pyramid, if any of these has one: from its finest level to the coarsest that they or the model know.
std::set<std::string> whole_pyramid(const std::vector<MappedTensor>& tensors,
                                    const std::vector<TargetTensor>& targets) {
  const NamePattern lateral("backbone.fpn_lateral{n}.{*}", "{n}"), output("backbone.fpn_output{n}.{*}", "{n}");
  const NamePattern extra("backbone.top_block.{*}");
  const auto level_of = [&](const std::string& name) {
    const std::optional<std::string> level = lateral.apply(name), other = output.apply(name);
    return level ? std::stoi(*level) : other ? std::stoi(*other) : -1;
  };
  std::set<int> levels;
  std::set<std::string> names;
  for (const MappedTensor& tensor : tensors) {
    if (const int level = level_of(tensor.name); level >= 0) levels.insert(level);
    if (extra.matches(tensor.name)) {
      for (const char* name : {"p6.weight", "p6.bias", "p7.weight", "p7.bias"})
        names.insert(fmt::format("backbone.top_block.{}", name));
    }
  }
  if (levels.empty()) return names;
  const int first = *levels.begin();
  for (const TargetTensor& target : targets) levels.insert(level_of(target.name));
  for (int level = first; level <= std::min(*levels.rbegin(), first + 8); ++level) {
    for (const char* name : {"lateral", "output"}) {
      for (const char* part : {"weight", "bias"}) names.insert(fmt::format("backbone.fpn_{}{}.{}", name, level, part));
    }
  }
  return names;
}

struct Fit {
  Rows missing{"missing"}, different{"differs"}, extra{"extra"}, unknown{"unknown"};
  int64_t filled = 0;

  bool good() const { return missing.count() + different.count() + extra.count() + unknown.count() == 0; }
};

Fit fit_of(const MappedModel& mapped, const std::vector<TargetTensor>& targets, bool partial) {
  Fit fit;
  std::map<std::string, const MappedTensor*> there;
  for (const MappedTensor& tensor : mapped.tensors) there.emplace(tensor.name, &tensor);
  const bool backbone =
      std::ranges::any_of(mapped.tensors, [](const MappedTensor& tensor) { return in_backbone(tensor.name); });
  std::set<std::string> pyramid;
  if (partial) pyramid = whole_pyramid(mapped.tensors, targets);
  std::set<std::string> wanted;
  for (const TargetTensor& target : targets) {
    wanted.insert(target.name);
    const auto found = there.find(target.name);
    if (found == there.end()) {
      if (!partial || (backbone && in_backbone(target.name)) || pyramid.contains(target.name))
        fit.missing.add(fmt::format("{} {}", target.name, extents_text(target.shape)));
      continue;
    }
    const MappedTensor& tensor = *found->second;
    if (tensor.written_shape() == target.shape && is_weight_dtype(tensor.dtype())) {
      ++fit.filled;
      continue;
    }
    fit.different.add(fmt::format("{}: the model has {}, the file {} ({} {})", target.name, extents_text(target.shape),
                                  extents_text(tensor.written_shape()), tensor.source ? tensor.source->name : "added",
                                  tensor.dtype()));
  }
  for (const std::string& name : pyramid) {
    if (!there.contains(name) && !wanted.contains(name)) fit.missing.add(name);
  }
  for (const MappedTensor& tensor : mapped.tensors) {
    if (wanted.contains(tensor.name) || (partial && !in_backbone(tensor.name))) continue;
    fit.extra.add(fmt::format("{} {}", tensor.name, extents_text(tensor.written_shape())));
  }
  for (const ForeignTensor* tensor : mapped.unknown)
    fit.unknown.add(fmt::format("{} {}", tensor->name, tensor->text()));
  return fit;
}

}  // namespace

int64_t check_fit(const ForeignFile& file, const MappedModel& mapped, const std::vector<TargetTensor>& targets,
                  bool partial, const ConvertCommand& again) {
  const Fit fit = fit_of(mapped, targets, partial);
  if (fit.good()) return fit.filled;
  std::string titles, table;
  for (const Rows* rows : {&fit.missing, &fit.different, &fit.extra, &fit.unknown}) {
    if (rows->count() > 0) titles += (titles.empty() ? "" : ", ") + rows->title();
    table += rows->text();
  }
  const bool init = !partial && fit_of(mapped, targets, true).good();
  refuse_weights(file.path().string(),
                 fmt::format("{} of {} does not fill {}: {}{}", mapped.model->model, mapped.model->source,
                             partial ? "its parts of the model" : "the model", titles, table),
                 init ? again.init(file) : again.raw(file));
}

}  // namespace tessera
