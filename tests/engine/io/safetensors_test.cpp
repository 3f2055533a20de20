#include "engine/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

std::string slurp(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

fs::path spill(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
  return file;
}

std::string with_header(const std::string& json, size_t data_bytes) {
  const uint64_t length = json.size();
  std::string text(reinterpret_cast<const char*>(&length), 8);
  return text + json + std::string(data_bytes, '\1');
}

// What opening and verifying the file complains about, without the file name; "" when nothing.
std::string complaint(const fs::path& file) {
  try {
    SafetensorsFile(file).verify();
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights) << error.what();
    EXPECT_FALSE(error.hint().empty());
    const std::string text = error.what(), prefix = file.string() + ": ";
    EXPECT_TRUE(text.starts_with(prefix)) << text;
    return text.substr(prefix.size());
  }
}

std::string complaint_about(const TemporaryFolder& folder, const std::string& content) {
  return complaint(spill(folder.path() / "case.safetensors", content));
}

struct Sample {
  std::vector<float> weight = {1.5f, -2.0f, 3.25f, 0.0f, 1e-30f, INFINITY};
  std::vector<int64_t> counts = {1, -5, int64_t{1} << 60};
  std::vector<uint8_t> bytes = {7, 255, 0};
  float scalar = 42.0f;

  void write(const fs::path& file) const {
    write_safetensors(file,
                      {{"b.weight", {2, 3}, weight.data(), DType::f32},
                       {"a.bytes", {3}, bytes.data(), DType::u8},
                       {"c.counts", {3}, counts.data(), DType::i64},
                       {"a.none", {0, 4}, nullptr, DType::f32},
                       {"scalar", {}, &scalar, DType::f32}},
                      {{"config", "{\"model\": {\"k\": 3}}"}, {"note", "\xc3\xa9\n\"quoted\""}});
  }
};

TEST(Safetensors, RoundTrip) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  const Sample sample;
  sample.write(path);
  const SafetensorsFile file(path);
  file.verify();
  EXPECT_TRUE(file.has_checksums());
  EXPECT_EQ(file.metadata(), (Metadata{{"config", "{\"model\": {\"k\": 3}}"}, {"note", "\xc3\xa9\n\"quoted\""}}));
  std::vector<std::string> order;
  for (const SafetensorsEntry& entry : file.entries()) order.push_back(entry.name);
  EXPECT_EQ(order, (std::vector<std::string>{"c.counts", "a.none", "b.weight", "scalar", "a.bytes"}));
  EXPECT_EQ(file.read_f32(*file.find("b.weight")), sample.weight);
  EXPECT_EQ(file.find("b.weight")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(file.find("scalar")->shape.empty());
  EXPECT_EQ(file.read_f32(*file.find("scalar")), (std::vector<float>{42}));
  EXPECT_TRUE(file.read_f32(*file.find("a.none")).empty());
  std::vector<int64_t> counts(3);
  file.read(*file.find("c.counts"), counts.data());
  EXPECT_EQ(counts, sample.counts);
  EXPECT_EQ(file.find("absent"), nullptr);

  const std::string content = slurp(path);
  uint64_t length;
  std::memcpy(&length, content.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  sample.write(path);
  EXPECT_EQ(slurp(path), content);
}

// Every bit of a file of ours is covered: by the structure or by a checksum.
TEST(Safetensors, EveryBitFlipIsFound) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  Sample().write(path);
  std::string content = slurp(path);
  std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
  for (size_t bit = 0; bit < content.size() * 8; ++bit) {
    const auto place = static_cast<std::streamoff>(bit / 8);
    const char byte = content[bit / 8];
    stream.seekp(place).put(static_cast<char>(byte ^ (1 << (bit % 8)))).flush();
    EXPECT_NE(complaint(path), "") << "bit " << bit;
    stream.seekp(place).put(byte).flush();
  }
  EXPECT_EQ(complaint(path), "");
}

