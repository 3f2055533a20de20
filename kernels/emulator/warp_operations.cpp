#include <bit>
#include <cstring>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera::emulator {

namespace {

// Of these CUDA promises that memory written by the lanes before is visible to the others after.
bool orders_memory(WarpOperation operation) { return operation == WarpOperation::synchronise; }

bool is_one_instruction(WarpOperation operation) {
  return operation == WarpOperation::matrix_load || operation == WarpOperation::matrix_multiply;
}

// Whether what a lane calls is what those who wait in `group` called.
bool agrees(const Thread& thread, const WarpGroup& group, unsigned mask, WarpOperation operation, WarpFinish finish) {
  if (group.mask != mask || group.operation != operation || group.finish != finish) return false;
  return !is_one_instruction(operation) || (group.line == thread.line && std::strcmp(group.file, thread.file) == 0);
}

// The mistake of a lane that arrives, or nothing.
std::string mistake_of(const Thread& thread, unsigned mask, const WarpGroup& group, WarpOperation operation,
                       WarpFinish finish) {
  const Warp& warp = *thread.warp;
  if ((mask >> thread.lane & 1u) == 0) return "the mask of a warp operation leaves out its own lane";
  if (const unsigned absent = mask & ~warp.standing; absent != 0) {
    const int lane = std::countr_zero(absent);
    return "the mask of a warp operation names lane " + std::to_string(lane) + ", which " +
           (warp.lanes[lane] == nullptr ? "this block does not have" : "has returned from the kernel");
  }
  if (group.arrived == 0 || agrees(thread, group, mask, operation, finish)) return {};
  for (const Thread* other : warp.lanes) {
    if (other == nullptr || other->state != ThreadState::at_warp_operation) continue;
    if ((group.mask >> other->lane & 1u) == 0) continue;
    return "lanes of one warp disagree on the mask or the kind of a warp operation; lane " +
           std::to_string(other->lane) + " waits at " + other->file + ":" + std::to_string(other->line);
  }
  return "lanes of one warp disagree on the mask or the kind of a warp operation";
}

enum class Arrival { waits, last, failed };

Arrival arrive_at_warp_operation(Execution& execution, Thread& thread, unsigned mask, WarpOperation operation,
                                 void* arguments, WarpFinish finish) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Warp& warp = *thread.warp;
  const int first = mask == 0 ? 0 : std::countr_zero(mask);
  WarpGroup& group = warp.groups[first];
  const std::string mistake = mistake_of(thread, mask, group, operation, finish);
  if (!mistake.empty()) {
    report_failure(mistake, thread.file, thread.line);
    return Arrival::failed;
  }
  group.mask = mask;
  group.operation = operation;
  group.finish = finish;
  group.file = thread.file;
  group.line = thread.line;
  warp.arguments[thread.lane] = arguments;
  if (orders_memory(operation)) race_release(&warp.arguments[first]);
  if (++group.arrived < std::popcount(mask)) {
    thread.state = ThreadState::at_warp_operation;
    return Arrival::waits;
  }
  finish(warp.arguments, mask);
  group.arrived = 0;
  execution.woken.clear();
  for (unsigned rest = mask & ~(1u << thread.lane); rest != 0; rest &= rest - 1) {
    execution.woken.push_back(warp.lanes[std::countr_zero(rest)]);
  }
  make_ready(execution, execution.woken);
  return Arrival::last;
}

}  // namespace

void warp_collective(unsigned mask, WarpOperation operation, void* arguments, WarpFinish finish, const char* file,
                     int line) {
  Execution& execution = *current_execution;
  Thread& thread = *execution.running;
  thread.file = file;
  thread.line = line;
  switch (arrive_at_warp_operation(execution, thread, mask, operation, arguments, finish)) {
    case Arrival::waits:
      run_next(execution);
      break;
    case Arrival::last:
      break;
    case Arrival::failed:
      abandon_launch();
  }
  if (orders_memory(operation)) race_acquire(&thread.warp->arguments[std::countr_zero(mask)]);
}

template <int bytes>
void finish_shuffle(void* const* arguments, unsigned mask) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const auto& own = *static_cast<const ShuffleArguments*>(arguments[std::countr_zero(rest)]);
    if ((mask >> own.source & 1u) != 0) {
      std::memcpy(own.result, static_cast<const ShuffleArguments*>(arguments[own.source])->value, bytes);
    } else {
      std::memset(own.result, 0xff, bytes);  // a lane outside the mask has no defined value
    }
  }
}

template void finish_shuffle<4>(void* const*, unsigned);
template void finish_shuffle<8>(void* const*, unsigned);

void finish_vote(void* const* arguments, unsigned mask) {
  unsigned ballot = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    if (static_cast<const VoteArguments*>(arguments[lane])->predicate) ballot |= 1u << lane;
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    static_cast<VoteArguments*>(arguments[std::countr_zero(rest)])->ballot = ballot;
  }
}

}  // namespace tessera::emulator
