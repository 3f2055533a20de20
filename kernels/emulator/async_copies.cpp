#include <cstring>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera::emulator {

namespace {

// The hardware may read and write at any moment between issue and wait: a race checker is told of both ends.
void tell_race_checker(const PendingCopy& copy) {
  race_read(copy.source, static_cast<size_t>(copy.valid));
  race_write(copy.destination, static_cast<size_t>(copy.bytes));
}

void move_bytes(const PendingCopy& copy) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  std::memcpy(copy.destination, copy.source, static_cast<size_t>(copy.valid));
  std::memset(static_cast<char*>(copy.destination) + copy.valid, 0, static_cast<size_t>(copy.bytes - copy.valid));
}

}  // namespace

void forget_copies(Thread& thread) {
  thread.copies.clear();
  thread.group_ends.clear();
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
  const bool at_once = !current_execution->schedule.late_copies;
  const PendingCopy copy{destination, source, bytes, valid, at_once};
  tell_race_checker(copy);
  if (at_once) move_bytes(copy);
  if (at_once && !kRaceCheck) return;
  [[maybe_unused]] const NotOfTheKernel quiet;
  running_thread().copies.push_back(copy);
}

void copy_async_commit() {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Thread& thread = running_thread();
  thread.group_ends.push_back(thread.copies.size());
}

void copy_async_wait(int groups_left) {
  Thread& thread = running_thread();
  const size_t left = static_cast<size_t>(groups_left);
  if (thread.group_ends.size() <= left) return;
  const size_t groups = thread.group_ends.size() - left, landing = thread.group_ends[groups - 1];
  for (size_t i = 0; i < landing; ++i) {
    tell_race_checker(thread.copies[i]);
    if (!thread.copies[i].landed) move_bytes(thread.copies[i]);
  }
  [[maybe_unused]] const NotOfTheKernel quiet;
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + static_cast<ptrdiff_t>(landing));
  thread.group_ends.erase(thread.group_ends.begin(), thread.group_ends.begin() + static_cast<ptrdiff_t>(groups));
  for (size_t& end : thread.group_ends) end -= landing;
}

}  // namespace tessera::emulator
