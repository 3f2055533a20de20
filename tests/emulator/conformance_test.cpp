// The wrappers of hardware instructions, against their definitions and against vectors recorded on a GPU.
//   TESSERA_BACKENDS=cuda TESSERA_RECORD_CONFORMANCE=tests/emulator/conformance_vectors.txt
//     build/release/tessera_tests --gtest_filter='Conformance.*'
// writes the vectors; from then on every build replays them on the emulator.
#include "tests/emulator/conformance.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/core/device.h"
#include "engine/core/dispatch.h"
#include "engine/core/rng.h"
#include "kernels/emulator/float16.h"
#include "kernels/memory.h"
#include "tests/ops/op_check.h"

namespace tessera {
namespace {

using namespace testing_support;

constexpr int kLanes = 32;
constexpr int kCases = 6;  // of random bits, per wrapper

using Words = std::vector<uint32_t>;

bool multiplies(Wrapper wrapper) { return wrapper <= Wrapper::mma_tf32; }

// Random words [32, kMostInputs]: all bit patterns, finite values of moderate size for the multiplications.
Words random_words(Wrapper wrapper, int which) {
  Rng rng(99, RandomPurpose::test, static_cast<uint64_t>(wrapper), static_cast<uint64_t>(which));
  Words words(kLanes * kMostInputs, 0u);
  const WrapperCase& of = kWrappers[static_cast<int>(wrapper)];
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < of.inputs; ++i) {
      const float a = static_cast<float>(rng.normal()), b = static_cast<float>(rng.normal());
      uint32_t& word = words[static_cast<size_t>(lane * kMostInputs + i)];
      const auto halves = [&] { return uint32_t{from_float<half>(a).bits} | uint32_t{from_float<half>(b).bits} << 16; };
      const auto bfloats = [&] {
        return uint32_t{from_float<bfloat16>(a).bits} | uint32_t{from_float<bfloat16>(b).bits} << 16;
      };
      if (!multiplies(wrapper)) {
        word = rng.bits();
      } else if (wrapper == Wrapper::mma_f16_f16) {
        word = halves();
      } else if (i < 4) {
        word = std::bit_cast<uint32_t>(a);
      } else if (wrapper == Wrapper::mma_tf32) {
        word = std::bit_cast<uint32_t>(a) & 0xffffe000u;
      } else {
        word = wrapper == Wrapper::mma_f16 ? halves() : bfloats();
      }
    }
  }
  return words;
}

Words run(Context& context, Wrapper wrapper, const Words& in) {
  Words out(kLanes * kMostOutputs, 0u);
  dispatch(context, [&](auto& backend) {
    if constexpr (!std::is_same_v<decltype(backend), CpuContext&>) {
      const Scratch<uint32_t> device_in(backend, in.size()), device_out(backend, out.size());
      memory_from_host(backend, device_in.data(), in.data(), in.size() * sizeof(uint32_t));
      memory_zero(backend, device_out.data(), out.size() * sizeof(uint32_t));
      run_wrapper(backend, wrapper, device_in.data(), device_out.data());
      memory_to_host(backend, out.data(), device_out.data(), out.size() * sizeof(uint32_t));
    }
  });
  return out;
}

// Words of one lane.
const uint32_t* of_lane(const Words& words, int lane, int stride) { return words.data() + lane * stride; }
double low_half(uint32_t pair) { return to_float(half{static_cast<uint16_t>(pair)}); }
double high_half(uint32_t pair) { return to_float(half{static_cast<uint16_t>(pair >> 16)}); }

// An element of a 16x8 result: what it should be, and the sum of all absolute terms.
struct Element {
  double value, magnitude;
};

// The product that the lanes' registers stand for, by the tables of the PTX manual: who holds element (row, column).
std::array<std::array<Element, 8>, 16> product(Wrapper wrapper, const Words& in) {
  const bool tf32 = wrapper == Wrapper::mma_tf32, half_sum = wrapper == Wrapper::mma_f16_f16;
  const int depth = tf32 ? 8 : 16, first_a = half_sum ? 2 : 4, first_b = first_a + 4;
  const auto widened = [&](uint32_t word, int which) -> double {
    if (tf32) return std::bit_cast<float>(word);
    if (wrapper == Wrapper::mma_bf16) return to_float(bfloat16{static_cast<uint16_t>(word >> (16 * which))});
    return which == 0 ? low_half(word) : high_half(word);
  };
  const auto a_at = [&](int row, int k) {
    const int columns = tf32 ? 4 : 8;  // that one register column spans
    const int lane = row % 8 * 4 + (tf32 ? k % 4 : k % 8 / 2);
    const int reg = row / 8 + 2 * (k / columns);
    return widened(of_lane(in, lane, kMostInputs)[first_a + reg], tf32 ? 0 : k % 2);
  };
  const auto b_at = [&](int k, int column) {
    const int lane = column * 4 + (tf32 ? k % 4 : k % 8 / 2);
    return widened(of_lane(in, lane, kMostInputs)[first_b + k / (tf32 ? 4 : 8)], tf32 ? 0 : k % 2);
  };
  std::array<std::array<Element, 8>, 16> result;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      const uint32_t* own = of_lane(in, row % 8 * 4 + column / 2, kMostInputs);
      const double start = half_sum ? (column % 2 == 0 ? low_half(own[row / 8]) : high_half(own[row / 8]))
                                    : std::bit_cast<float>(own[2 * (row / 8) + column % 2]);
      Element element{start, std::abs(start)};
      for (int k = 0; k < depth; ++k) {
        const double term = a_at(row, k) * b_at(k, column);
        element.value += term;
        element.magnitude += std::abs(term);
      }
      result[static_cast<size_t>(row)][static_cast<size_t>(column)] = element;
    }
  }
  return result;
}