TEST(Safetensors, DamagedDataNamesItsTensor) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  Sample().write(path);
  std::string content = slurp(path);
  content[content.size() - 1] ^= 1;
  spill(path, content);
  EXPECT_TRUE(complaint(path).starts_with("tensor \"a.bytes\": damaged data (checksum ")) << complaint(path);
  const SafetensorsFile file(path);
  EXPECT_NO_THROW(file.read_f32(*file.find("b.weight")));
  EXPECT_THROW(file.read_f32(*file.find("a.bytes")), Error);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  Sample().write(path);
  const std::string content = slurp(path);
  for (size_t bytes = content.size(); bytes-- > 0;) {
    fs::resize_file(path, bytes);
    EXPECT_NE(complaint(path), "") << bytes << " bytes";
  }
  EXPECT_EQ(complaint_about(folder, content), "");
  EXPECT_EQ(complaint_about(folder, content + "x"), "1 trailing bytes after the last tensor");
}

TEST(Safetensors, MalformedHeaders) {
  const TemporaryFolder folder;
  const auto header = [&](const std::string& json, size_t data_bytes = 16) {
    return complaint_about(folder, with_header(json, data_bytes));
  };
  const auto x = [&](const std::string& fields, size_t data_bytes = 16) {
    return header("{\"x\":{" + fields + "}}", data_bytes);
  };
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])"), "");
  EXPECT_EQ(header("{}"), "16 trailing bytes after the last tensor");
  EXPECT_EQ(header("{}", 0), "");
  EXPECT_EQ(header("5"), "the header is not a JSON object");
  EXPECT_EQ(header("[]"), "the header is not a JSON object");
  EXPECT_EQ(header(std::string("{}\0{}", 5), 0), "the header is not valid JSON at byte 3");
  EXPECT_EQ(header("null"), "the header is not a JSON object");
  EXPECT_EQ(header(""), "the header is not valid JSON at byte 1");
  EXPECT_EQ(header(R"({"x":5})"), "tensor \"x\": not an object");
  EXPECT_EQ(header(R"({"x":[]})"), "tensor \"x\": not an object");
  EXPECT_EQ(header(R"({"__metadata__":5})"), "__metadata__: not an object");
  EXPECT_EQ(header(R"({"__metadata__":{"a":{}}})"), "__metadata__: value of \"a\" is not a string");
  EXPECT_EQ(header(R"({"__metadata__":{"a":[]}})"), "__metadata__: value of \"a\" is not a string");
  EXPECT_EQ(header(R"({"__metadata__":{"a":"1","a":"2"}})"), "__metadata__: key \"a\" twice");
  EXPECT_EQ(x(R"("shape":[4],"data_offsets":[0,16])"), "tensor \"x\": no dtype");
  EXPECT_EQ(x(R"("dtype":"F32","data_offsets":[0,16])"), "tensor \"x\": no shape");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4])"), "tensor \"x\": 0 data_offsets instead of 2");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4],"data_offsets":[0,16,16])"), "tensor \"x\": 3 data_offsets instead of 2");
  EXPECT_EQ(x(R"("dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16])"), "tensor \"x\": key \"dtype\" twice");
  EXPECT_EQ(x(R"("dtype":32,"shape":[4],"data_offsets":[0,16])"), "tensor \"x\": dtype is not a string");
  EXPECT_EQ(x(R"("dtype":"F32","shape":4,"data_offsets":[0,16])"),
            "tensor \"x\": shape is not a list of non-negative integers");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[[4]],"data_offsets":[0,16])"),
            "tensor \"x\": shape is not a list of non-negative integers");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[true],"data_offsets":[0,16])"),
            "tensor \"x\": shape holds true, not a non-negative integer");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[1e2],"data_offsets":[0,16])"),
            "tensor \"x\": shape holds 1e2, not a non-negative integer");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,16])"),
            "tensor \"x\": extent 9223372036854775808 is too large");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551616])"),
            "tensor \"x\": data_offsets holds 18446744073709551616, not a non-negative integer");
  EXPECT_EQ(x(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"),
            "tensor \"x\": its elements do not fill whole bytes");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4],"data_offsets":[0,16],"more":[{"deep":[1]}],"zz":null)"), "");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4],"data_offsets":[0,16],"more":[[[[[[[1]]]]]]])"),
            "the header is nested too deeply");
  EXPECT_EQ(x(R"("dtype":"F32","shape":[4],"data_offsets":[8,24])", 24),
            "tensor \"x\": its data starts at byte 8, a hole after byte 0");
  EXPECT_EQ(
      header(
          R"({"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"e":{"dtype":"U8","shape":[0,9],"data_offsets":[8,8]},)"
          R"("y":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})"),
      "");
}

