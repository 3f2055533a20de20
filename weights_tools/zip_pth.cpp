// PyTorch 1.6 and later: a zip archive TOP/data.pkl, TOP/data/<key>, TOP/version, TOP/byteorder, none of it compressed.
// Sizes come from the central directory: the local headers of these files leave them out.
#include <zip.h>

#include <algorithm>
#include <map>
#include <memory>

#include "weights_tools/foreign_readers.h"
#include "weights_tools/pickle_globals.h"
#include "weights_tools/pickle_machine.h"
#include "weights_tools/refusal.h"
#include "weights_tools/state_dict.h"

namespace tessera {

namespace {

constexpr uint64_t kMaxPickle = uint64_t{64} << 20;
constexpr int64_t kMaxZipEntries = 1 << 20;

struct CloseZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

class ZipPth final : public ForeignFile {
 public:
  ZipPth(const std::filesystem::path& file, const ForeignFileOptions& options)
      : ForeignFile(file, "PyTorch .pth"), name_(file.string()), ignore_checksums_(options.ignore_checksums) {
    file_bytes_ = std::filesystem::file_size(file);
    open();
    list_entries();
    check_byte_order();
    pickle_.resize(entries_.at(top_ + "data.pkl").size);
    read("data.pkl", reinterpret_cast<std::byte*>(pickle_.data()), pickle_.size(), "data.pkl");
    const PickleResult result = read_pickle(pickle_, content_, name_ + ": data.pkl");
    StateDict found = find_state_dict(content_, *result.root, options.key, name_, file_bytes_);
    container_ = std::move(found.container);
    tensors_ = std::move(found.tensors);
    others_ = std::move(found.others);
    for (const ForeignTensor& tensor : tensors_) check_record(tensor);
  }

  std::span<const std::byte> storage(const ForeignTensor& tensor) override {
    if (last_ == tensor.storage) return {bytes_.get(), bytes_count_};
    last_ = kNone;
    const std::string record = "data/" + content_.storages[tensor.storage].key;
    const uint64_t size = entries_.at(top_ + record).size;
    // Also when much smaller: the largest tensor of a file may be a third of it.
    if (size > capacity_ || size < capacity_ / 2) {
      bytes_.reset();  // before the next one is taken
      bytes_ = std::make_unique_for_overwrite<std::byte[]>(size);
      capacity_ = size;
    }
    bytes_count_ = size;
    read(record, bytes_.get(), size, fmt::format("tensor \"{}\"", tensor.name));
    last_ = tensor.storage;
    return {bytes_.get(), bytes_count_};
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  struct Entry {
    zip_uint64_t index = 0;
    uint64_t size = 0;
    bool stored = true, encrypted = false;
  };

  [[noreturn]] void fail(std::string_view place, std::string_view reason, std::string hint = kTryAgain) const {
    refuse_weights(place.empty() ? name_ : fmt::format("{}: {}", name_, place), reason, std::move(hint));
  }

  static std::string place_of(const std::string& entry_name) {
    return fmt::format("zip entry \"{}\"", printable(entry_name));
  }

  void open() {
    int code = 0;
    archive_.reset(zip_open(name_.c_str(), ZIP_RDONLY, &code));
    if (archive_) return;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    fail("", fmt::format("the zip archive cannot be read, truncated or incomplete? ({} bytes; {})", file_bytes_, text));
  }

  void list_entries() {
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    if (count > kMaxZipEntries) fail("", fmt::format("{} zip entries", count));
    for (zip_int64_t i = 0; i < count; ++i) {
      zip_stat_t status;
      if (zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW, &status) != 0 ||
          (status.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD)) !=
              (ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD)) {
        fail(fmt::format("entry {} of the zip archive", i), "it has no name or size");
      }
      const std::string entry_name = status.name;
      if (("/" + entry_name + "/").find("/../") != std::string::npos || entry_name.starts_with("/"))
        fail(place_of(entry_name), "its name leads out of the archive: no file of PyTorch",
             "get the file from a source you trust");
      const Entry entry{static_cast<zip_uint64_t>(i), status.size, status.comp_method == ZIP_CM_STORE,
                        (status.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && status.encryption_method != ZIP_EM_NONE};
      if (!entries_.emplace(entry_name, entry).second) fail(place_of(entry_name), "its name comes twice");
      const size_t slash = entry_name.find('/');
      const bool pickle = slash != std::string::npos && entry_name.substr(slash + 1) == "data.pkl";
      if (pickle) top_ = entry_name.substr(0, slash + 1);
    }
    if (top_.empty()) fail("", "a zip archive without data.pkl: not a PyTorch checkpoint");
    if (entries_.contains(top_ + "constants.pkl"))
      fail("", "a TorchScript archive (torch.jit.save), not a state dict",
           "in Python: torch.save(torch.jit.load(FILE).state_dict(), OUT)");
    for (const auto& [entry_name, entry] : entries_) {
      if (!entry_name.starts_with(top_)) continue;
      if (entry.encrypted) fail(place_of(entry_name), "it is encrypted");
      if (!entry.stored) {
        fail(place_of(entry_name), "it is compressed, which torch.save never does",
             "unzip the file and zip it again with `zip -0 -r`, or in Python: torch.save(torch.load(FILE), OUT)");
      }
      if (entry.size > file_bytes_)
        fail(place_of(entry_name), fmt::format("{} bytes in a file of {}", entry.size, file_bytes_));
    }
    if (entries_.at(top_ + "data.pkl").size > kMaxPickle)
      fail("data.pkl", fmt::format("{} bytes, more than {}", entries_.at(top_ + "data.pkl").size, kMaxPickle));
  }

