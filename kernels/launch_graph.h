// The launches of a piece of work, recorded once and repeated with one call: a CUDA graph, or a list of calls on the
// emulated device. Between begin_capture and end_capture of a context nothing runs; what is launched, copied on the
// device and cleared there is recorded with its arguments. What cannot be repeated that way throws CaptureRefused: a
// copy between host and device, a wait, memory that the first, direct run of the work did not leave behind
// (kernels/block_pool.h), a table that it did not make (kernels/constant_tables.h).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace tessera {

class LaunchGraph {
 public:
  virtual ~LaunchGraph() = default;
  // Does the recorded work once more, in the order of the stream of its context, on the same memory.
  virtual void replay() = 0;
  virtual int64_t launches() const = 0;  // kernels, copies and fills
};

class CaptureRefused : public std::logic_error {
 public:
  explicit CaptureRefused(const std::string& what) : std::logic_error(what + " while launches are recorded") {}
};

}  // namespace tessera
