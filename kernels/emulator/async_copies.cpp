#include <cstring>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera::emulator {

namespace {

// Not `NotOfTheKernel`: the landing is a write of the kernel.
void land(const PendingCopy& copy) {
  race_write(copy.destination, static_cast<size_t>(copy.bytes));
  [[maybe_unused]] const NotOfTheKernel quiet;
  std::memcpy(copy.destination, copy.source, static_cast<size_t>(copy.valid));
  std::memset(static_cast<char*>(copy.destination) + copy.valid, 0, static_cast<size_t>(copy.bytes - copy.valid));
}

}  // namespace

void forget_copies(Thread& thread) {
  thread.open_copies.clear();
  thread.copy_groups.clear();
}

void copy_async(void* destination, const void* source, int bytes, int valid, const char* file, int line) {
  const auto misaligned = [bytes](const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) != 0;
  };
  const char* mistake = nullptr;
  if (bytes != 4 && bytes != 8 && bytes != 16) {
    mistake = "an asynchronous copy moves 4, 8 or 16 bytes";
  } else if (valid < 0 || valid > bytes) {
    mistake = "more valid bytes than an asynchronous copy moves";
  } else if (misaligned(destination) || misaligned(source)) {
    mistake = "misaligned asynchronous copy";
  }
  if (mistake != nullptr) {
    report_failure(mistake, file, line);
    abandon_launch();
  }
  const PendingCopy copy{destination, source, bytes, valid};
  // The hardware may write at any moment between issue and wait: a race checker is told of both ends.
  if (current_execution->schedule.late_copies) {
    race_write(destination, static_cast<size_t>(bytes));
    [[maybe_unused]] const NotOfTheKernel quiet;
    running_thread().open_copies.push_back(copy);
  } else {
    land(copy);
  }
}

void copy_async_commit() {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Thread& thread = running_thread();
  thread.copy_groups.push_back(std::move(thread.open_copies));
  thread.open_copies.clear();
}

void copy_async_wait(int groups_left) {
  Thread& thread = running_thread();
  while (static_cast<int>(thread.copy_groups.size()) > groups_left) {
    for (const PendingCopy& copy : thread.copy_groups.front()) land(copy);
    [[maybe_unused]] const NotOfTheKernel quiet;
    thread.copy_groups.erase(thread.copy_groups.begin());
  }
}

}  // namespace tessera::emulator
