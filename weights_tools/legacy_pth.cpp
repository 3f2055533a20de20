// PyTorch before 1.6: the magic number, the protocol version, a description of the machine, the object and the list of
// storage keys, each a pickle; then for every key a count of elements (int64) and the elements, unaligned.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <unordered_map>

#include "weights_tools/foreign_readers.h"
#include "weights_tools/mapped_file.h"
#include "weights_tools/pickle_globals.h"
#include "weights_tools/pickle_machine.h"
#include "weights_tools/refusal.h"
#include "weights_tools/state_dict.h"

namespace tessera {

namespace {

class LegacyPth final : public ForeignFile {
 public:
  LegacyPth(const std::filesystem::path& file, const ForeignFileOptions& options)
      : ForeignFile(file, "PyTorch .pth (before 1.6)"), file_(file), name_(file.string()) {
    at_ = sizeof(kLegacyMagic) - 1;
    const PickleValue* version = next("protocol version");
    if (version->kind != PickleKind::integer || version->integer != 1001)
      refuse_weights(name_, "an unknown protocol version", kTryStateDict);
    const PickleValue* machine = next("system information");
    const PickleValue* little = machine->find("little_endian");
    if (little != nullptr && little->integer == 0)
      refuse_weights(name_, "written on a big-endian machine", kTryStateDict);
    const PickleValue* root = next("object");
    const PickleValue* keys = next("storage keys");
    StateDict found = find_state_dict(content_, *root, options.key, name_, file_.bytes().size());
    find_records(*keys);
    container_ = std::move(found.container);
    tensors_ = std::move(found.tensors);
    others_ = std::move(found.others);
    for (const ForeignTensor& tensor : tensors_) {
      if (!records_.contains(tensor.storage)) {
        refuse_weights(fmt::format("{}: tensor \"{}\"", name_, tensor.name),
                       fmt::format("its storage \"{}\" is not in the file", content_.storages[tensor.storage].key),
                       kTryAgain);
      }
    }
  }

  std::span<const std::byte> storage(const ForeignTensor& tensor) override {
    if (last_ != std::string_view::npos && last_ != tensor.storage) {
      const auto [begin, end] = records_.at(last_);
      file_.forget(begin, end);
    }
    last_ = tensor.storage;
    const auto [begin, end] = records_.at(tensor.storage);
    return {reinterpret_cast<const std::byte*>(file_.bytes().data()) + begin, end - begin};
  }

 private:
  const PickleValue* next(const char* what) {
    const PickleResult result =
        read_pickle(file_.bytes().substr(at_), content_, fmt::format("{}: {} (byte {})", name_, what, at_));
    at_ += result.length;
    return result.root;
  }

  void find_records(const PickleValue& keys) {
    if (keys.kind != PickleKind::list) refuse_weights(name_, "no list of storages", kTryAgain);
    for (const PickleValue* key : keys.items) {
      const auto known = content_.storage_by_key.find(std::string(key->text));
      if (!key->is_text() || known == content_.storage_by_key.end())
        refuse_weights(name_, "a storage that no tensor uses: the data after it cannot be found", kTryAgain);
      const PickleStorage& storage = content_.storages[known->second];
      const std::string place = fmt::format("{}: storage \"{}\" at byte {}", name_, storage.key, at_);
      const size_t left = file_.bytes().size() - at_;
      uint64_t count = 0;
      if (left < sizeof(count)) refuse_weights(place, "the file ends (truncated)", kTryAgain);
      std::memcpy(&count, file_.bytes().data() + at_, sizeof(count));
      at_ += sizeof(count);
      if (count != static_cast<uint64_t>(storage.elements))
        refuse_weights(place, fmt::format("{} elements, {} expected", count, storage.elements), kTryAgain);
      const uint64_t size = storage.dtype.empty() ? 1 : static_cast<uint64_t>(foreign_dtype_bytes(storage.dtype));
      uint64_t bytes = 0;
      if (__builtin_mul_overflow(count, size, &bytes) || bytes > file_.bytes().size() - at_) {
        refuse_weights(place,
                       fmt::format("{} elements of {} bytes in a file with {} bytes left (truncated)", count, size,
                                   file_.bytes().size() - at_),
                       kTryAgain);
      }
      if (!records_.emplace(known->second, std::pair{at_, at_ + static_cast<size_t>(bytes)}).second)
        refuse_weights(place, "it comes twice", kTryAgain);
      at_ += static_cast<size_t>(bytes);
    }
    if (at_ != file_.bytes().size())
      refuse_weights(name_, fmt::format("{} bytes behind the last storage", file_.bytes().size() - at_), kTryAgain);
  }

  MappedFile file_;
  std::string name_;
  PickleContent content_;
  size_t at_ = 0;
  std::unordered_map<size_t, std::pair<size_t, size_t>> records_;  // storage -> bytes of the file
  size_t last_ = std::string_view::npos;
};

}  // namespace

std::unique_ptr<ForeignFile> open_legacy_pth(const std::filesystem::path& file, const ForeignFileOptions& options) {
  return std::make_unique<LegacyPth>(file, options);
}

}  // namespace tessera
