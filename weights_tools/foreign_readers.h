// The readers behind open_foreign_file, one per format.
#pragma once

#include <filesystem>
#include <memory>

#include "weights_tools/foreign_file.h"

namespace tessera {

std::unique_ptr<ForeignFile> open_safetensors(const std::filesystem::path& file);
// PyTorch 1.6 and later: a zip with data.pkl and one entry per storage.
std::unique_ptr<ForeignFile> open_zip_pth(const std::filesystem::path& file, const ForeignFileOptions& options);
// Before: pickles one after the other, then the storages.
std::unique_ptr<ForeignFile> open_legacy_pth(const std::filesystem::path& file, const ForeignFileOptions& options);
// A plain pickle of numpy arrays.
std::unique_ptr<ForeignFile> open_numpy_pickle(const std::filesystem::path& file, const ForeignFileOptions& options);

// What a file of PyTorch before 1.6 begins with: its magic number as a pickle.
inline constexpr char kLegacyMagic[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

}  // namespace tessera
