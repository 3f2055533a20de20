#include "kernels/context.h"

#include <cstring>

#include "kernels/constant_tables.h"
#include "kernels/emulator/executor.h"
#include "kernels/launch_graph.h"
#include "kernels/memory.h"

namespace tessera {

namespace {

// What a CUDA graph is on the emulated device: the calls, with their arguments, in order.
class RecordedLaunches final : public LaunchGraph {
 public:
  explicit RecordedLaunches(EmulatedContext& context) : context_(context) {}

  void replay() override {
    if (context_.capturing()) throw CaptureRefused("recorded launches are repeated");
    for (const auto& step : steps) step();
  }
  int64_t launches() const override { return static_cast<int64_t>(steps.size()); }

  emulator::Executor::Steps steps;
  std::vector<TableMemory> tables;

 private:
  EmulatedContext& context_;
};

void copy(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  if (bytes > 0) context.executor().perform([=] { std::memcpy(destination, source, bytes); });
}

void refuse_capture(const EmulatedContext& context, const char* what) {
  if (context.capturing()) throw CaptureRefused(what);
}

}  // namespace

// The launches that are being recorded.
struct EmulatedCapture {
  std::unique_ptr<RecordedLaunches> launches;
};

EmulatedContext::EmulatedContext(const EmulatorSchedule& schedule, std::shared_ptr<Allocator> allocator)
    : Context(Backend::emulated, std::move(allocator)),
      executor_(std::make_unique<emulator::Executor>(schedule,
                                                     dynamic_cast<emulator::MemoryGate*>(Context::allocator().get()))),
      capture_(std::make_unique<EmulatedCapture>()) {}

EmulatedContext::~EmulatedContext() = default;

void EmulatedContext::begin_capture() {
  refuse_capture(*this, "another recording begins");
  capture_->launches = std::make_unique<RecordedLaunches>(*this);
  executor_->record_to(&capture_->launches->steps);
  set_capturing(true);
}

std::unique_ptr<LaunchGraph> EmulatedContext::end_capture() {
  std::unique_ptr<RecordedLaunches> launches = std::move(capture_->launches);
  launches->tables = constant_tables().release_held();
  abandon_capture();
  return launches;
}

void EmulatedContext::abandon_capture() noexcept {
  executor_->record_to(nullptr);
  capture_->launches.reset();
  constant_tables().release_held();
  set_capturing(false);
}

void memory_zero(EmulatedContext& context, void* destination, size_t bytes) {
  if (bytes > 0) context.executor().perform([=] { std::memset(destination, 0, bytes); });
}

void memory_copy(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  copy(context, destination, source, bytes);
}

void memory_from_host(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  refuse_capture(context, "memory of the host is copied to the device");
  copy(context, destination, source, bytes);
}

void memory_to_host(EmulatedContext& context, void* destination, const void* source, size_t bytes) {
  refuse_capture(context, "memory of the device is read by the host");
  copy(context, destination, source, bytes);
}

void memory_upload(EmulatedContext& context, void* destination, const void* staged, size_t bytes) {
  refuse_capture(context, "memory of the host is copied to the device");
  copy(context, destination, staged, bytes);
}

void memory_download(EmulatedContext& context, void* staged, const void* source, size_t bytes) {
  refuse_capture(context, "memory of the device is read by the host");
  copy(context, staged, source, bytes);
}

void memory_wait(EmulatedContext& context) { refuse_capture(context, "the host waits for transfers"); }

}  // namespace tessera
