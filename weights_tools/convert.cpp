#include "weights_tools/convert.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_map>

#include "weights_tools/backbone_config.h"
#include "weights_tools/pickle_globals.h"
#include "weights_tools/refusal.h"

namespace tessera {

namespace {

// A state dict saved from DataParallel has "module." in front of every name.
std::string common_prefix(const ForeignFile& file) {
  const std::string prefix = "module.";
  const bool all =
      std::ranges::all_of(file.tensors(), [&](const ForeignTensor& t) { return t.name.starts_with(prefix); });
  return all && !file.tensors().empty() ? prefix : "";
}

bool any_matches(const std::vector<NamePattern>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const NamePattern& pattern) { return pattern.matches(name); });
}

bool fits(const SourceModel& model, const std::vector<std::string>& names) {
  return std::ranges::all_of(model.has, [&](const NamePattern& pattern) {
    return std::ranges::any_of(names, [&](const std::string& name) { return pattern.matches(name); });
  });
}

// "PyTorch .pth, 8 tensors (conv1.weight [4, 3, 3, 3] F32, ...)"
std::string overview(const ForeignFile& file) {
  constexpr size_t kShown = 3;
  const std::vector<ForeignTensor>& tensors = file.tensors();
  std::string shown;
  for (size_t i = 0; i < std::min(kShown, tensors.size()); ++i)
    shown += fmt::format("{}{} {}", i > 0 ? ", " : "", tensors[i].name, tensors[i].text());
  return fmt::format("{}, {} tensors ({}{})", file.format(), tensors.size(), shown,
                     tensors.size() > kShown ? ", ..." : "");
}

const SourceModel& recognise(const ForeignFile& file, const NameTables& tables, const std::string& from,
                             const std::vector<std::string>& names, const ConvertCommand& again) {
  const SourceModel* other = nullptr;
  for (const SourceModel& model : tables.models()) {
    if (!fits(model, names)) continue;
    if (from == "auto" || from == model.source) return model;
    if (other == nullptr) other = &model;
  }
  const std::string path = file.path().string();
  if (other != nullptr) {
    refuse_weights(path, fmt::format("no model of {}: it looks like {} of {}", from, other->model, other->source),
                   again.from(file, other->source));
  }
  refuse_weights(path, fmt::format("{} that fit no known model{}", overview(file), from == "auto" ? "" : " of " + from),
                 again.raw(file));
}

MappedTensor mapped_tensor(const ForeignFile& file, const ForeignTensor& source, const NameRule& rule, std::string name,
                           const NameTables& tables, const ConvertCommand& again) {
  MappedTensor mapped{std::move(name), &source, source.shape, source.stride, {}, 0};
  std::vector<int64_t>& shape = mapped.shape;
  std::vector<int64_t>& stride = mapped.stride;
  if (rule.one_element && shape.empty()) shape = stride = {1};
  if (rule.coco91 && !shape.empty() && shape[0] == 91) {
    for (const CocoClass& category : tables.coco()) mapped.rows.push_back(category.id);
    shape[0] = static_cast<int64_t>(mapped.rows.size());
  }
  if (!rule.flattened.empty() && shape.size() == 2) {
    const auto& extents = rule.flattened;
    if (extents[0] * extents[1] * extents[2] != shape[1]) {
      refuse_weights(fmt::format("{}: tensor \"{}\"", file.path().string(), source.name),
                     fmt::format("{} columns, {} x {} x {} expected", shape[1], extents[0], extents[1], extents[2]),
                     again.raw(file));
    }
    const int64_t step = stride[1], plane = extents[1] * extents[2];
    shape = {shape[0], extents[1], extents[2], extents[0]};
    stride = {stride[0], extents[2] * step, step, plane * step};
  } else if (shape.size() == 4) {
    const std::vector<int64_t> from_shape = shape, from_stride = stride;
    const std::array<size_t, 4> order =
        rule.transposed ? std::array<size_t, 4>{1, 2, 3, 0} : std::array<size_t, 4>{0, 2, 3, 1};
    for (size_t axis = 0; axis < 4; ++axis) {
      shape[axis] = from_shape[order[axis]];
      stride[axis] = from_stride[order[axis]];
    }
  }
  return mapped;
}

