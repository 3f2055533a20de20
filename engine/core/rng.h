// Random numbers as functions of (seed, purpose, step, sample): no generator state to save, the same numbers on every
// backend and for any number of loader threads. Exact resume of a training run rests on this.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tessera {

// What the numbers are for. Values are part of the checkpoint contract: append, never renumber.
enum class RandomPurpose : uint32_t {
  initialization = 1,  // step 0, sample = hash of the parameter's name
  shuffle = 2,         // step = epoch
  augmentation = 3,    // step = epoch, sample = index of the picture
  positives = 4,       // step = iteration: subset of positive locations
  scenes = 5,          // step 0, sample = index of the scene
  train_box = 6,       // step = iteration: jitter of the boxes that define grid cells
  test = 7,
  weights = 8,  // random weights where none are needed
};

// FNV-1a, for samples that are named rather than numbered.
constexpr uint64_t hash_name(std::string_view name) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

class Rng {
 public:
  Rng(uint64_t seed, RandomPurpose purpose, uint64_t step = 0, uint64_t sample = 0)
      // The key holds the seed and the purpose, the counter the sample and, in its top words, the step.
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32) ^ (static_cast<uint32_t>(purpose) << 24)},
        counter_{0, static_cast<uint32_t>(sample),
                 static_cast<uint32_t>(sample >> 32) ^ static_cast<uint32_t>(step >> 32), static_cast<uint32_t>(step)} {
  }

  uint32_t bits() {
    if (used_ == 4) next_block();
    return block_[used_++];
  }

  // In [0, 1), 24 bits.
  float uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }
  float uniform(float low, float high) { return low + (high - low) * uniform(); }

  // In [0, count), count >= 1, without modulo bias beyond 2^-32 (multiply-shift).
  uint32_t below(uint32_t count) { return static_cast<uint32_t>((uint64_t{bits()} * count) >> 32); }

  // Standard normal by Box and Muller, computed in double so that every platform agrees to the last float bit or
  // nearly.
  float normal();

 private:
  void next_block();

  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace tessera