double result_at(Wrapper wrapper, const Words& out, int row, int column) {
  const uint32_t* own = of_lane(out, row % 8 * 4 + column / 2, kMostOutputs);
  if (wrapper != Wrapper::mma_f16_f16) return std::bit_cast<float>(own[2 * (row / 8) + column % 2]);
  return column % 2 == 0 ? low_half(own[row / 8]) : high_half(own[row / 8]);
}

// Tensor cores align the terms to the largest and cut bits below the accumulator's: a few units of its last place.
double sum_bound(Wrapper wrapper, double magnitude) {
  return magnitude * (wrapper == Wrapper::mma_f16_f16 ? 0x1p-9 : 0x1p-20);
}

void expect_definition(Wrapper wrapper, const Words& in, const Words& out) {
  if (multiplies(wrapper)) {
    const auto expected = product(wrapper, in);
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        const Element& element = expected[static_cast<size_t>(row)][static_cast<size_t>(column)];
        ASSERT_NEAR(result_at(wrapper, out, row, column), element.value, sum_bound(wrapper, element.magnitude))
            << "row " << row << " column " << column;
      }
    }
    return;
  }
  const auto half_word = [&](int lane, int index) {  // 16-bit value `index` of the 16 bytes of a lane
    return of_lane(in, lane, kMostInputs)[index / 2] >> (16 * (index % 2)) & 0xffffu;
  };
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint32_t* x = of_lane(in, lane, kMostInputs);
    const uint32_t* y = of_lane(out, lane, kMostOutputs);
    const int g = lane / 4, t = lane % 4;
    const int kind = static_cast<int>(wrapper);
    if (wrapper >= Wrapper::ldmatrix_x1 && wrapper <= Wrapper::ldmatrix_x4_transposed) {
      const bool transposed = wrapper >= Wrapper::ldmatrix_x1_transposed;
      const int matrices =
          1 << (kind - static_cast<int>(transposed ? Wrapper::ldmatrix_x1_transposed : Wrapper::ldmatrix_x1));
      for (int m = 0; m < matrices; ++m) {
        const auto row_of = [&](int row) { return (5 * (8 * m + row) + 3) % 32; };
        const uint32_t low = transposed ? half_word(row_of(2 * t), g) : half_word(row_of(g), 2 * t);
        const uint32_t high = transposed ? half_word(row_of(2 * t + 1), g) : half_word(row_of(g), 2 * t + 1);
        ASSERT_EQ(y[m], low | high << 16) << "lane " << lane << " matrix " << m;
      }
    } else if (wrapper >= Wrapper::copy_async_4 && wrapper <= Wrapper::copy_async_16) {
      const int words = 1 << (kind - static_cast<int>(Wrapper::copy_async_4));
      for (int i = 0; i < 4; ++i) {
        ASSERT_EQ(y[i], i >= words ? 0xffffffffu : x[0] % 2 == 0 ? x[i] : 0u) << "lane " << lane << " word " << i;
      }
    } else if (wrapper == Wrapper::to_tf32) {
      const float value = std::bit_cast<float>(x[0]);
      if (std::isnan(value)) continue;
      EXPECT_EQ(y[0] & 0x1fffu, 0u);
      if (std::isinf(value)) {
        ASSERT_EQ(y[0], x[0]);
        continue;
      }
      // Nearest multiple of the unit of 10 fraction bits, ties away from zero.
      const double unit = std::ldexp(1.0, std::max(std::ilogb(value), -126) - 10);
      const double rounded = std::round(value / unit) * unit;
      if (value != 0) {
        ASSERT_EQ(static_cast<double>(std::bit_cast<float>(y[0])),
                  std::abs(rounded) >= 0x1p128 ? std::copysign(HUGE_VAL, rounded) : rounded)
            << std::hexfloat << value;
      }
    } else if (wrapper == Wrapper::shuffle) {
      const auto value_of = [&](int other) { return of_lane(in, other, kMostInputs)[0]; };
      const int source = static_cast<int>(x[1] % 32), segment = lane / 8 * 8;
      const uint32_t expected[8] = {value_of(lane ^ 13),
                                    value_of(source),
                                    value_of(lane >= 3 ? lane - 3 : lane),
                                    value_of(lane + 3 < 32 ? lane + 3 : lane),
                                    value_of((lane ^ 9) < segment + 8 ? lane ^ 9 : lane),
                                    value_of(segment + source % 8),
                                    value_of(lane - 3 >= segment ? lane - 3 : lane),
                                    value_of(lane + 3 < segment + 8 ? lane + 3 : lane)};
      for (int i = 0; i < 8; ++i) ASSERT_EQ(y[i], expected[i]) << "lane " << lane << " shuffle " << i;
    } else if (wrapper == Wrapper::vote) {
      uint32_t ballot = 0;
      for (int other = 0; other < kLanes; ++other) ballot |= (of_lane(in, other, kMostInputs)[0] & 1u) << other;
      ASSERT_EQ(y[0], ballot);
      ASSERT_EQ(y[1], ballot != 0 ? 1u : 0u);
      ASSERT_EQ(y[2], ballot == 0xffffffffu ? 1u : 0u);
    } else {  // conversions: tests/emulator/float16_test.cpp holds the definition of each
      const float low = std::bit_cast<float>(x[0]);
      const float high = wrapper == Wrapper::pack2 ? std::bit_cast<float>(x[1]) : 0.0f;
      ASSERT_EQ(y[0], uint32_t{from_float<half>(low).bits} | uint32_t{from_float<half>(high).bits} << 16);
      ASSERT_EQ(y[1], uint32_t{from_float<bfloat16>(low).bits} | uint32_t{from_float<bfloat16>(high).bits} << 16);
    }
  }
}

