#include "engine/io/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "engine/core/error.h"
#include "engine/io/crc32c.h"

namespace tessera {

static_assert(std::endian::native == std::endian::little, "tensors are stored little endian and read as they are");

namespace {

constexpr size_t kPiece = size_t{1} << 20;  // bytes read at a time when only the checksum is wanted

std::string system_message(int error_number) { return std::generic_category().message(error_number); }

float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float subnormal = static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(subnormal));
}

// The failure of a file that is none of safetensors: what its first bytes say it is instead.
[[noreturn]] void throw_other_format(const std::filesystem::path& file, std::string_view start,
                                     const std::string& reason) {
  const std::string name = file.string();
  const auto begins = [&](std::string_view bytes) { return start.substr(0, bytes.size()) == bytes; };
  const bool pickle = start.size() >= 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5;
  if (pickle || begins("PK\x03\x04")) {
    std::filesystem::path converted = file;
    throw Error(ExitCode::weights,
                fmt::format("{}: {}, not a safetensors file", name,
                            pickle ? "a Python pickle, as old PyTorch files and .pkl are"
                                   : "a zip archive, as PyTorch's .pth files are"),
                fmt::format("tessera convert {} {}", name, converted.replace_extension(".safetensors").string()));
  }
  const char* kind = nullptr;
  if (begins("\xff\xd8\xff") || begins("\x89PNG") || begins("GIF8") || begins("BM")) kind = "a picture";
  if (begins("{") || begins("[")) kind = "JSON text";
  if (begins("<")) kind = "HTML or XML text";
  if (begins("version https://git-lfs")) kind = "a pointer of Git LFS, whose file was not fetched";
  if (kind == nullptr) throw_bad_weight_file(name, reason);
  throw Error(ExitCode::weights, fmt::format("{}: {}, not a safetensors file", name, kind),
              "a .safetensors file in its place");
}

template <typename Stored, typename Convert>
std::vector<float> widen(const std::vector<std::byte>& bytes, Convert&& convert) {
  std::vector<float> values(bytes.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    Stored stored;  // the data section need not be aligned
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = convert(stored);
  }
  return values;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path file) : path_(std::move(file)) {
  const std::string name = path_.string();
  descriptor_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0)
    throw Error(ExitCode::weights, fmt::format("{}: cannot open: {}", name, system_message(errno)),
                fmt::format("ls -l {}", name));
  try {
    struct stat status {};
    if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) throw_bad_weight_file(name, "not a file");
    const uint64_t size = static_cast<uint64_t>(status.st_size);
    std::string start(std::min<uint64_t>(size, 32), '\0');
    read_at(0, start.data(), start.size(), "header");
    if (size < 8) throw_other_format(path_, start, fmt::format("{} bytes are no safetensors file", size));
    uint64_t length = 0;
    std::memcpy(&length, start.data(), sizeof(length));
    if (length > kMaxSafetensorsHeader)
      throw_other_format(path_, start,
                         fmt::format("a header of {} bytes is above the limit of {}: not a safetensors "
                                     "file",
                                     length, kMaxSafetensorsHeader));
    if (length > size - 8)
      throw_bad_weight_file(name, fmt::format("a header of {} bytes in a file of {} (truncated)", length, size));
    std::string text(length, '\0');
    read_at(8, text.data(), text.size(), "header");
    data_begin_ = 8 + length;
    header_ = parse_safetensors_header(text, size - data_begin_, name);
    for (const SafetensorsEntry& entry : header_.entries) by_name_.emplace(entry.name, &entry);
    take_checksums();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { close(descriptor_); }

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

