#include "data/annotations/json_scanner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "tests/shared_data.h"

namespace tessera {
namespace {

std::filesystem::path temporary(const std::string& name) {
  return std::filesystem::temp_directory_path() / fmt::format("tessera_{}_{}", ::getpid(), name);
}

// Everything the scanner says, as one text.
struct Recorder {
  std::string events;

  void null() { events += "null;"; }
  void boolean(bool value) { events += value ? "true;" : "false;"; }
  void number_integer(int64_t value) { events += fmt::format("i{};", value); }
  void number_float(double value) { events += fmt::format("d{:x};", std::bit_cast<uint64_t>(value)); }
  void string(std::string& value) { events += "s" + value + ";"; }
  void key(const std::string& value) { events += "k" + value + ";"; }
  void start_object() { events += "{"; }
  void end_object() { events += "}"; }
  void start_array() { events += "["; }
  void end_array() { events += "]"; }
};

// nlohmann's events in the same words; the empty string for text it refuses.
std::string events_of_nlohmann(const std::string& text) {
  struct Handler : nlohmann::json_sax<nlohmann::json> {
    Recorder recorder;
    bool null() override { return recorder.null(), true; }
    bool boolean(bool value) override { return recorder.boolean(value), true; }
    bool number_integer(int64_t value) override { return recorder.number_integer(value), true; }
    bool number_unsigned(uint64_t value) override {
      if (value > static_cast<uint64_t>(INT64_MAX)) return recorder.number_float(static_cast<double>(value)), true;
      return recorder.number_integer(static_cast<int64_t>(value)), true;
    }
    bool number_float(double value, const std::string&) override { return recorder.number_float(value), true; }
    bool string(std::string& value) override { return recorder.string(value), true; }
    bool binary(binary_t&) override { return false; }
    bool key(std::string& value) override { return recorder.key(value), true; }
    bool start_object(size_t) override { return recorder.start_object(), true; }
    bool end_object() override { return recorder.end_object(), true; }
    bool start_array(size_t) override { return recorder.start_array(), true; }
    bool end_array() override { return recorder.end_array(), true; }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }
  } handler;
  return nlohmann::json::sax_parse(text, &handler) ? handler.recorder.events : "";
}

std::string events_of_file(const std::filesystem::path& file) {
  JsonSource source(file);
  Recorder recorder;
  JsonScanner<Recorder>(source, recorder).scan();
  return recorder.events;
}

std::string events_of(const std::string& text) {
  const auto file = temporary("scan.json");
  std::ofstream(file, std::ios::binary) << text;
  std::string events;
  try {
    events = events_of_file(file);
  } catch (const Error&) {
    events.clear();
  }
  std::filesystem::remove(file);
  return events;
}

TEST(JsonScanner, AgreesWithNlohmannOnValidAndInvalidText) {
  const std::string texts[] = {"{}",
                               "[]",
                               " [ ] ",
                               "[1,2]",
                               "[1,]",
                               "[,1]",
                               "{\"a\":1}",
                               "{\"a\":1,}",
                               "{\"a\" 1}",
                               "{a:1}",
                               "[1 2]",
                               "[",
                               "]",
                               "{",
                               "nul",
                               "null",
                               "true",
                               "tru",
                               "[false]",
                               "[TRUE]",
                               "\"x\"",
                               "\"x",
                               "1",
                               "-1",
                               "-",
                               "01",
                               "[-0]",
                               "[0]",
                               "[-0.0]",
                               "[1.]",
                               "[.5]",
                               "[1e]",
                               "[1e+]",
                               "[1e5]",
                               "[1E-5]",
                               "[1.5e3]",
                               "[9223372036854775807]",
                               "[9223372036854775808]",
                               "[-9223372036854775808]",
                               "[-9223372036854775809]",
                               "[18446744073709551616]",
                               "[1e400]",
                               "[-1e400]",
                               "[1e-400]",
                               "[123456789012345678901234567890]",
                               "[0.1]",
                               "[0.30000000000000004]",
                               "[4.35]",
                               "[1e22]",
                               "[1e23]",
                               "[5e-324]",
                               "[9007199254740993]",
                               "[9007199254740993.0]",
                               "[1.7976931348623159e308]",
                               "[0.000000000000000000000000000000001]",
                               "[100000000000000000000000000000000000000000e-30]",
                               "[0e999999999999]",
                               "[NaN]",
                               "[Infinity]",
                               "[-Infinity]",
                               R"(["\"\\\/\b\f\n\r\t"])",
                               R"(["\u0041\u00e9\u20ac\ud83d\ude00"])",
                               R"(["\ud83d"])",
                               R"(["\ude00"])",
                               R"(["\ud83dx"])",
                               R"(["\u12"])",
                               R"(["\x"])",
                               "[\"a\nb\"]",
                               "[\"\x01\"]",
                               "[\"caf\xe9\"]",
                               "[\"caf\xc3\xa9\"]",
                               "[\"\xc0\x80\"]",
                               "[\"\xed\xa0\x80\"]",
                               "[\"\xf4\x90\x80\x80\"]",
                               "[\"\xf0\x9f\x98\x80\"]",
                               "[\"\xe2\x82\"]",
                               "[\"\xe0\x80\x80\"]",
                               "\xef\xbb\xbf[1]",
                               "\xef\xbb[1]",
                               "[1]x",
                               "[1] [2]",
                               "\t[1]\r\n",
                               "/* c */[1]",
                               "[1,/*c*/2]",
                               "['a']",
                               "{\"a\":{\"b\":[{}]}}"};
  for (const std::string& text : texts) EXPECT_EQ(events_of(text), events_of_nlohmann(text)) << text;
}

