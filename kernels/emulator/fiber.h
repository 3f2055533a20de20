// A stack of its own and the switch to it: one fiber runs one emulated thread. A switch saves the registers a function
// must preserve and nothing else, about ten nanoseconds; other processors than x86-64 and aarch64 use ucontext.
// Under AddressSanitizer and ThreadSanitizer each switch is announced to them.
#pragma once

#include <cstddef>

#if defined(TESSERA_FIBER_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
#define TESSERA_FIBER_SWITCH_IS_UCONTEXT 1
#include <ucontext.h>
#else
#define TESSERA_FIBER_SWITCH_IS_UCONTEXT 0
#endif

namespace tessera::emulator {

class Fiber {
 public:
  Fiber() = default;  // the calling thread itself, to come back to
  // Runs entry() on the first switch to it; entry must not return. Throws std::bad_alloc without memory for the stack.
  explicit Fiber(void (*entry)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Leaves `from`, which must be running, for `to`; returns when something switches back.
  static void switch_to(Fiber& from, Fiber& to);

  // Forgets what ran here: the next switch calls entry again. Nothing on the stack is destroyed.
  void restart();

  // Takes the identity that race checking gives to the running thread; for fibers made by Fiber().
  void adopt_thread();

 private:
  static void arrive();

  void (*entry_)() = nullptr;
  char* mapping_ = nullptr;  // guard page, then the stack
  char* stack_ = nullptr;
  size_t stack_bytes_ = 0;
#if TESSERA_FIBER_SWITCH_IS_UCONTEXT
  ucontext_t registers_{};
#else
  void* stack_pointer_ = nullptr;
#endif
  void* address_sanitizer_stack_ = nullptr;
  void* race_identity_ = nullptr;
};

}  // namespace tessera::emulator
