// Whether the tests run under AddressSanitizer or ThreadSanitizer, much slower than without: tests that only repeat
// what smaller ones reach leave out a part then, and say which.
#pragma once

namespace tessera::testing_support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace tessera::testing_support
