#include "weights_tools/foreign_readers.h"
#include "weights_tools/mapped_file.h"
#include "weights_tools/pickle_machine.h"
#include "weights_tools/refusal.h"
#include "weights_tools/state_dict.h"

namespace tessera {

namespace {

class NumpyPickle final : public ForeignFile {
 public:
  NumpyPickle(const std::filesystem::path& file, const ForeignFileOptions& options)
      : ForeignFile(file, "pickle of numpy arrays"), file_(file) {
    const std::string name = file.string();
    const PickleResult result = read_pickle(file_.bytes(), content_, name);
    StateDict found = find_state_dict(content_, *result.root, options.key, name, file_.bytes().size());
    for (const ForeignTensor& tensor : found.tensors) {
      if (!content_.storages[tensor.storage].key.empty()) {
        refuse_weights(fmt::format("{}: tensor \"{}\"", name, tensor.name),
                       "its data is outside the file (a data.pkl taken out of its .pth?)", kTryStateDict);
      }
    }
    container_ = std::move(found.container);
    tensors_ = std::move(found.tensors);
    others_ = std::move(found.others);
  }

  std::span<const std::byte> storage(const ForeignTensor& tensor) override {
    const std::string_view content = content_.storages[tensor.storage].content;
    return {reinterpret_cast<const std::byte*>(content.data()), content.size()};
  }

 private:
  MappedFile file_;
  PickleContent content_;
};

}  // namespace

std::unique_ptr<ForeignFile> open_numpy_pickle(const std::filesystem::path& file, const ForeignFileOptions& options) {
  return std::make_unique<NumpyPickle>(file, options);
}

}  // namespace tessera