void SafetensorsFile::read_at(uint64_t offset, void* destination, size_t bytes, std::string_view what) const {
  char* rest = static_cast<char*>(destination);
  while (bytes > 0) {
    const ssize_t done = pread(descriptor_, rest, std::min<size_t>(bytes, size_t{1} << 30), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw_bad_weight_file(path_.string(), fmt::format("{}: {}", what, system_message(errno)));
    if (done == 0) throw_bad_weight_file(path_.string(), fmt::format("{}: the file became shorter while read", what));
    rest += done;
    offset += static_cast<uint64_t>(done);
    bytes -= static_cast<size_t>(done);
  }
}

// Moves the checksums out of the metadata and checks the header's own.
void SafetensorsFile::take_checksums() {
  Metadata plain;
  std::string own;
  const uint32_t actual = safetensors_header_checksum(header_);
  for (auto& [key, value] : header_.metadata) {
    if (key == kChecksumKey) {
      own = value;
    } else if (key.starts_with(kChecksumPrefix)) {
      uint32_t crc = 0;
      const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), crc, 16);
      if (status != std::errc() || end != value.data() + value.size())
        throw_bad_weight_file(path_.string(), fmt::format("__metadata__: \"{}\" is no checksum", key));
      checksums_.emplace(key.substr(kChecksumPrefix.size()), crc);
    } else {
      plain.emplace(key, std::move(value));
    }
  }
  if (own.empty() && checksums_.empty()) {
    header_.metadata = std::move(plain);
    return;
  }
  if (own != fmt::format("{:08x}", actual)) throw_bad_weight_file(path_.string(), "the header is damaged (checksum)");
  for (const SafetensorsEntry& entry : header_.entries) {
    if (!checksums_.contains(entry.name))
      throw_bad_weight_file(path_.string(), fmt::format("tensor \"{}\": its checksum is missing", entry.name));
  }
  header_.metadata = std::move(plain);
}

void SafetensorsFile::compare_checksum(const SafetensorsEntry& entry, uint32_t crc) const {
  const auto expected = checksums_.find(entry.name);
  if (expected != checksums_.end() && expected->second != crc)
    throw_bad_weight_file(path_.string(), fmt::format("tensor \"{}\": damaged data (checksum {:08x}, expected {:08x})",
                                                      entry.name, crc, expected->second));
}

void SafetensorsFile::verify() const {
  if (checksums_.empty()) return;
  std::vector<std::byte> piece(kPiece);
  for (const SafetensorsEntry& entry : header_.entries) {
    uint32_t crc = 0;
    for (uint64_t begin = entry.begin; begin < entry.end; begin += kPiece) {
      const size_t bytes = static_cast<size_t>(std::min<uint64_t>(kPiece, entry.end - begin));
      read_at(data_begin_ + begin, piece.data(), bytes, entry.name);
      crc = crc32c(piece.data(), bytes, crc);
    }
    compare_checksum(entry, crc);
  }
}

void SafetensorsFile::read(const SafetensorsEntry& entry, void* destination) const {
  read_at(data_begin_ + entry.begin, destination, entry.bytes(), entry.name);
  if (!checksums_.empty()) compare_checksum(entry, crc32c(destination, entry.bytes()));
}

std::vector<float> SafetensorsFile::read_f32(const SafetensorsEntry& entry) const {
  if (entry.dtype == "F32") {
    std::vector<float> values(static_cast<size_t>(entry.elements()));
    read(entry, values.data());
    return values;
  }
  std::vector<std::byte> bytes(entry.bytes());
  read(entry, bytes.data());
  if (entry.dtype == "F16") return widen<uint16_t>(bytes, half_to_float);
  if (entry.dtype == "BF16")
    return widen<uint16_t>(bytes, [](uint16_t half) { return std::bit_cast<float>(uint32_t{half} << 16); });
  if (entry.dtype == "F64") return widen<double>(bytes, [](double value) { return static_cast<float>(value); });
  if (entry.dtype == "I64") return widen<int64_t>(bytes, [](int64_t value) { return static_cast<float>(value); });
  if (entry.dtype == "I32") return widen<int32_t>(bytes, [](int32_t value) { return static_cast<float>(value); });
  if (entry.dtype == "U8" || entry.dtype == "BOOL")
    return widen<uint8_t>(bytes, [](uint8_t value) { return static_cast<float>(value); });
  throw Error(ExitCode::weights, fmt::format("{}: tensor \"{}\": dtype {} cannot be read as float", path_.string(),
                                             entry.name, entry.dtype));
}

}  // namespace tessera
