// Measured choices of convolution kernels in a file: a shape that is met for the first time on a GPU is run with the
// few tiles and splits that the model of choose_conv likes best, the fastest is kept and written down. Without a file
// (the default), and on devices without a clock, choose_conv decides by the shape alone.
//
// The file is JSON, {"format": "tessera conv choices 2", "<GPU>": {"<call>": {"tile", "splits", "microseconds"}}},
// with "source": "cudnn" or "cublas" where a library was the fastest (its "tile" and "splits" say nothing then), and
// where a call is pass, precision, window, sizes of the input maps, branches, and whether an epilogue follows. One file
// serves several GPUs. It appears whole or not at all; of two processes that write it at once, the last one adds to
// what it read. Choices change the order of sums, so bits may differ from those of another file; with one complete file
// they repeat.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/core/device.h"
#include "kernels/conv2d_choice.h"

namespace tessera {

class ConvTuningFile final : public ConvTuner {
 public:
  // device: name of the GPU. A file that is absent is an empty one. Throws Error(usage) for a file of another kind.
  ConvTuningFile(std::filesystem::path file, std::string device);

  ConvChoice choose(const ConvWork& work, const std::function<double(const ConvChoice&)>& measure) override;

 private:
  struct Entry {
    ConvChoice choice;
    double seconds;
  };
  using Entries = std::map<std::string, Entry>;  // by call
  using Devices = std::map<std::string, Entries>;

  static Devices read(const std::filesystem::path& file);
  void write() const;

  std::filesystem::path file_;
  std::string device_;
  std::mutex mutex_;
  Entries entries_;
};

// Makes it the tuner of the context, to be called before its first convolution. Throws Error(usage) for a device that
// is no GPU.
void tune_convolutions(Context& context, const std::filesystem::path& file);

}  // namespace tessera
