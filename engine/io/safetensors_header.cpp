#include "engine/io/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "engine/core/error.h"

namespace tessera {

namespace {

struct DTypeName {
  std::string_view name;
  int bits;
};

constexpr DTypeName kDTypes[] = {{"BOOL", 8},    {"U8", 8},          {"I8", 8},     {"F8_E5M2", 8},     {"F8_E4M3", 8},
                                 {"F8_E8M0", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},   {"U16", 16},        {"F16", 16},
                                 {"BF16", 16},   {"I32", 32},        {"U32", 32},   {"F8_E4M3FNUZ", 8}, {"F32", 32},
                                 {"F64", 64},    {"I64", 64},        {"U64", 64},   {"C64", 64},        {"F4", 4},
                                 {"F6_E2M3", 6}, {"E8M0", 8},        {"F6_E3M2", 6}};

// Depth 1: names of tensors; 2: fields of one tensor or of the metadata; 3: shape and offsets. Deeper values can only
// belong to fields this reader does not know.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(std::string_view source) : source_(source) {}
  SafetensorsHeader header;

  bool key(string_t& text) override {
    if (!keys_.back().insert(text).second) bad(depth_ == 1 ? "" : subject(), fmt::format("key \"{}\" twice", text));
    if (depth_ == 1) {
      tensor_ = text;
      in_metadata_ = text == "__metadata__";
      entry_ = SafetensorsEntry{};
      entry_.name = text;
      have_dtype_ = have_shape_ = false;
      offsets_.clear();
    } else if (depth_ == 2) {
      field_ = text;
    }
    return true;
  }
  bool start_object(size_t) override {
    if (depth_ == 2) expect_free();
    keys_.emplace_back();
    return deeper();
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    if (depth_ == 1 && !in_metadata_) finish_tensor();
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ == 0) bad("", "the header is not a JSON object");
    if (depth_ == 1) bad(subject(), "not an object");
    if (depth_ == 2 && !in_metadata_ && (field_ == "shape" || field_ == "data_offsets")) {
      in_list_ = true;
      have_shape_ |= field_ == "shape";
    } else {
      expect_free();
    }
    return deeper();
  }
  bool end_array() override {
    if (--depth_ == 2) in_list_ = false;
    return true;
  }
  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) {
      header.metadata[field_] = text;
    } else if (depth_ == 2 && field_ == "dtype") {
      entry_.dtype = text;
      have_dtype_ = true;
    } else {
      expect_free();
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_list_ || depth_ != 3) {
      expect_free();
    } else if (field_ == "shape") {
      if (value > uint64_t{INT64_MAX}) bad(subject(), fmt::format("extent {} is too large", value));
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else {
      offsets_.push_back(value);
    }
    return true;
  }
  bool number_integer(number_integer_t value) override { return not_a_count(fmt::format("{}", value)); }
  bool number_float(number_float_t, const string_t& text) override { return not_a_count(text); }
  bool null() override { return not_a_count("null"); }
  bool boolean(bool value) override { return not_a_count(value ? "true" : "false"); }
  bool binary(binary_t&) override { return false; }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    bad("", fmt::format("the header is not valid JSON at byte {}", position));
  }

 private:
  [[noreturn]] void bad(const std::string& what, const std::string& reason) const {
    throw_bad_weight_file(source_, what.empty() ? reason : fmt::format("{}: {}", what, reason));
  }
  std::string subject() const { return in_metadata_ ? "__metadata__" : fmt::format("tensor \"{}\"", tensor_); }

  bool deeper() {
    if (++depth_ > 8) bad("", "the header is nested too deeply");
    return true;
  }
  // A value where the format asks for none of its kind: an error unless the field is one we do not know.
  void expect_free() const {
    if (depth_ == 0) bad("", "the header is not a JSON object");
    if (depth_ == 1) bad(subject(), "not an object");
    if (in_metadata_) bad(subject(), fmt::format("value of \"{}\" is not a string", field_));
    if (field_ == "dtype") bad(subject(), "dtype is not a string");
    if (field_ == "shape" || field_ == "data_offsets") {
      bad(subject(), fmt::format("{} is not a list of non-negative integers", field_));
    }
  }
  bool not_a_count(const std::string& text) const {
    if (in_list_) bad(subject(), fmt::format("{} holds {}, not a non-negative integer", field_, text));
    expect_free();
    return true;
  }

  void finish_tensor() {
    if (!have_dtype_) bad(subject(), "no dtype");
    if (!have_shape_) bad(subject(), "no shape");
    if (offsets_.size() != 2) bad(subject(), fmt::format("{} data_offsets instead of 2", offsets_.size()));
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header.entries.push_back(std::move(entry_));
  }

  std::string source_, tensor_, field_;
  SafetensorsEntry entry_;
  std::vector<uint64_t> offsets_;
  std::vector<std::set<std::string>> keys_;  // of the open objects
  int depth_ = 0;
  bool in_metadata_ = false, in_list_ = false, have_dtype_ = false, have_shape_ = false;
};