TEST(Safetensors, FoldersAndAbsentFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(complaint(folder.path()), "not a file");
  EXPECT_EQ(complaint(folder.path() / "absent.safetensors"), "cannot open: No such file or directory");
}

TEST(Safetensors, ReadsSharedGoodFiles) {
  TESSERA_REQUIRE_SHARED_DATA();
  const fs::path folder = testing_support::shared_data() / "ckpt";
  const SafetensorsFile good(folder / "good.safetensors");
  EXPECT_EQ(good.metadata(), (Metadata{{"format", "pt"}}));
  EXPECT_EQ(good.find("conv1.weight")->shape, (std::vector<int64_t>{8, 3, 3, 3}));
  EXPECT_EQ(good.read_f32(*good.find("conv1.weight")).size(), 216u);
  EXPECT_FALSE(good.has_checksums());
  const SafetensorsFile unaligned(folder / "good_unaligned.safetensors");
  EXPECT_EQ(unaligned.read_f32(*unaligned.find("x")), (std::vector<float>{0, 1, 2}));
  EXPECT_EQ(unaligned.find("y")->begin, 6u);
  for (const SafetensorsEntry& entry : good.entries()) EXPECT_EQ(good.read_f32(entry).size(), size_t(entry.elements()));
}

TEST(Safetensors, FilesOfOtherFormatsAreNamed) {
  const TemporaryFolder folder;
  const auto failure = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder.path() / name, std::ios::binary) << bytes;
    try {
      SafetensorsFile file(folder.path() / name);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::weights);
      return std::string(error.what()) + "\n" + error.hint();
    }
    return std::string("no error");
  };
  const std::string place = folder.path();
  EXPECT_EQ(failure("a.pth", std::string("PK\x03\x04\x00\x00\x08\x08", 8) + std::string(60, 'x')),
            place + "/a.pth: a zip archive, as PyTorch's .pth files are, not a safetensors file\ntessera convert " +
                place + "/a.pth " + place + "/a.safetensors");
  EXPECT_EQ(failure("old.pkl", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9 j\xa8P\x19"),
            place +
                "/old.pkl: a Python pickle, as old PyTorch files and .pkl are, not a safetensors file\ntessera "
                "convert " +
                place + "/old.pkl " + place + "/old.safetensors");
  EXPECT_NE(failure("a.png", "\x89PNG\r\n\x1a\n0000").find(": a picture, not a safetensors file"), std::string::npos);
  EXPECT_NE(failure("a.jpg", "\xff\xd8\xff\xe0pictures").find(": a picture,"), std::string::npos);
  EXPECT_NE(failure("a.json", "{\"images\": []}").find(": JSON text,"), std::string::npos);
  EXPECT_NE(failure("b.json", "{}").find(": JSON text,"), std::string::npos);
  EXPECT_NE(failure("a.html", "<!DOCTYPE html>").find(": HTML or XML text,"), std::string::npos);
  // A header of 123 = '{' bytes that was cut off is no JSON text.
  EXPECT_NE(failure("cut", std::string("{\0\0\0\0\0\0\0{", 9)).find("(truncated)"), std::string::npos);
}