  void check_byte_order() {
    const auto found = entries_.find(top_ + "byteorder");
    if (found == entries_.end()) return;
    std::string order(static_cast<size_t>(std::min<uint64_t>(found->second.size, 16)), '\0');
    if (found->second.size <= 16)
      read("byteorder", reinterpret_cast<std::byte*>(order.data()), order.size(), "byteorder");
    if (order != "little") fail("byteorder", "not \"little\": written on a big-endian machine", kTryStateDict);
  }

  void check_record(const ForeignTensor& tensor) const {
    const PickleStorage& storage = content_.storages[tensor.storage];
    const std::string place = fmt::format("tensor \"{}\"", tensor.name);
    const auto found = entries_.find(top_ + "data/" + storage.key);
    if (storage.key.empty() || found == entries_.end())
      fail(place, fmt::format("its storage \"{}\" is not in the file", storage.key));
    const auto size = storage.dtype.empty() ? int64_t{1} : foreign_dtype_bytes(storage.dtype);
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(storage.elements), static_cast<uint64_t>(size), &bytes) ||
        bytes != found->second.size) {
      fail(place, fmt::format("its storage \"{}\" has {} bytes instead of {} elements of {} bytes", storage.key,
                              found->second.size, storage.elements, size));
    }
  }

  void read(const std::string& record, std::byte* destination, uint64_t bytes, const std::string& place) const {
    const std::unique_ptr<zip_file_t, CloseEntry> entry(
        zip_fopen_index(archive_.get(), entries_.at(top_ + record).index, 0));
    if (!entry) fail(place, fmt::format("{} cannot be opened: {}", record, zip_strerror(archive_.get())));
    uint64_t done = 0;
    while (done < bytes) {
      const zip_int64_t count =
          zip_fread(entry.get(), destination + done, std::min<uint64_t>(bytes - done, uint64_t{1} << 30));
      if (count <= 0) fail_read(entry.get(), record, place);
      done += static_cast<uint64_t>(count);
    }
    // The library compares the checksum when it meets the end.
    std::byte rest{};
    if (zip_fread(entry.get(), &rest, 1) == 0) return;
    const bool damaged = zip_error_code_zip(zip_file_get_error(entry.get())) == ZIP_ER_CRC;
    if (!damaged || !ignore_checksums_) fail_read(entry.get(), record, place);
  }
  [[noreturn]] void fail_read(zip_file_t* entry, const std::string& record, const std::string& place) const {
    const int code = zip_error_code_zip(zip_file_get_error(entry));
    if (code == ZIP_ER_CRC) {
      fail(place, fmt::format("{} is damaged (checksum)", record),
           "copy or download the file again; for a file saved without checksums: --ignore-checksums");
    }
    fail(place, fmt::format("{} cannot be read (truncated?): {}", record, zip_file_strerror(entry)));
  }

  std::string name_;
  bool ignore_checksums_ = false;
  uint64_t file_bytes_ = 0;
  std::unique_ptr<zip_t, CloseZip> archive_;
  std::string top_;                       // "resnet50/"
  std::map<std::string, Entry> entries_;  // in an order, so that of several bad ones always the same is named
  std::string pickle_;
  PickleContent content_;
  std::unique_ptr<std::byte[]> bytes_;  // of storage last_
  uint64_t capacity_ = 0, bytes_count_ = 0;
  size_t last_ = kNone;
};

}  // namespace

std::unique_ptr<ForeignFile> open_zip_pth(const std::filesystem::path& file, const ForeignFileOptions& options) {
  return std::make_unique<ZipPth>(file, options);
}

}  // namespace tessera
