// What the emulator tells AddressSanitizer and ThreadSanitizer; nothing in other builds.
//
// Under ThreadSanitizer every emulated thread has an identity of its own and synchronises with others only where CUDA
// says so, at barriers: what is reported is a race of the kernel, within a block or between blocks. This file's
// includers are compiled without -fsanitize=thread (their own traffic is no race), with TESSERA_RACE_CHECK set.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef TESSERA_RACE_CHECK
#define TESSERA_RACE_CHECK 0
#endif

#if TESSERA_RACE_CHECK
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_read_range(void* address, unsigned long size);
void __tsan_write_range(void* address, unsigned long size);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace tessera::emulator {

inline constexpr bool kRaceCheck = TESSERA_RACE_CHECK != 0;

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
inline void start_stack_switch(void** save, const void* bottom, size_t bytes) {
  __sanitizer_start_switch_fiber(save, bottom, bytes);
}
inline void finish_stack_switch(void* saved, const void** old_bottom, size_t* old_bytes) {
  __sanitizer_finish_switch_fiber(saved, old_bottom, old_bytes);
}
inline void unpoison(const void* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
inline constexpr bool kAddressSanitizer = false;
inline void start_stack_switch(void**, const void*, size_t) {}
inline void finish_stack_switch(void*, const void**, size_t*) {}
inline void unpoison(const void*, size_t) {}
#endif

#if TESSERA_RACE_CHECK
inline void* make_race_identity() { return __tsan_create_fiber(0); }
inline void* current_race_identity() { return __tsan_get_current_fiber(); }
// What it did is ordered before all that the caller does from here on, also when it was stopped half way.
inline void destroy_race_identity(void* identity) {
  if (identity == nullptr) return;
  void* const own = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(identity, 1);
  __tsan_switch_to_fiber(own, 0);
  __tsan_destroy_fiber(identity);
}
inline void switch_race_identity(void* identity) { __tsan_switch_to_fiber(identity, 1); }  // 1: orders nothing
inline void race_acquire(void* address) { __tsan_acquire(address); }
inline void race_release(void* address) { __tsan_release(address); }
inline void race_read(const void* address, size_t bytes) { __tsan_read_range(const_cast<void*>(address), bytes); }
inline void race_write(void* address, size_t bytes) { __tsan_write_range(address, bytes); }

// Memory traffic of the emulator itself (and the malloc and memcpy it causes) in this scope is not the kernel's.
class NotOfTheKernel {
 public:
  NotOfTheKernel() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~NotOfTheKernel() {
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
  NotOfTheKernel(const NotOfTheKernel&) = delete;
  NotOfTheKernel& operator=(const NotOfTheKernel&) = delete;
};
#else
inline void* make_race_identity() { return nullptr; }
inline void* current_race_identity() { return nullptr; }
inline void destroy_race_identity(void*) {}
inline void switch_race_identity(void*) {}
inline void race_acquire(void*) {}
inline void race_release(void*) {}
inline void race_read(const void*, size_t) {}
inline void race_write(void*, size_t) {}
struct [[maybe_unused]] NotOfTheKernel {
  NotOfTheKernel() {}
};
#endif

}  // namespace tessera::emulator