TEST(JsonScanner, NumbersAreCorrectlyRounded) {
  Rng rng(3, RandomPurpose::shuffle, 0, 0);
  std::string text = "[0";
  for (int i = 0; i < 20000; ++i) {
    text += rng.bits() % 2 ? ",-" : ",";
    text += std::to_string(rng.bits() >> (rng.bits() % 32));
    const uint32_t digits = rng.bits() % 20;
    if (digits > 0) text += ".";
    for (uint32_t d = 0; d < digits; ++d) text += static_cast<char>('0' + rng.bits() % 10);
    if (rng.bits() % 4 == 0) text += fmt::format("e{}", static_cast<int>(rng.bits() % 620) - 330);
  }
  // Exponents up to 289 + 9 digits stay finite.
  EXPECT_EQ(events_of(text + "]"), events_of_nlohmann(text + "]"));
}

TEST(JsonScanner, PiecesOfTheBufferJoin) {
  // Strings, escapes and numbers across the border of the reading buffer, at offsets around it.
  for (int shift = 0; shift < 40; shift += 3) {
    std::string text = "[\"" + std::string((size_t{1} << 18) - 30 + static_cast<size_t>(shift), 'x') +
                       "\",\"a\\u20ac\xc3\xa9\\n\",-123.456e2,true,null]";
    ASSERT_EQ(events_of(text), events_of_nlohmann(text)) << shift;
  }
}

TEST(JsonScanner, AnnotationFilesReadAlike) {
  TESSERA_REQUIRE_SHARED_DATA();
  for (const char* name : {"golden/coco128_instances.json", "golden/lvis_val_100.json", "fruits_nuts/trainval.json"}) {
    const auto file = testing_support::shared_data() / name;
    std::ifstream stream(file, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    EXPECT_TRUE(events_of_file(file) == events_of_nlohmann(text)) << name;
  }
}

TEST(JsonScanner, ErrorsNameThePlace) {
  const auto file = temporary("place.json");
  std::ofstream(file) << "{\"a\": 1,\n \"b\": x}";
  try {
    events_of_file(file);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              file.string() + ": not valid JSON: line 2, column 7, byte 15: found 'x', expected a value");
    EXPECT_EQ(error.code(), ExitCode::data);
  }
  std::filesystem::remove(file);
  EXPECT_THROW(events_of_file(file), Error);                                    // absent
  EXPECT_THROW(events_of_file(std::filesystem::temp_directory_path()), Error);  // a folder
}

TEST(JsonScanner, NestingIsLimited) {
  EXPECT_NE(events_of(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(events_of(std::string(65, '[') + std::string(65, ']')), "");
}

}  // namespace
}  // namespace tessera
