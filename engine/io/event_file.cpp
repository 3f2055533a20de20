#include "engine/io/event_file.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <exception>

#include "engine/io/atomic_file.h"
#include "engine/io/crc32c.h"

namespace tessera {

namespace {

constexpr std::string_view kNameBegin = "events.out.tfevents.", kNameEnd = ".tessera";
constexpr std::string_view kVersion = "brain.Event:2";

// Protocol buffers: a field is a varint number << 3 | wire type, then its value.
enum WireType : uint32_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <typename Integer>
void put_fixed(std::string& to, Integer value) {
  for (size_t i = 0; i < sizeof(value); ++i) to += static_cast<char>((value >> (8 * i)) & 255);
}

void put_varint(std::string& to, uint64_t value) {
  for (; value >= 128; value >>= 7) to += static_cast<char>((value & 127) | 128);
  to += static_cast<char>(value);
}

void put_key(std::string& to, uint32_t field, WireType type) { put_varint(to, field << 3 | type); }

void put_bytes(std::string& to, uint32_t field, std::string_view bytes) {
  put_key(to, field, length_delimited);
  put_varint(to, bytes.size());
  to += bytes;
}

std::string begin_event(double wall_time) {
  std::string event;
  put_key(event, 1, fixed64);
  put_fixed(event, std::bit_cast<uint64_t>(wall_time));
  return event;
}

uint32_t masked_crc(std::string_view data) {
  const uint32_t crc = crc32c(data.data(), data.size());
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

uint64_t fixed_at(std::string_view file, size_t place, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<uint8_t>(file[place + i])} << (8 * i);
  return value;
}

std::optional<uint64_t> take_varint(std::string_view& from) {
  uint64_t value = 0;
  for (size_t i = 0; i < from.size() && i < 10; ++i) {
    const auto byte = static_cast<uint8_t>(from[i]);
    value |= uint64_t{byte & 127u} << (7 * i);
    if (byte < 128) {
      from.remove_prefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of a varint
  std::string_view bytes;  // of everything else
};

std::optional<Field> take_field(std::string_view& from) {
  const std::optional<uint64_t> key = take_varint(from);
  if (!key) return std::nullopt;
  Field field{.number = *key >> 3};
  uint64_t size = 0;
  switch (*key & 7) {
    case varint:
    case length_delimited: {
      const std::optional<uint64_t> value = take_varint(from);
      if (!value) return std::nullopt;
      if ((*key & 7) == varint) {
        field.value = *value;
      } else {
        size = *value;
      }
      break;
    }
    case fixed64:
      size = 8;
      break;
    case fixed32:
      size = 4;
      break;
    default:
      return std::nullopt;
  }
  if (size > from.size()) return std::nullopt;
  field.bytes = from.substr(0, size);
  from.remove_prefix(size);
  return field;
}

// The bytes of the first field of that number; nullopt where the message is damaged before it.
std::optional<std::string_view> first_bytes(std::string_view message, uint64_t number) {
  while (!message.empty()) {
    const std::optional<Field> field = take_field(message);
    if (!field) return std::nullopt;
    if (field->number == number) return field->bytes;
  }
  return std::string_view();
}

std::filesystem::path file_of_run(const std::filesystem::path& folder) {
  std::filesystem::path found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kNameBegin) || !name.ends_with(kNameEnd)) continue;
    if (found.empty() || entry.path() < found) found = entry.path();
  }
  if (!found.empty()) return found;
  return folder / fmt::format("{}{}{}", kNameBegin, static_cast<int64_t>(seconds_now()), kNameEnd);
}

}  // namespace

std::string event_record(std::string_view event) {
  std::string record;
  put_fixed(record, uint64_t{event.size()});
  put_fixed(record, masked_crc(record));
  record += event;
  put_fixed(record, masked_crc(event));
  return record;
}

std::vector<std::string_view> event_records(std::string_view file) {
  constexpr size_t kHeader = 12, kFooter = 4;
  std::vector<std::string_view> events;
  while (file.size() >= kHeader + kFooter) {
    const uint64_t length = fixed_at(file, 0, 8);
    if (fixed_at(file, 8, 4) != masked_crc(file.substr(0, 8)) || length > file.size() - kHeader - kFooter) break;
    const std::string_view event = file.substr(kHeader, length);
    if (fixed_at(file, kHeader + length, 4) != masked_crc(event)) break;
    events.push_back(event);
    file.remove_prefix(kHeader + length + kFooter);
  }
  return events;
}

std::string version_event(double wall_time) {
  std::string event = begin_event(wall_time);
  put_bytes(event, 3, kVersion);
  return event;
}

std::string scalar_event(double wall_time, int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    const auto narrow = static_cast<float>(value);
    if (!std::isfinite(narrow)) continue;
    std::string entry;
    put_bytes(entry, 1, tag);
    put_key(entry, 2, fixed32);
    put_fixed(entry, std::bit_cast<uint32_t>(narrow));
    put_bytes(summary, 1, entry);
  }
  if (summary.empty()) return "";
  std::string event = begin_event(wall_time);
  put_key(event, 2, varint);
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);
  return event;
}

std::optional<EventHead> read_event_head(std::string_view event) {
  EventHead head;
  while (!event.empty()) {
    const std::optional<Field> field = take_field(event);
    if (!field) return std::nullopt;
    if (field->number == 2) head.step = static_cast<int64_t>(field->value);
    if (field->number != 5 || !head.tag.empty()) continue;
    const std::optional<std::string_view> value = first_bytes(field->bytes, 1);
    const std::optional<std::string_view> tag = value ? first_bytes(*value, 1) : std::nullopt;
    if (!tag) return std::nullopt;
    head.tag = *tag;
  }
  return head;
}

EventFile::EventFile(const std::filesystem::path& folder, const Keeps& keeps) {
  try {
    const std::filesystem::path file = file_of_run(folder);
    const std::string content = content_of(file);
    std::string kept;
    for (const std::string_view event : event_records(content)) {
      const std::optional<EventHead> head = read_event_head(event);
      if (!head || (!head->tag.empty() && keeps && !keeps(head->tag, head->step))) continue;
      kept += event_record(event);
    }
    if (kept.empty()) kept = event_record(version_event(seconds_now()));
    if (kept != content) write_file_atomic(file, kept);
    file_.emplace(file);
  } catch (const std::exception& error) {
    warn_about_file(fmt::format("{}; the run goes on without TensorBoard's events", error.what()));
  }
}

bool EventFile::write(int64_t step, std::span<const Scalar> scalars) {
  const std::string event = scalar_event(seconds_now(), step, scalars);
  return event.empty() || (file_ && file_->write(event_record(event)));
}

}  // namespace tessera