void add_companions(const SourceModel& model, std::vector<MappedTensor>& tensors) {
  std::unordered_map<std::string, size_t> names;
  for (const MappedTensor& tensor : tensors) names.emplace(tensor.name, 0);
  const size_t count = tensors.size();
  for (size_t i = 0; i < count; ++i) {
    if (tensors[i].shape.empty()) continue;
    for (const AddedTensor& added : model.added) {
      const std::optional<std::string> name = added.pattern.apply(tensors[i].name);
      if (!name || !names.emplace(*name, 0).second) continue;
      tensors.push_back({*name, nullptr, {tensors[i].shape[0]}, {1}, {}, added.value});
    }
  }
}

std::string merged_config(const SourceModel& model, const BackboneDescription& backbone) {
  using Json = nlohmann::ordered_json;
  Json config = Json::parse(model.config);
  config.update(Json::parse(backbone.config));
  for (const auto& [preset, text] : model.config_of_backbone) {
    if (preset == backbone.preset) config.update(Json::parse(text));
  }
  return config.dump();
}

void count_not_finite(ConvertedTensors& converted, const std::string& name, const std::byte* data, int64_t elements) {
  int64_t count = 0;
  for (int64_t i = 0; i < elements; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, data + 4 * i, 4);
    count += (bits & 0x7f800000u) == 0x7f800000u;
  }
  if (count > 0 && converted.not_finite == 0) converted.first_not_finite = name;
  converted.not_finite += count;
}

void narrow_to_float(const std::byte* doubles, int64_t elements, std::byte* floats) {
  for (int64_t i = 0; i < elements; ++i) {
    double wide = 0;
    std::memcpy(&wide, doubles + 8 * i, 8);
    const float narrow = static_cast<float>(wide);
    std::memcpy(floats + 4 * i, &narrow, 4);
  }
}

// Every storage once, large ones first: what is read last stands in memory beside all that is ready.
std::vector<const MappedTensor*> reading_order(const MappedModel& mapped) {
  std::vector<const MappedTensor*> order;
  std::unordered_map<size_t, int64_t> elements;  // of the source tensors of each storage
  for (const MappedTensor& tensor : mapped.tensors) {
    order.push_back(&tensor);
    if (tensor.source != nullptr) elements[tensor.source->storage] += tensor.source->elements();
  }
  std::ranges::stable_sort(order, {}, [&](const MappedTensor* tensor) {
    if (tensor->source == nullptr) return std::pair<int64_t, size_t>{0, 0};
    return std::pair{-elements.at(tensor->source->storage), tensor->source->storage};
  });
  return order;
}

}  // namespace

std::vector<int64_t> MappedTensor::written_shape() const {
  if (source != nullptr && source->shape.size() == 2 && shape.size() == 4)
    return {shape[0], shape[1] * shape[2] * shape[3]};
  return shape;
}

