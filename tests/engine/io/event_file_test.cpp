#include "engine/io/event_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>

#include "tests/engine/io/event_decoder.h"
#include "tests/engine/io/temporary_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing_support::DecodedEvent;
using testing_support::EventDecoder;
using testing_support::TemporaryFolder;

fs::path only_file(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 1u);
  return files.at(0);
}

std::vector<DecodedEvent> decoded(const fs::path& folder) { return EventDecoder(content_of(only_file(folder))).all(); }

std::vector<int64_t> steps(const fs::path& folder) {
  std::vector<int64_t> list;
  for (const DecodedEvent& event : decoded(folder)) {
    if (!event.scalars.empty()) list.push_back(event.step);
  }
  return list;
}

// The bytes TensorBoard's own writer makes of Event(wall_time=1.5, step=300, summary of "a" = 0.25).
TEST(EventFile, AnEventByteByByte) {
  const std::vector<Scalar> scalars = {{"a", 0.25}};
  const std::string event = scalar_event(1.5, 300, scalars);
  const std::string expected(
      "\x09\0\0\0\0\0\0\xF8\x3F"
      "\x10\xAC\x02"
      "\x2A\x0A"
      "\x0A\x08\x0A\x01"
      "a"
      "\x15\0\0\x80\x3E",
      24);
  EXPECT_EQ(event, expected);
  const std::string version = version_event(0);
  EXPECT_EQ(version, std::string("\x09\0\0\0\0\0\0\0\0\x1A\x0D", 11) + "brain.Event:2");
  EXPECT_EQ(event_record(event).size(), 8 + 4 + event.size() + 4);
}

TEST(EventFile, ScalarsWithTheirSteps) {
  const TemporaryFolder folder;
  const double before = static_cast<double>(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
  {
    EventFile events(folder.path(), {});
    EXPECT_TRUE(events.write(20, std::vector<Scalar>{{"loss", 2.5}, {"losses/cls", 0.1}}));
    EXPECT_TRUE(events.write(int64_t{1} << 40, std::vector<Scalar>{{"segm/AP", 0.75}, {"segm/APl", std::nan("")}}));
    EXPECT_TRUE(events.write(7, std::vector<Scalar>{{"loss", INFINITY}}));  // nothing to say, nothing written
    EXPECT_EQ(decoded(folder.path()).size(), 3u);                           // on its way at once, not at the end
  }
  const std::string name = only_file(folder.path()).filename();
  EXPECT_TRUE(name.starts_with("events.out.tfevents.") && name.ends_with(".tessera")) << name;
  const std::vector<DecodedEvent> events = decoded(folder.path());
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[1].step, 20);
  EXPECT_EQ(events[1].scalars, (std::vector<std::pair<std::string, float>>{{"loss", 2.5f}, {"losses/cls", 0.1f}}));
  EXPECT_EQ(events[2].step, int64_t{1} << 40);
  EXPECT_EQ(events[2].scalars, (std::vector<std::pair<std::string, float>>{{"segm/AP", 0.75f}}));
  EXPECT_GE(events[1].wall_time, before);
}

TEST(EventFile, ResumeRemovesWhatWillBeDoneAgain) {
  const TemporaryFolder folder;
  const auto write = [](EventFile& events, const char* tag, int64_t step) {
    EXPECT_TRUE(events.write(step, std::vector<Scalar>{{tag, static_cast<double>(step)}}));
  };
  {
    EventFile events(folder.path(), {});
    for (const int64_t step : {10, 20, 30}) write(events, "loss", step);
    write(events, "segm/AP", 30);
  }
  const double first_wall_time = decoded(folder.path())[1].wall_time;
  {
    EventFile events(folder.path(), [](std::string_view tag, int64_t step) { return step <= 20 || tag == "segm/AP"; });
    EXPECT_EQ(steps(folder.path()), (std::vector<int64_t>{10, 20, 30}));
    EXPECT_EQ(decoded(folder.path()).back().scalars[0].first, "segm/AP");
  }
  EventFile events(folder.path(), [](std::string_view, int64_t step) { return step <= 20; });
  write(events, "loss", 30);
  EXPECT_EQ(steps(folder.path()), (std::vector<int64_t>{10, 20, 30}));
  EXPECT_EQ(decoded(folder.path())[0].version, "brain.Event:2");
  EXPECT_EQ(decoded(folder.path())[1].wall_time, first_wall_time);
}

// A crash or a bad disk: the whole records before the damage stay, whatever byte it begins at.
TEST(EventFile, WhatIsCutOrDamagedIsDropped) {
  const TemporaryFolder folder;
  {
    EventFile events(folder.path(), {});
    for (const int64_t step : {1, 2}) events.write(step, std::vector<Scalar>{{"loss", 0.5}});
  }
  const fs::path file = only_file(folder.path());
  const std::string whole = content_of(file);
  const size_t last = whole.rfind("loss") - 30;
  for (size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(file, std::ios::binary) << whole.substr(0, size);
    EventFile events(folder.path(), {});
    ASSERT_FALSE(decoded(folder.path()).empty()) << size;
    EXPECT_EQ(decoded(folder.path())[0].version, "brain.Event:2");
    EXPECT_LT(steps(folder.path()).size(), 2u) << size;
    EXPECT_TRUE(events.write(9, std::vector<Scalar>{{"loss", 1}}));
    EXPECT_EQ(steps(folder.path()).back(), 9);
  }
  for (size_t place = last; place < whole.size(); ++place) {
    std::string damaged = whole;
    damaged[place] = static_cast<char>(damaged[place] ^ 0x40);
    EXPECT_LT(event_records(damaged).size(), 3u) << place;
  }
  EXPECT_EQ(event_records(whole).size(), 3u);
}

TEST(EventFile, MessagesThatAreNoEvents) {
  EXPECT_FALSE(read_event_head("\x10"));                                              // a step without its number
  EXPECT_FALSE(read_event_head("\x10\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));  // that never ends
  EXPECT_FALSE(read_event_head("\x2A\x7F"));          // a summary longer than the message
  EXPECT_FALSE(read_event_head("\x2A\x02\x0A\x7F"));  // a value longer than the summary
  EXPECT_FALSE(read_event_head("\x13"));              // groups
  EXPECT_FALSE(read_event_head("\x09\x01"));
  const std::optional<EventHead> unknown = read_event_head("\x38\x05\x10\x06");  // a field of a later version
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->step, 6);
  EXPECT_EQ(unknown->tag, "");
}

TEST(EventFile, FullDiskDropsEventsAndGoesOn) {
  const TemporaryFolder folder;
  EventFile events(folder.path(), {});
  const auto size = fs::file_size(only_file(folder.path()));
  ::testing::internal::CaptureStderr();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{size + 10, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const bool refused = events.write(1, std::vector<Scalar>{{"loss", 1}});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ::testing::internal::GetCapturedStderr();
  EXPECT_FALSE(refused);
  EXPECT_TRUE(events.write(2, std::vector<Scalar>{{"loss", 1}}));
  EXPECT_EQ(steps(folder.path()), std::vector<int64_t>{2});
}

TEST(EventFile, ARunGoesOnWithout) {
  const TemporaryFolder folder;
  ::testing::internal::CaptureStderr();
  EventFile events(folder.path() / "absent", {});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(said.starts_with("warning: ")) << said;
  EXPECT_NE(said.find("the run goes on"), std::string::npos) << said;
  EXPECT_FALSE(events.write(1, std::vector<Scalar>{{"loss", 1}}));
}

}  // namespace
}  // namespace tessera
