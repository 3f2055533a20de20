// The checkpoints of the shared data: every tensor of the good ones to the bit, a refusal in one line for the others.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/shared_data.h"
#include "tests/weights_tools/file_builders.h"
#include "weights_tools/pickle_globals.h"

namespace tessera {
namespace {

using namespace testing_support;

double element(const std::string& dtype, const std::byte* at) {
  const auto as = [&]<typename T>(T value) {
    std::memcpy(&value, at, sizeof(T));
    return value;
  };
  if (dtype == "F32" || dtype == "C64") return static_cast<double>(as(float{}));
  if (dtype == "F64") return as(double{});
  if (dtype == "I64") return static_cast<double>(as(int64_t{}));
  if (dtype == "I32") return as(int32_t{});
  if (dtype == "I16") return as(int16_t{});
  if (dtype == "I8") return as(int8_t{});
  if (dtype == "U8" || dtype == "BOOL") return as(uint8_t{});
  if (dtype == "BF16") return static_cast<double>(std::bit_cast<float>(uint32_t{as(uint16_t{})} << 16));
  if (dtype == "F16") {
    const uint16_t half = as(uint16_t{});
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 0    ? std::ldexp(fraction, -24)
                        : exponent == 31 ? (fraction ? NAN : INFINITY)
                                         : std::ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -size : size;
  }
  ADD_FAILURE() << dtype;
  return 0;
}

// What opening a file and reading all of it complains about; nothing when it is fine.
std::optional<std::string> complaint(const std::filesystem::path& path) {
  try {
    const std::unique_ptr<ForeignFile> file = open_foreign_file(path);
    for (const ForeignTensor& tensor : file->tensors())
      read_tensor(*file, tensor, static_cast<size_t>(foreign_dtype_bytes(tensor.dtype)));
    return std::nullopt;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights) << error.what();
    EXPECT_FALSE(error.hint().empty()) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(path.string() + ": ")) << error.what();
    return error.what();
  }
}

