// Weight files of a ParameterStore: strict loading (everything fits or nothing is touched), loading of what fits, and
// saving. Conv weights are stored O, H, W, I as they are in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/autograd/parameter_store.h"
#include "engine/io/safetensors.h"

namespace tessera {

// Keys of the metadata that every weight file of the program carries.
inline constexpr std::string_view kMetadataConfig = "config";                // merged config, JSON
inline constexpr std::string_view kMetadataPreprocessing = "preprocessing";  // what was done to pictures, JSON
inline constexpr std::string_view kMetadataClassNames = "class_names";       // JSON list of texts
inline constexpr std::string_view kMetadataIteration = "iteration";          // of training, decimal

// Momentum of "x" in a checkpoint, and the second moment where the optimizer keeps one; loaders of weights pass over
// them.
inline constexpr std::string_view kMomentumPrefix = "momentum/";
inline constexpr std::string_view kSecondMomentPrefix = "second_moment/";

// All parameters, frozen ones and statistics included. Atomic; throws WriteError.
void save_weights(Context& context, const std::filesystem::path& file, const ParameterStore& store,
                  const Metadata& metadata);

// Every parameter of the store must be in the file with its shape as F32, F16 or BF16, and nothing else may be there.
// Throws Error(weights) with a table of all that is missing, extra or of another shape, or naming a damaged tensor;
// nothing is copied before all of it is checked.
void load_weights(Context& context, ParameterStore& store, const SafetensorsFile& file);

struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     // in the store only
  std::vector<std::string> mismatched;  // in both, with another shape or an unusable dtype
  std::vector<std::string> unused;      // in the file only
};

// Copies what fits by name and shape (fine-tuning with another number of classes). Throws Error(weights) when the file
// is damaged or when nothing fits.
LoadReport load_matching_weights(Context& context, ParameterStore& store, const SafetensorsFile& file);

// A checkpoint: weights and what the optimizer keeps of every trainable parameter, momentum and second moment (where
// the store has one); strict as load_weights.
void save_weights_and_momentum(Context& context, const std::filesystem::path& file, const ParameterStore& store,
                               const Metadata& metadata);
void load_weights_and_momentum(Context& context, ParameterStore& store, const SafetensorsFile& file);

// Bytes of tensor data that a checkpoint holds.
uint64_t checkpoint_bytes(const ParameterStore& store);

// SHA-256 over names and values in order of declaration: equal for equal bits only.
std::string weights_sha256(Context& context, const ParameterStore& store);
// Of the second moment too, where the store has one.
std::string momentum_sha256(Context& context, const ParameterStore& store);

}  // namespace tessera
