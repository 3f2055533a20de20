#include "weights_tools/state_dict.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "weights_tools/pickle_globals.h"
#include "weights_tools/refusal.h"

namespace tessera {

namespace {

constexpr int kMaxNesting = 8;           // dictionaries inside dictionaries
constexpr size_t kMaxEntries = 1 << 20;  // looked at; shared dictionaries count as often as they are met

// In order of preference, under the names that training programs give them.
constexpr std::array<std::string_view, 12> kContainers = {
    "model", "state_dict", "model_state_dict", "model_state", "module", "network",
    "net",   "weights",    "params",           "blobs",       "ema",    "model_ema"};

bool valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : lead >= 0xe0 && lead < 0xf0 ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    const auto second = length > 2 ? static_cast<uint8_t>(text[i + 1]) : uint8_t{0};
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) || (lead == 0xf0 && second < 0x90) ||
        (lead == 0xf4 && second >= 0x90)) {
      return false;
    }
    i += length;
  }
  return true;
}

class Search {
 public:
  Search(const PickleContent& content, const std::string& source, uint64_t file_bytes)
      : content_(content), source_(source), file_bytes_(file_bytes) {}

  StateDict run(const PickleValue& root, const std::string& key) {
    const PickleValue* dict = key.empty() ? descend(root) : follow(root, key);
    if (dict->kind != PickleKind::dict) no_tensors(*dict);
    flatten(*dict, "", 0);
    if (found_.tensors.empty()) no_tensors(*dict);
    std::ranges::stable_sort(found_.tensors, {}, &ForeignTensor::storage);
    check_size();
    return std::move(found_);
  }

 private:
  [[noreturn]] void no_tensors(const PickleValue& value) const {
    std::string what = "no named tensors in it";
    if (value.kind == PickleKind::opaque)
      what = fmt::format("it holds an object ({}), not a dictionary of tensors", printable(value.text));
    if (value.kind == PickleKind::tensor) what = "it holds one tensor without a name";
    refuse_weights(found_.container.empty() ? source_ : fmt::format("{}: \"{}\"", source_, found_.container), what,
                   kTryStateDict);
  }
  void count_entry() {
    if (++entries_ > kMaxEntries)
      refuse_weights(source_, "dictionaries that repeat each other without end", kTryStateDict);
  }

  bool holds_tensors(const PickleValue& value, int depth) {
    if (value.kind == PickleKind::tensor) return true;
    if (value.kind != PickleKind::dict || depth > kMaxNesting) return false;
    const auto [entry, fresh] = holds_.try_emplace(&value, false);
    if (!fresh) return entry->second;
    bool holds = false;
    for (size_t i = 1; i < value.items.size() && !holds; i += 2) holds = holds_tensors(*value.items[i], depth + 1);
    holds_[&value] = holds;
    return holds;
  }

  const PickleValue* descend(const PickleValue& root) {
    const PickleValue* at = &root;
    for (int depth = 0; depth < kMaxNesting; ++depth) {
      const PickleValue* inner = nullptr;
      for (const std::string_view name : kContainers) {
        const PickleValue* value = at->find(name);
        if (value == nullptr || value->kind != PickleKind::dict || !holds_tensors(*value, 0)) continue;
        inner = value;
        enter(name);
        break;
      }
      if (inner == nullptr) break;
      at = inner;
    }
    return at;
  }
  const PickleValue* follow(const PickleValue& root, const std::string& key) {
    const PickleValue* at = &root;
    for (size_t begin = 0; begin <= key.size();) {
      const size_t end = std::min(key.find('.', begin), key.size());
      const std::string part = key.substr(begin, end - begin);
      at = at->find(part);
      enter(part);
      if (at == nullptr)
        refuse_weights(source_, fmt::format("it has no entry \"{}\"", found_.container),
                       "--key with an entry that is there");
      begin = end + 1;
    }
    return at;
  }
  void enter(std::string_view name) {
    if (!found_.container.empty()) found_.container += '.';
    found_.container += name;
  }

  void flatten(const PickleValue& dict, const std::string& prefix, int depth) {
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      count_entry();
      const PickleValue &key = *dict.items[i], &value = *dict.items[i + 1];
      if (!key.is_text()) continue;
      const std::string name = prefix + std::string(key.text);
      if (!valid_utf8(name) || name == "__metadata__" || name.size() > 4096)
        refuse_weights(source_, fmt::format("entry \"{}\" is no name for a tensor", printable(name)), kTryStateDict);
      if (value.kind == PickleKind::tensor) {
        add(name, content_.tensors[value.index]);
      } else if (value.kind == PickleKind::dict && depth < kMaxNesting && holds_tensors(value, 0)) {
        flatten(value, name + ".", depth + 1);
      } else {
        if (value.kind == PickleKind::opaque && value.text.starts_with("torch."))
          refuse_weights(source_, fmt::format("tensor \"{}\": {} is not supported", name, printable(value.text)),
                         kTryStateDict);
        found_.others.push_back(name);
      }
    }
  }
  void add(const std::string& name, const PickleTensor& tensor) {
    if (!names_.insert(name).second)
      refuse_weights(source_, fmt::format("tensor \"{}\" comes twice", name), kTryStateDict);
    found_.tensors.push_back({name, tensor.dtype, tensor.shape, tensor.stride, tensor.offset, tensor.storage});
  }
  void check_size() const {
    uint64_t total = 0;
    for (const ForeignTensor& tensor : found_.tensors) {
      const auto bytes =
          static_cast<uint64_t>(tensor.elements()) * static_cast<uint64_t>(foreign_dtype_bytes(tensor.dtype));
      if (bytes > largest_content(file_bytes_) || (total += bytes) > largest_content(file_bytes_)) {
        refuse_weights(source_,
                       fmt::format("tensor \"{}\" {}: the tensors are far larger than the file of {} bytes",
                                   tensor.name, tensor.text(), file_bytes_),
                       kTryStateDict);
      }
    }
  }

  const PickleContent& content_;
  const std::string& source_;
  uint64_t file_bytes_;
  StateDict found_;
  size_t entries_ = 0;
  std::unordered_set<std::string> names_;
  std::unordered_map<const PickleValue*, bool> holds_;
};

}  // namespace

StateDict find_state_dict(const PickleContent& content, const PickleValue& root, const std::string& key,
                          const std::string& source, uint64_t file_bytes) {
  return Search(content, source, file_bytes).run(root, key);
}

}  // namespace tessera
