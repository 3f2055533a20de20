#include <bit>
#include <cstring>

#include "kernels/emulator/device_calls.h"
#include "kernels/emulator/execution.h"
#include "kernels/emulator/sanitizers.h"

namespace tessera::emulator {

namespace {

// Of these CUDA promises that memory written by the lanes before is visible to the others after.
bool orders_memory(WarpOperation operation) { return operation == WarpOperation::synchronise; }

void check_lanes_exist(const Warp& warp, unsigned mask, const char* file, int line) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const Thread* thread = warp.lanes[lane];
    if (thread == nullptr || thread->state == ThreadState::returned) {
      fail("the mask of a warp operation names lane " + std::to_string(lane) + ", which " +
               (thread == nullptr ? "this block does not have" : "has returned from the kernel"),
           file, line);
    }
  }
}

}  // namespace

void warp_collective(unsigned mask, WarpOperation operation, void* arguments, WarpFinish finish, const char* file,
                     int line) {
  [[maybe_unused]] const NotOfTheKernel quiet;
  Execution& execution = *current_execution;
  Thread& thread = *execution.running;
  Warp& warp = *thread.warp;
  thread.file = file;
  thread.line = line;
  if ((mask >> thread.lane & 1u) == 0) fail("the mask of a warp operation leaves out its own lane", file, line);
  check_lanes_exist(warp, mask, file, line);
  const int first = std::countr_zero(mask);
  WarpGroup& group = warp.groups[first];
  if (group.arrived == 0) {
    group.mask = mask;
    group.finish = finish;
  } else if (group.mask != mask || group.finish != finish) {
    const Thread* other = nullptr;
    for (int lane = 0; lane < kWarpSize && other == nullptr; ++lane) {
      const Thread* candidate = warp.lanes[lane];
      if ((group.mask >> lane & 1u) != 0 && candidate->state == ThreadState::at_warp_operation) other = candidate;
    }
    fail("lanes of one warp disagree on the mask or the kind of a warp operation" +
             (other == nullptr ? std::string()
                               : "; lane " + std::to_string(other->lane) + " waits at " + other->file + ":" +
                                     std::to_string(other->line)),
         file, line);
  }
  warp.arguments[thread.lane] = arguments;
  if (orders_memory(operation)) race_release(&warp.arguments[first]);
  if (++group.arrived == std::popcount(mask)) {
    finish(warp.arguments, mask);
    group.arrived = 0;
    std::vector<Thread*> woken;
    for (unsigned rest = mask & ~(1u << thread.lane); rest != 0; rest &= rest - 1) {
      woken.push_back(warp.lanes[std::countr_zero(rest)]);
    }
    make_ready(execution, woken);
  } else {
    thread.state = ThreadState::at_warp_operation;
    run_next(execution);
  }
  if (orders_memory(operation)) race_acquire(&warp.arguments[first]);
}

void finish_shuffle(void* const* arguments, unsigned mask) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const auto& own = *static_cast<const ShuffleArguments*>(arguments[std::countr_zero(rest)]);
    if ((mask >> own.source & 1u) != 0) {
      std::memcpy(own.result, static_cast<const ShuffleArguments*>(arguments[own.source])->value,
                  static_cast<size_t>(own.bytes));
    } else {
      std::memset(own.result, 0xff, static_cast<size_t>(own.bytes));  // a lane outside the mask has no defined value
    }
  }
}

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
