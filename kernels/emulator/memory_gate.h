// Device memory that the host must not touch is closed, and opened while a kernel or a copy runs. An allocator that is
// also a gate gets this from the context that it is given to; so a test finds a device pointer that is followed on the
// host, which the emulator's own memory, host memory, would let pass.
#pragma once

namespace tessera::emulator {

class MemoryGate {
 public:
  virtual ~MemoryGate() = default;
  virtual void open() = 0;
  virtual void close() = 0;
};

// Open while this lives; nothing without a gate.
class OpenMemory {
 public:
  explicit OpenMemory(MemoryGate* gate) : gate_(gate) {
    if (gate_ != nullptr) gate_->open();
  }
  ~OpenMemory() {
    if (gate_ != nullptr) gate_->close();
  }
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;

 private:
  MemoryGate* gate_;
};

}  // namespace tessera::emulator
