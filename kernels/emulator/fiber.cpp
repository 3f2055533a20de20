#include "kernels/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "kernels/emulator/sanitizers.h"

#if !TESSERA_FIBER_SWITCH_IS_UCONTEXT
// tessera_fiber_switch(void** save, void* load): pushes the registers of the caller, leaves its stack pointer in *save
// and goes on where `load` was left.
extern "C" void tessera_fiber_switch(void** save, void* load);
#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.globl tessera_fiber_switch
.type tessera_fiber_switch, @function
tessera_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size tessera_fiber_switch, .-tessera_fiber_switch
)");
#else
asm(R"(
.text
.p2align 4
.globl tessera_fiber_switch
.type tessera_fiber_switch, %function
tessera_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size tessera_fiber_switch, .-tessera_fiber_switch
)");
#endif
#endif

namespace tessera::emulator {

namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr size_t kGuardBytes = 4096;

// Who left and who was meant, for the side that arrives.
thread_local Fiber* leaving = nullptr;
thread_local Fiber* arriving = nullptr;

}  // namespace

Fiber::Fiber(void (*entry)()) : entry_(entry), stack_bytes_(kStackBytes) {
  void* mapping = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<char*>(mapping);
  mprotect(mapping_, kGuardBytes, PROT_NONE);  // a thread with too many locals faults here
  stack_ = mapping_ + kGuardBytes;
  restart();
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
  destroy_race_identity(race_identity_);
  unpoison(stack_, stack_bytes_);
  munmap(mapping_, kGuardBytes + kStackBytes);
}

void Fiber::restart() {
  unpoison(stack_, stack_bytes_);
  destroy_race_identity(race_identity_);
  race_identity_ = make_race_identity();
  address_sanitizer_stack_ = nullptr;
#if TESSERA_FIBER_SWITCH_IS_UCONTEXT
  getcontext(&registers_);
  registers_.uc_stack.ss_sp = stack_;
  registers_.uc_stack.ss_size = stack_bytes_;
  registers_.uc_link = nullptr;
  makecontext(&registers_, &Fiber::arrive, 0);
#elif defined(__x86_64__)
  // As if arrive() had been called from address 0, where a debugger's backtrace ends; six registers below it.
  auto** top = reinterpret_cast<void**>(stack_ + stack_bytes_);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&Fiber::arrive);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  stack_pointer_ = top;
#else
  auto** frame = reinterpret_cast<void**>(stack_ + stack_bytes_) - 20;
  for (int i = 0; i < 20; ++i) frame[i] = nullptr;
  frame[11] = reinterpret_cast<void*>(&Fiber::arrive);  // x30, the return address
  stack_pointer_ = frame;
#endif
}

void Fiber::adopt_thread() { race_identity_ = current_race_identity(); }

void Fiber::arrive() {
  const void* bottom = nullptr;
  size_t bytes = 0;
  finish_stack_switch(nullptr, &bottom, &bytes);
  if (leaving->mapping_ == nullptr) {  // the thread's own stack, learned on the first switch away from it
    leaving->stack_ = const_cast<char*>(static_cast<const char*>(bottom));
    leaving->stack_bytes_ = bytes;
  }
  arriving->entry_();
  std::abort();
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
  leaving = &from;
  arriving = &to;
  start_stack_switch(&from.address_sanitizer_stack_, to.stack_, to.stack_bytes_);
  switch_race_identity(to.race_identity_);
#if TESSERA_FIBER_SWITCH_IS_UCONTEXT
  swapcontext(&from.registers_, &to.registers_);
#else
  tessera_fiber_switch(&from.stack_pointer_, to.stack_pointer_);
#endif
  finish_stack_switch(from.address_sanitizer_stack_, nullptr, nullptr);
}

}  // namespace tessera::emulator