void check_entry(const SafetensorsEntry& entry, std::string_view source) {
  const auto bad = [&](const std::string& reason) {
    throw_bad_weight_file(source, fmt::format("tensor \"{}\": {}", entry.name, reason));
  };
  const int bits = safetensors_dtype_bits(entry.dtype);
  if (bits == 0) bad(fmt::format("unknown dtype \"{}\"", entry.dtype));
  if (entry.end < entry.begin) bad(fmt::format("data_offsets [{}, {}) run backwards", entry.begin, entry.end));
  // A zero extent makes the product zero whatever the others are, but an overflow before it is still refused.
  uint64_t total = static_cast<uint64_t>(bits);
  for (const int64_t extent : entry.shape) {
    if (__builtin_mul_overflow(total, static_cast<uint64_t>(extent), &total)) bad("the product of its shape overflows");
  }
  if (total % 8 != 0) bad("its elements do not fill whole bytes");
  if (total / 8 != entry.end - entry.begin) {
    bad(fmt::format("shape and dtype need {} bytes, data_offsets [{}, {}) hold {}", total / 8, entry.begin, entry.end,
                    entry.end - entry.begin));
  }
}

}  // namespace

int64_t SafetensorsEntry::elements() const {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes, std::string_view source) {
  // The JSON library takes a NUL for the end of the text.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    throw_bad_weight_file(source, fmt::format("the header is not valid JSON at byte {}", nul + 1));
  HeaderHandler handler(source);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  SafetensorsHeader header = std::move(handler.header);
  for (const SafetensorsEntry& entry : header.entries) check_entry(entry, source);
  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != expected) {
      throw_bad_weight_file(
          source, fmt::format("tensor \"{}\": its data starts at byte {}, {} byte {}", entry.name, entry.begin,
                              entry.begin > expected ? "a hole after" : "an overlap before", expected));
    }
    expected = entry.end;
  }
  if (expected > data_bytes) {
    const SafetensorsEntry& cut = *std::find_if(header.entries.begin(), header.entries.end(),
                                                [&](const SafetensorsEntry& entry) { return entry.end > data_bytes; });
    throw_bad_weight_file(source, fmt::format("tensor \"{}\": the file ends {} bytes too early (truncated)", cut.name,
                                              expected - data_bytes));
  }
  if (expected < data_bytes)
    throw_bad_weight_file(source, fmt::format("{} trailing bytes after the last tensor", data_bytes - expected));
  return header;
}

int safetensors_dtype_bits(std::string_view dtype) {
  for (const DTypeName& known : kDTypes) {
    if (known.name == dtype) return known.bits;
  }
  return 0;
}

const char* safetensors_dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::f16:
      return "F16";
    case DType::i32:
      return "I32";
    case DType::i64:
      return "I64";
    case DType::u8:
      return "U8";
  }
  return "?";
}

void throw_bad_weight_file(std::string_view source, const std::string& reason) {
  throw Error(ExitCode::weights, fmt::format("{}: {}", source, reason),
              fmt::format("copy or download {} again", source));
}

}  // namespace tessera
