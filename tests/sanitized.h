// Whether the tests run under AddressSanitizer or ThreadSanitizer, much slower than without: tests that only repeat
// what smaller ones reach leave out a part then, and say which.
#pragma once

namespace tessera::testing_support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// AddressSanitizer alone: it sees addresses, whatever the order of threads, and sees the same in a second run.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitized = true;
#else
inline constexpr bool kAddressSanitized = false;
#endif

}  // namespace tessera::testing_support