TEST(Safetensors, SharedBadFiles) {
  TESSERA_REQUIRE_SHARED_DATA();
  const fs::path folder = testing_support::shared_data() / "bad" / "ckpt";
  const std::map<std::string, std::string> expected = {
      {"7bytes", "7 bytes are no safetensors file"},
      {"deep", "the header is not a JSON object"},
      {"dtype_unknown", "tensor \"x\": unknown dtype \"F31\""},
      {"dup_key", "key \"x\" twice"},
      {"empty_header", ""},
      {"extra_field", ""},
      {"header_latin1", "the header is not valid JSON at byte 7"},
      {"header_len_101MB", "a header of 101000000 bytes is above the limit of 100000000: not a safetensors file"},
      {"header_len_huge", "is above the limit of 100000000: not a safetensors file"},
      {"header_not_json", "the header is not valid JSON at byte 1"},
      {"header_past_eof", " in a file of 80 (truncated)"},
      {"hole", "tensor \"y\": its data starts at byte 24, a hole after byte 16"},
      {"leading_space", ""},
      {"metadata_nonstring", "__metadata__: value of \"a\" is not a string"},
      {"nan_inf", ""},
      {"neg_offset", "tensor \"x\": data_offsets holds -16, not a non-negative integer"},
      {"ok", ""},
      {"overlap", "tensor \"y\": its data starts at byte 8, an overlap before byte 16"},
      {"reversed", "tensor \"x\": data_offsets [16, 0) run backwards"},
      {"scalar_and_empty", ""},
      {"shape_float", "tensor \"x\": shape holds 4.0, not a non-negative integer"},
      {"shape_mismatch", "tensor \"x\": shape and dtype need 20 bytes, data_offsets [0, 16) hold 16"},
      {"shape_negative", "tensor \"x\": shape holds -4, not a non-negative integer"},
      {"shape_overflow", "tensor \"x\": the product of its shape overflows"},
      {"trailing_bytes", "16 trailing bytes after the last tensor"},
      {"truncated_data", "tensor \"y\": the file ends 12 bytes too early (truncated)"},
      {"zero", "0 bytes are no safetensors file"},
  };
  size_t tried = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    ++tried;
    const auto reason = expected.find(entry.path().stem().string());
    ASSERT_NE(reason, expected.end()) << entry.path();
    const std::string actual = complaint(entry.path());
    EXPECT_TRUE(reason->second.empty() ? actual.empty() : actual.ends_with(reason->second))
        << entry.path() << ": " << actual;
  }
  EXPECT_EQ(tried, expected.size());
}

TEST(Safetensors, WidensEveryDtype) {
  const TemporaryFolder folder;
  std::string data;
  const auto append = [&](const auto& value) { data.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  for (const uint16_t half : {0x3c00, 0x8001, 0x7bff, 0xfc00, 0x03ff, 0x8000}) append(uint16_t(half));
  append(uint16_t{0xc040});  // BF16 -3
  append(-0.1);
  append(int64_t{-7});
  append(int32_t{9});
  append(uint8_t{200});
  append(uint8_t{1});
  append(uint8_t{3});
  const std::string json = R"({"f16":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},
    "bf16":{"dtype":"BF16","shape":[1],"data_offsets":[12,14]},"f64":{"dtype":"F64","shape":[1],"data_offsets":[14,22]},
    "i64":{"dtype":"I64","shape":[1],"data_offsets":[22,30]},"i32":{"dtype":"I32","shape":[1],"data_offsets":[30,34]},
    "u8":{"dtype":"U8","shape":[1],"data_offsets":[34,35]},"bool":{"dtype":"BOOL","shape":[1],"data_offsets":[35,36]},
    "f8":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[36,37]}})";
  const SafetensorsFile file(spill(folder.path() / "x.safetensors", with_header(json, 0) + data));
  const auto read = [&](const char* name) { return file.read_f32(*file.find(name)); };
  EXPECT_EQ(read("f16"), (std::vector<float>{1, -0x1p-24f, 65504, -INFINITY, 1023 * 0x1p-24f, -0.0f}));
  EXPECT_TRUE(std::signbit(read("f16")[5]));
  EXPECT_EQ(read("bf16"), (std::vector<float>{-3}));
  EXPECT_EQ(read("f64"), (std::vector<float>{-0.1f}));
  EXPECT_EQ(read("i64"), (std::vector<float>{-7}));
  EXPECT_EQ(read("i32"), (std::vector<float>{9}));
  EXPECT_EQ(read("u8"), (std::vector<float>{200}));
  EXPECT_EQ(read("bool"), (std::vector<float>{1}));
  EXPECT_THROW(read("f8"), Error);
}

TEST(Safetensors, WriterRefusesImpossibleNames) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  const float value = 1;
  EXPECT_THROW(write_safetensors(path, {{"a", {1}, &value}, {"a", {1}, &value}}, {}), Error);
  EXPECT_THROW(write_safetensors(path, {{"__metadata__", {1}, &value}}, {}), Error);
  EXPECT_THROW(write_safetensors(path, {{"caf\xe9", {1}, &value}}, {}), Error);
  EXPECT_THROW(write_safetensors(path, {{"a", {1}, &value}}, {{"crc32c", "0"}}), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace tessera
