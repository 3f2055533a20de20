// TensorBoard's event file of a run: scalars by tag and step. The layout was taken from the public definitions of
// TensorFlow: records from tensorflow/core/lib/io/record_writer.h, messages from tensorflow/core/util/event.proto and
// tensorflow/core/framework/summary.proto.
//
//   record   length (u64, little endian) | masked CRC-32C of the length (u32) | data | masked CRC-32C of the data (u32)
//   masked   ((crc >> 15) | (crc << 17)) + 0xa282ead8
//   Event    1: wall_time (double), 2: step (int64), 3: file_version (string), 5: summary (Summary)
//   Summary  1: value (repeated Value);  Value  1: tag (string), 2: simple_value (float)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/append_file.h"

namespace tessera {

using Scalar = std::pair<std::string, double>;  // tag, value

// Records as above. The second is the part of an untrusted file that can be believed: its whole records with right
// checksums, up to the first that is not, as views of `file`.
std::string event_record(std::string_view event);
std::vector<std::string_view> event_records(std::string_view file);

// The first record of every file.
std::string version_event(double wall_time);
// wall_time: seconds since 1970. Values that are not finite are left out; empty when none is left.
std::string scalar_event(double wall_time, int64_t step, std::span<const Scalar> scalars);

// What a resume asks about an event: its step, and the first tag of its summary.
struct EventHead {
  int64_t step = 0;
  std::string_view tag;  // a view of the event; empty where it has none
};
// nullopt: not a message of the layout above.
std::optional<EventHead> read_event_head(std::string_view event);

class EventFile {
 public:
  using Keeps = std::function<bool(std::string_view tag, int64_t step)>;

  // Goes on with FOLDER/events.out.tfevents.<seconds>.tessera, or creates it, <seconds> being now. What a crash cut or
  // damaged is dropped, and of a resumed run the events it will write again: those with tags that keeps() refuses. A
  // file that cannot be opened is said once, and the run goes on without.
  EventFile(const std::filesystem::path& folder, const Keeps& keeps);

  // One event, whole or not at all; false when there is no file or the disk refused it.
  bool write(int64_t step, std::span<const Scalar> scalars);

 private:
  std::optional<AppendFile> file_;
};

}  // namespace tessera
