// Recorded launches on the emulated device, whose memory the host cannot follow.
#include "engine/core/capture.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/core/allocator_scope.h"
#include "engine/core/error.h"
#include "engine/ops/add.h"
#include "engine/ops/group_norm.h"
#include "engine/ops/relu.h"
#include "kernels/constant_tables.h"
#include "tests/emulator/closed_allocator.h"

namespace tessera {
namespace {

using testing_support::make_closed_allocator;

class Capture : public ::testing::Test {
 protected:
  std::vector<float> numbers(float first) const {
    std::vector<float> values(2 * 3 * 5 * 8);
    for (size_t i = 0; i < values.size(); ++i) values[i] = first + std::sin(static_cast<float>(i) * first);
    return values;
  }
  void put(const Tensor& tensor, float first) { tensor.copy_from_host(context_, numbers(first).data()); }

  // Tables of the host, scratch, several launches, a cleared tensor and a copy on the device.
  Tensor work() {
    Tape tape(context_, Tape::Mode::forward);
    const Variable y = relu(tape, group_norm(tape, x_, scale_, shift_, {.groups = 4}));
    const Tensor zeros = Tensor::zeros(context_, x_.shape());
    return add(tape, y, add(tape, zeros, x_.clone(context_))).value;
  }

  // Error(internal) that says where it happened and what.
  void expect_refused(const std::function<void()>& call, const std::string& place, const std::string& what) {
    try {
      capture(context_, pool_, call);
      ADD_FAILURE() << "recorded: " << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::internal);
      EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
    EXPECT_FALSE(context_.capturing());
  }

  EmulatedContext context_{EmulatorSchedule::forward(), make_closed_allocator()};
  std::shared_ptr<BlockPool> pool_ = std::make_shared<BlockPool>(context_.allocator(), "graph");
  Tensor x_ = Tensor::empty(context_, {2, 3, 5, 8});
  Variable scale_ = Tensor::from_host<float>(context_, {8}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  Variable shift_ = Tensor::from_host<float>(context_, {8}, std::vector<float>{0, 1, 0, -1, 0, 1, 0, -1});
};

TEST_F(Capture, ReplaysEqualDirectRuns) {
  put(x_, 1.0f);
  {
    const AllocatorScope scope(context_, pool_);
    work();
  }
  const size_t taken = pool_->bytes();
  EXPECT_GT(taken, 0u);
  EXPECT_EQ(context_.allocator()->statistics().by_name.at("graph").live, taken);
  Tensor y;
  const std::unique_ptr<LaunchGraph> graph = capture(context_, pool_, [&] { y = work(); });
  EXPECT_GE(graph->launches(), 6);
  EXPECT_EQ(pool_->bytes(), taken);
  for (const float first : {0.3f, 2.0f, 0.3f}) {
    put(x_, first);
    const std::vector<float> expected = work().to_host<float>(context_);
    graph->replay();
    EXPECT_EQ(y.to_host<float>(context_), expected);
  }
}

TEST_F(Capture, NothingRunsWhileItIsRecorded) {
  put(x_, 1.0f);
  const Tensor y = Tensor::zeros(context_, x_.shape());
  const std::unique_ptr<LaunchGraph> graph = capture(context_, pool_, [&] { y.copy_from(context_, x_); });
  EXPECT_EQ(y.to_host<float>(context_), std::vector<float>(numbers(1.0f).size(), 0.0f));
  graph->replay();
  EXPECT_EQ(y.to_host<float>(context_), numbers(1.0f));
}

TEST_F(Capture, WhatCannotBeRepeatedIsAnErrorThatNamesItsPlace) {
  put(x_, 1.0f);
  const std::string here = "capture_test.cpp";
  expect_refused([&] { x_.to_host<float>(context_); }, here, "read by the host");
  expect_refused([&] { put(x_, 2.0f); }, here, "copied to the device");
  expect_refused([&] { Tensor::empty(context_, {64}); }, here, "256 bytes more than the direct run took");
  // The pool is empty: already the first allocation of the op is refused.
  expect_refused([&] { work(); }, "engine/ops/normalise_rows.cpp", "more than the direct run took");
  expect_refused([&] { capture(context_, pool_, [] {}); }, "capture.cpp", "another recording");
  // After an error everything works as before.
  EXPECT_EQ(work().elements(), x_.elements());
}

TEST_F(Capture, TablesOfTheHostMustHaveBeenThere) {
  put(x_, 1.0f);
  {
    const AllocatorScope scope(context_, pool_);
    work();
    Tensor::constant<float>(context_, {3}, std::vector<float>{1, 2, 3});
  }
  const size_t before = context_.constant_tables().bytes();
  Tensor known;
  const std::unique_ptr<LaunchGraph> graph = capture(context_, pool_, [&] {
    known = Tensor::constant<float>(context_, {3}, std::vector<float>{1, 2, 3});
    work();
  });
  EXPECT_EQ(known.to_host<float>(context_), (std::vector<float>{1, 2, 3}));
  EXPECT_FALSE(known.unique());
  EXPECT_EQ(context_.constant_tables().bytes(), before);
  expect_refused(
      [&] {
        Tensor::constant<float>(context_, {2}, std::vector<float>{1, 2});
      },
      "capture_test.cpp", "a table that the direct run did not make");
}

TEST_F(Capture, OtherDevicesSayTheyCannot) {
  CpuContext cpu(1);
  EXPECT_FALSE(can_capture(cpu));
  const auto pool = std::make_shared<BlockPool>(cpu.allocator(), "graph");
  try {
    capture(cpu, pool, [] {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
  }
}

TEST(ConstantTables, SameBytesShareATableAndForgottenOnesMakeRoom) {
  EmulatedContext context;
  ConstantTables& tables = context.constant_tables();
  const std::vector<int32_t> a = {1, 2, 3}, b = {1, 2, 4};
  const TableMemory first = tables.find(context, a.data(), 12);
  EXPECT_EQ(tables.find(context, a.data(), 12), first);
  EXPECT_NE(tables.find(context, b.data(), 12), first);
  EXPECT_NE(tables.find(context, a.data(), 8), first);
  EXPECT_EQ(context.allocator()->statistics().by_name.at("tables").live, 32u);
  const std::vector<char> large(ConstantTables::kMostBytes - 32);
  tables.find(context, large.data(), large.size());
  tables.find(context, large.data(), 16);
  // What nobody held went; the one that is held is still the one that is found.
  EXPECT_EQ(tables.bytes(), 12u + 16u);
  EXPECT_EQ(tables.find(context, a.data(), 12), first);
}

}  // namespace
}  // namespace tessera