// The recorded result of a GPU against that of the emulator.
void expect_recorded(Wrapper wrapper, const Words& in, const Words& recorded, const Words& out) {
  const WrapperCase& of = kWrappers[static_cast<int>(wrapper)];
  if (!of.exact) {
    const auto bounds = product(wrapper, in);
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        const double magnitude = bounds[static_cast<size_t>(row)][static_cast<size_t>(column)].magnitude;
        ASSERT_NEAR(result_at(wrapper, out, row, column), result_at(wrapper, recorded, row, column),
                    sum_bound(wrapper, magnitude));
      }
    }
    return;
  }
  EXPECT_EQ(out, recorded);
}

TEST(Conformance, WrappersDoWhatTheirInstructionsAreDefinedToDo) {
  std::ofstream record;
  const char* file = std::getenv("TESSERA_RECORD_CONFORMANCE");
  bool on_gpu = false;
  const auto check = [&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    on_gpu = on_gpu || context.backend() == Backend::cuda;
    if (file != nullptr && context.backend() == Backend::cuda) record.open(file);
    for (int i = 0; i < static_cast<int>(Wrapper::count); ++i) {
      const Wrapper wrapper = static_cast<Wrapper>(i);
      for (int which = 0; which < kCases; ++which) {
        SCOPED_TRACE(std::string(kWrappers[i].name) + " case " + std::to_string(which));
        const Words in = random_words(wrapper, which), out = run(context, wrapper, in);
        expect_definition(wrapper, in, out);
        if (!record.is_open()) continue;
        record << kWrappers[i].name << ' ' << which << std::hex;
        for (const uint32_t word : out) record << ' ' << word;
        record << std::dec << '\n';
      }
    }
  };
  for_each_backend(check);
  for (const EmulatorSchedule& schedule : {EmulatorSchedule::forward(), EmulatorSchedule::shuffled()}) {
    EmulatedContext context(schedule);
    check(context);
  }
  EXPECT_TRUE(file == nullptr || on_gpu) << "vectors are recorded with TESSERA_BACKENDS=cuda";
}

TEST(Conformance, EmulatorReplaysWhatAGpuDid) {
  std::ifstream recorded("tests/emulator/conformance_vectors.txt");
  if (!recorded) GTEST_SKIP() << "tests/emulator/conformance_vectors.txt: not recorded on a GPU yet";
  EmulatedContext context;
  int replayed = 0;
  for (std::string line; std::getline(recorded, line); ++replayed) {
    std::istringstream text(line);
    std::string name;
    int which = 0;
    text >> name >> which >> std::hex;
    Words words;
    for (uint32_t word; text >> word;) words.push_back(word);
    ASSERT_EQ(words.size(), static_cast<size_t>(kLanes * kMostOutputs)) << name;
    int kind = 0;
    while (kind < static_cast<int>(Wrapper::count) && name != kWrappers[kind].name) ++kind;
    ASSERT_LT(kind, static_cast<int>(Wrapper::count)) << name;
    SCOPED_TRACE(name + " case " + std::to_string(which));
    const Wrapper wrapper = static_cast<Wrapper>(kind);
    const Words in = random_words(wrapper, which);
    expect_recorded(wrapper, in, words, run(context, wrapper, in));
  }
  EXPECT_EQ(replayed, static_cast<int>(Wrapper::count) * kCases);
}

}  // namespace
}  // namespace tessera