// Names, dtypes, shapes and bytes of all tensors.
std::map<std::string, std::string> content_of(const std::filesystem::path& path) {
  const std::unique_ptr<ForeignFile> file = open_foreign_file(path);
  std::map<std::string, std::string> content;
  for (const ForeignTensor& tensor : file->tensors()) {
    const std::vector<std::byte> bytes =
        read_tensor(*file, tensor, static_cast<size_t>(foreign_dtype_bytes(tensor.dtype)));
    content[tensor.name + tensor.text()] = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return content;
}

TEST(SharedCheckpoints, GoodOnesEqualWhatPyTorchSays) {
  TESSERA_REQUIRE_SHARED_DATA();
  const std::filesystem::path folder = shared_data() / "ckpt";
  auto expected = nlohmann::json::parse(slurp(folder / "expected.json"));
  for (const char* same : {"proto2_zip", "proto3_zip", "proto4_zip", "proto5_zip"}) {
    EXPECT_EQ(content_of(folder / (same + std::string(".pth"))), content_of(folder / "nested_adamw_zip.pth")) << same;
  }
  EXPECT_EQ(content_of(folder / "d2_style.pkl"), content_of(folder / "d2_style_p4.pkl"));
  const std::map<std::string, std::string> dtypes = {
      {"torch.float32", "F32"}, {"torch.float64", "F64"}, {"torch.float16", "F16"},  {"torch.bfloat16", "BF16"},
      {"torch.int64", "I64"},   {"torch.int32", "I32"},   {"torch.int16", "I16"},    {"torch.int8", "I8"},
      {"torch.uint8", "U8"},    {"torch.bool", "BOOL"},   {"torch.complex64", "C64"}};
  for (const auto& [name, tensors] : expected.items()) {
    SCOPED_TRACE(name);
    const std::unique_ptr<ForeignFile> file = open_foreign_file(folder / (name + ".pth"));
    EXPECT_EQ(file->tensors().size(), tensors.size());
    for (const ForeignTensor& tensor : file->tensors()) {
      SCOPED_TRACE(tensor.name);
      ASSERT_TRUE(tensors.contains(tensor.name));
      const auto& wanted = tensors[tensor.name];
      EXPECT_EQ(tensor.dtype, dtypes.at(wanted["dtype"]));
      EXPECT_EQ(tensor.shape, wanted["shape"].get<std::vector<int64_t>>());
      const auto size = static_cast<size_t>(foreign_dtype_bytes(tensor.dtype));
      const std::vector<std::byte> bytes = read_tensor(*file, tensor, size);
      ASSERT_EQ(bytes.size(), wanted["values"].size() * size);
      for (size_t i = 0; i < wanted["values"].size(); ++i) {
        const auto& value = wanted["values"][i];
        const double actual = element(tensor.dtype, bytes.data() + i * size);
        EXPECT_EQ(actual, value.is_boolean() ? value.get<bool>()
                          : value.is_array() ? value[0].get<double>()
                                             : value.get<double>())
            << i;
      }
    }
  }
}

TEST(SharedCheckpoints, HostileAndDamagedOnesAreRefused) {
  TESSERA_REQUIRE_SHARED_DATA();
  // File and a part of the reason; "" for those that are fine.
  const std::map<std::string, std::string> cases = {
      {"7bytes.safetensors", "7 bytes"},
      {"all_zero_4k.pth", "begins with zeros"},
      {"bigendian.pth", "big-endian"},
      {"cut_half.pth", "truncated or incomplete"},
      {"cut_last_22.pth", "truncated or incomplete"},
      {"deep.safetensors", "not a JSON object"},
      {"deflated.pth", "zip entry \"plain_zip/data.pkl\": it is compressed"},
      {"dtype_unknown.safetensors", "dtype"},
      {"dup_key.safetensors", "twice"},
      {"empty.pth", "empty"},
      {"empty_header.safetensors", ""},
      {"evil_os_system.pth", "posix.system"},
      {"extra_field.safetensors", ""},
      {"header_latin1.safetensors", "JSON"},
      {"header_len_101MB.safetensors", "header"},
      {"header_len_huge.safetensors", "header"},
      {"header_not_json.safetensors", "JSON"},
      {"header_past_eof.safetensors", "truncated"},
      {"hole.safetensors", "hole"},
      {"leading_space.safetensors", ""},
      {"legacy_cut.pth", "truncated"},
      {"legacy_numel_huge.pth", "elements"},
      {"legacy_ok.pth", ""},
      {"metadata_nonstring.safetensors", "__metadata__"},
      {"missing_storage.pth", "tensor \"conv1.weight\""},
      {"nan_inf.safetensors", ""},
      {"neg_offset.safetensors", "non-negative"},
      {"no_pkl.pth", "data.pkl"},
      {"ok.safetensors", ""},
      {"overlap.safetensors", "overlap"},
      {"payload_bitflip.pth", "checksum"},
      {"pkl_cut.pth", "truncated"},
      {"pkl_eval.pth", "eval"},
      {"pkl_huge_string.pth", "truncated"},
      {"pkl_memo_bomb.pth", "no named tensors"},
      {"pkl_underflow.pth", "stack"},
      {"proto4_evil.pkl", "posix.system"},
      {"reversed.safetensors", "backwards"},
      {"scalar_and_empty.safetensors", ""},
      {"shape_float.safetensors", "non-negative integer"},
      {"shape_mismatch.safetensors", "bytes"},
      {"shape_negative.safetensors", "non-negative integer"},
      {"shape_overflow.safetensors", "overflow"},
      {"short_storage.pth", "tensor \"conv1.weight\""},
      {"stride_oob.pth", "storage"},
      {"torchscript_like.pth", ""},  // an ordinary archive after all: it has no constants.pkl
      {"trailing_bytes.safetensors", "trailing"},
      {"truncated_data.safetensors", "truncated"},
      {"zero.safetensors", "empty"},
      {"zeros_tail.pth", "truncated or incomplete"},
      {"zip_slip.pth", "zip entry \"plain_zip/data/../../../evil\": its name leads out"},
  };
  const std::filesystem::path folder = shared_data() / "bad" / "ckpt";
  size_t met = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto found = cases.find(entry.path().filename());
    ASSERT_NE(found, cases.end()) << entry.path();
    ++met;
    const std::optional<std::string> text = complaint(entry.path());
    EXPECT_EQ(text.has_value(), !found->second.empty()) << found->first << ": " << text.value_or("accepted");
    if (text) {
      EXPECT_NE(text->find(found->second), std::string::npos) << *text;
    }
  }
  EXPECT_EQ(met, cases.size());
  for (const char* name : {"evil.pkl", "evil_os_system.pth"}) {
    EXPECT_NE(complaint(shared_data() / "ckpt" / name).value_or("").find("refused, nothing was run"),
              std::string::npos);
  }
  const std::string module = complaint(shared_data() / "ckpt" / "whole_module_zip.pth").value_or("");
  EXPECT_NE(module.find("__main__.M"), std::string::npos) << module;
}

}  // namespace
}  // namespace tessera
