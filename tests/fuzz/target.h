// A parser of untrusted bytes as two callers see it: `make fuzz` gives it what libFuzzer invents, the ordinary suite
// its seeds and damaged copies of them. A parser may refuse its input with the Error of its contract; every other
// exception, a crash, a report of a sanitizer and a time-out are findings.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/error.h"

#ifndef TESSERA_FUZZ
#include <gtest/gtest.h>
#endif

namespace tessera::fuzz {

using Bytes = std::span<const uint8_t>;
using Parse = bool (*)(Bytes);  // false: refused

inline std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string string_of(Bytes bytes) { return std::string(text_of(bytes)); }

// What a parser owes whatever it reads; abort() would not name the condition.
inline void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

// false where read() refuses with an Error of that code.
template <typename Read>
bool accepts(ExitCode code, Read&& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    if (error.code() != code) throw;
    return false;
  }
}

#ifndef TESSERA_FUZZ
// Every seed must be accepted. Of each, some beginnings and some copies with one byte changed are parsed as well, the
// same ones in every run.
inline void replay(Parse parse, const std::vector<std::string>& seeds) {
  constexpr size_t kDamages = 48;
  ASSERT_FALSE(seeds.empty());
  for (size_t seed = 0; seed < seeds.size(); ++seed) {
    SCOPED_TRACE(seed);
    const std::string& whole = seeds[seed];
    EXPECT_TRUE(parse(bytes_of(whole)));
    for (size_t i = 0; i < kDamages && !whole.empty(); ++i) {
      const size_t place = i * whole.size() / kDamages;
      parse(bytes_of(std::string_view(whole).substr(0, place)));
      std::string damaged = whole;
      damaged[place] = static_cast<char>(damaged[place] ^ (1 << i % 8));
      parse(bytes_of(damaged));
    }
  }
}
#else
// FUZZER --write-seeds FOLDER fills the corpus that a first run begins with.
inline int write_seeds_if_asked(int argc, char** argv, const std::vector<std::string>& seeds) {
  if (argc != 3 || std::string_view(argv[1]) != "--write-seeds") return 0;
  for (size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream(std::string(argv[2]) + "/seed_" + std::to_string(i), std::ios::binary) << seeds[i];
  }
  std::exit(0);
}
#endif

}  // namespace tessera::fuzz

// parse: Parse; seeds: a function that makes a vector of inputs it accepts.
#ifdef TESSERA_FUZZ
#define TESSERA_FUZZ_TARGET(name, parse, seeds)                             \
  extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);             \
  extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {            \
    return ::tessera::fuzz::write_seeds_if_asked(*argc, *argv, (seeds)());  \
  }                                                                         \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    (parse)({data, size});                                                  \
    return 0;                                                               \
  }
#else
#define TESSERA_FUZZ_TARGET(name, parse, seeds) \
  TEST(Fuzz, name) { ::tessera::fuzz::replay(parse, (seeds)()); }
#endif