bool is_weight_dtype(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

std::string ConvertCommand::from(const ForeignFile& file, const std::string& source) const {
  return fmt::format("tessera convert {} {} --from {}{}", file.path().string(), output, source, flags);
}
std::string ConvertCommand::raw(const ForeignFile& file) const { return from(file, "raw"); }
std::string ConvertCommand::init(const ForeignFile& file) const {
  return fmt::format("tessera convert {} {} --init{}{}", file.path().string(), output, flags, overrides);
}

MappedModel map_names(const ForeignFile& file, const NameTables& tables, const std::string& from,
                      const ConvertCommand& again) {
  const std::string path = file.path().string(), prefix = common_prefix(file);
  std::vector<std::string> names;
  for (const ForeignTensor& tensor : file.tensors()) names.push_back(tensor.name.substr(prefix.size()));
  if (names.empty()) refuse_weights(path, "no tensors in it", kTryStateDict);
  MappedModel mapped;
  mapped.model = &recognise(file, tables, from, names, again);

  std::unordered_map<std::string, std::string> taken;
  for (size_t i = 0; i < names.size(); ++i) {
    const ForeignTensor& source = file.tensors()[i];
    for (const auto& [pattern, reason] : mapped.model->reject) {
      if (pattern.matches(names[i]))
        refuse_weights(fmt::format("{}: tensor \"{}\"", path, source.name), reason, "a checkpoint of the plain model");
    }
    if (any_matches(mapped.model->ignore, names[i])) {
      mapped.ignored.push_back(source.name);
      continue;
    }
    bool known = false;
    for (const NameRule& rule : mapped.model->rules) {
      const std::optional<std::string> name = rule.pattern.apply(names[i]);
      if (!name) continue;
      const auto [entry, fresh] = taken.emplace(*name, source.name);
      if (!fresh) {
        refuse_weights(path, fmt::format("tensors \"{}\" and \"{}\" are both {}", entry->second, source.name, *name),
                       kTryStateDict);
      }
      mapped.tensors.push_back(mapped_tensor(file, source, rule, *name, tables, again));
      if (*name == mapped.model->classes && !mapped.tensors.back().shape.empty())
        mapped.classes = mapped.tensors.back().shape[0];
      known = true;
      break;
    }
    if (!known) mapped.unknown.push_back(&source);
  }
  add_companions(*mapped.model, mapped.tensors);
  mapped.coco = mapped.classes == static_cast<int64_t>(tables.coco().size());
  const BackboneDescription backbone = describe_backbone(mapped.tensors);
  mapped.backbone = backbone.text;
  mapped.config = merged_config(*mapped.model, backbone);
  return mapped;
}

ConvertedTensors read_mapped(ForeignFile& file, const MappedModel& mapped, const ConvertCommand& again) {
  const std::vector<const MappedTensor*> order = reading_order(mapped);
  ConvertedTensors converted;
  for (const MappedTensor* tensor : order) {
    const int64_t elements =
        std::accumulate(tensor->shape.begin(), tensor->shape.end(), int64_t{1}, std::multiplies<>());
    const std::string dtype = tensor->dtype();
    if (!is_weight_dtype(dtype)) {
      refuse_weights(fmt::format("{}: tensor \"{}\"", file.path().string(), tensor->source->name),
                     fmt::format("{} is no dtype of weights", dtype), again.raw(file));
    }
    const auto size = static_cast<size_t>(foreign_dtype_bytes(dtype));
    auto data = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(elements) * size);
    if (tensor->source == nullptr) {
      for (int64_t i = 0; i < elements; ++i) std::memcpy(data.get() + 4 * i, &tensor->value, 4);
    } else {
      const std::span<const std::byte> storage = file.storage(*tensor->source);
      const int64_t offset = tensor->source->offset;
      if (tensor->rows.empty()) {
        copy_strided(storage, offset, tensor->shape, tensor->stride, size, data.get());
      } else {
        const std::span<const int64_t> shape(tensor->shape), stride(tensor->stride);
        const size_t row_bytes = static_cast<size_t>(elements / shape[0]) * size;
        for (size_t row = 0; row < tensor->rows.size(); ++row) {
          copy_strided(storage, offset + tensor->rows[row] * stride[0], shape.subspan(1), stride.subspan(1), size,
                       data.get() + row * row_bytes);
        }
      }
    }
    if (dtype == "F64") {
      auto narrow = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(elements) * 4);
      narrow_to_float(data.get(), elements, narrow.get());
      data = std::move(narrow);
    }
    const std::string stored = dtype == "F64" ? "F32" : dtype;
    if (stored == "F32") count_not_finite(converted, tensor->name, data.get(), elements);
    converted.sources.push_back({tensor->name, stored, tensor->written_shape(), data.get()});
    converted.bytes += static_cast<uint64_t>(elements) * (stored == "F32" ? 4 : size);
    converted.memory.push_back(std::move(data));
  }
  return converted;
}

ConvertedTensors read_raw(ForeignFile& file) {
  ConvertedTensors converted;
  for (const ForeignTensor& tensor : file.tensors()) {
    const auto size = static_cast<size_t>(foreign_dtype_bytes(tensor.dtype));
    const auto bytes = static_cast<size_t>(tensor.elements()) * size;
    auto data = std::make_unique_for_overwrite<std::byte[]>(bytes);
    copy_strided(file.storage(tensor), tensor.offset, tensor.shape, tensor.stride, size, data.get());
    if (tensor.dtype == "F32") count_not_finite(converted, tensor.name, data.get(), tensor.elements());
    converted.sources.push_back({tensor.name, tensor.dtype, tensor.shape, data.get()});
    converted.bytes += bytes;
    converted.memory.push_back(std::move(data));
  }
  return converted;
}

}  // namespace tessera
