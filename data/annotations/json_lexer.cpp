#include <charconv>
#include <cmath>
#include <limits>

#include "data/annotations/json_scanner.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

bool is_digit(int c) { return c >= '0' && c <= '9'; }

constexpr std::array<double, 23> kPowersOfTen = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

}  // namespace

void JsonLexer::skip_space() {
  for (;;) {
    const int c = source_.peek();
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    source_.advance();
    if (c == '\n') {
      ++line_;
      line_start_ = source_.position();
    }
  }
}

void JsonLexer::skip_byte_order_mark() {
  if (source_.peek() != 0xef) return;
  for (int expected : {0xef, 0xbb, 0xbf}) {
    if (source_.peek() != expected) fail("a value");
    source_.advance();
  }
}

JsonLexer::Number JsonLexer::read_number() {
  digits_.clear();
  uint64_t mantissa = 0;
  int significant = 0;    // digits in mantissa, leading zeros not counted
  int64_t exponent = 0;   // value = mantissa * 10^exponent, as far as mantissa holds all digits
  int64_t magnitude = 0;  // decimal places left of the point, for telling overflow from underflow
  const auto take = [&] {
    digits_.push_back(static_cast<char>(source_.peek()));
    source_.advance();
  };
  const auto take_digit = [&] {
    const uint64_t digit = static_cast<uint64_t>(source_.peek() - '0');
    if (significant < 19) mantissa = mantissa * 10 + digit;
    significant += significant > 0 || digit != 0;
    take();
  };
  const bool negative = source_.peek() == '-';
  if (negative) take();
  if (!is_digit(source_.peek())) fail(negative ? "a digit after '-'" : "a value");
  if (source_.peek() == '0') {
    take();
    if (is_digit(source_.peek())) fail("no digit after a leading 0");
  } else {
    while (is_digit(source_.peek())) take_digit();
  }
  magnitude = significant;
  bool integer = true;
  if (source_.peek() == '.') {
    integer = false;
    take();
    if (!is_digit(source_.peek())) fail("a digit after '.'");
    while (is_digit(source_.peek())) {
      take_digit();
      --exponent;
    }
    if (magnitude == 0) magnitude = significant + exponent;
  }
  if (source_.peek() == 'e' || source_.peek() == 'E') {
    integer = false;
    take();
    const bool minus = source_.peek() == '-';
    if (minus || source_.peek() == '+') take();
    if (!is_digit(source_.peek())) fail("a digit in the exponent");
    int64_t written = 0;
    while (is_digit(source_.peek())) {
      if (written < 100'000'000) written = written * 10 + (source_.peek() - '0');
      take();
    }
    exponent += minus ? -written : written;
    magnitude += minus ? -written : written;
  }
  // Up to 18 digits are exact in mantissa; an integer of 19 may still fit, and is left to from_chars.
  if (integer && significant <= 18) {
    const int64_t value = negative ? -static_cast<int64_t>(mantissa) : static_cast<int64_t>(mantissa);
    return {true, value, static_cast<double>(value)};
  }
  if (integer) {
    int64_t value = 0;
    if (std::from_chars(digits_.data(), digits_.data() + digits_.size(), value).ec == std::errc()) {
      return {true, value, static_cast<double>(value)};
    }
  }
  // Both operands exact in double: one correctly rounded operation.
  if (significant <= 18 && mantissa <= uint64_t{1} << 53 && exponent >= -22 && exponent <= 22) {
    const double exact = static_cast<double>(mantissa);
    const double power = kPowersOfTen[static_cast<size_t>(exponent < 0 ? -exponent : exponent)];
    const double value = exponent < 0 ? exact / power : exact * power;
    return {false, 0, negative ? -value : value};
  }
  return {false, 0, slow_number(magnitude)};
}

double JsonLexer::slow_number(int64_t magnitude) const {
  double value = 0;
  const auto result = std::from_chars(digits_.data(), digits_.data() + digits_.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    if (magnitude > 0) {
      fail_because(fmt::format("number overflow in '{}'", digits_.substr(0, 40)), "replace it by a finite number");
    }
    return digits_[0] == '-' ? -0.0 : 0.0;
  }
  return value;
}

void JsonLexer::read_literal(const char* word) {
  for (const char* c = word; *c != '\0'; ++c) {
    if (source_.peek() != *c) fail(std::string("the word ") + word);
    source_.advance();
  }
}

void JsonLexer::read_string() {
  text_.clear();
  source_.advance();  // the quote
  for (;;) {
    // Plain text in one piece.
    const char* from = source_.cursor();
    const size_t available = source_.available();
    size_t plain = 0;
    while (plain < available) {
      const unsigned char c = static_cast<unsigned char>(from[plain]);
      if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
      ++plain;
    }
    if (plain > 0) {
      text_.append(from, plain);
      source_.advance_by(plain);
      continue;
    }
    const int c = source_.peek();
    if (c == '"') break;
    if (c == '\\') {
      read_escape();
    } else if (c >= 0x80) {
      read_utf8();
    } else {
      fail("the end of a string");
    }
  }
  source_.advance();
}

uint32_t JsonLexer::read_hex() {
  uint32_t code = 0;
  for (int i = 0; i < 4; ++i) {
    const int c = source_.peek();
    if (is_digit(c)) {
      code = code * 16 + static_cast<uint32_t>(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      code = code * 16 + static_cast<uint32_t>((c | 32) - 'a' + 10);
    } else {
      fail("four hexadecimal digits after \\u");
    }
    source_.advance();
  }
  return code;
}

void JsonLexer::read_escape() {
  source_.advance();  // the backslash
  const int c = source_.peek();
  static constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
  if (const size_t found = c < 0 ? std::string_view::npos : names.find(static_cast<char>(c));
      found != std::string_view::npos) {
    text_.push_back(values[found]);
    source_.advance();
    return;
  }
  if (c != 'u') fail("one of \"\\/bfnrtu after a backslash");
  source_.advance();
  uint32_t code = read_hex();
  if (code >= 0xdc00 && code <= 0xdfff) fail("the first half of a surrogate pair before the second");
  if (code >= 0xd800 && code <= 0xdbff) {
    for (char expected : {'\\', 'u'}) {
      if (source_.peek() != expected) fail("the second half of a surrogate pair");
      source_.advance();
    }
    const uint32_t second = read_hex();
    if (second < 0xdc00 || second > 0xdfff) fail("the second half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
  }
  const auto put = [&](uint32_t byte) { text_.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6), put(0x80 | (code & 63));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
  } else {
    put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 63)), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
  }
}

void JsonLexer::read_utf8() {
  const int lead = source_.peek();
  const int following = lead >= 0xc2 && lead <= 0xdf   ? 1
                        : lead >= 0xe0 && lead <= 0xef ? 2
                        : lead >= 0xf0 && lead <= 0xf4 ? 3
                                                       : 0;
  // The first continuation byte is narrower where overlong forms, surrogates or codes past 10FFFF would begin.
  int least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  int most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  const auto check = [&](bool good) {
    if (!good && source_.peek() != JsonSource::kEnd) {
      fail_because("text is not UTF-8", fmt::format("iconv -f LATIN1 -t UTF-8 {0} > {0}.utf8", source_.name()));
    }
  };
  check(following > 0);
  for (int i = 0; i <= following; ++i) {
    const int c = source_.peek();
    if (i > 0) check(c >= least && c <= most), least = 0x80, most = 0xbf;
    if (c == JsonSource::kEnd) fail("the end of a string");
    text_.push_back(static_cast<char>(c));
    source_.advance();
  }
}

void JsonLexer::fail(const std::string& expected) const {
  const int c = source_.peek();
  if (c == JsonSource::kEnd) {
    fail_because(fmt::format("the file ends where {} belongs (it is cut short)", expected),
                 "copy or download the file again");
  }
  const std::string found =
      c > ' ' && c <= '~' ? fmt::format("'{}'", static_cast<char>(c)) : fmt::format("byte value {}", c);
  if (c == 'N' || c == 'I') {
    fail_because(fmt::format("found {}, expected {} (NaN and Infinity are not JSON)", found, expected),
                 "replace the value by a number or remove the annotation");
  }
  fail_because(fmt::format("found {}, expected {}", found, expected),
               "correct the file at that place, or export it again");
}

void JsonLexer::fail_because(const std::string& reason, const std::string& hint) const {
  throw Error(ExitCode::data,
              fmt::format("{}: not valid JSON: line {}, column {}, byte {}: {}", source_.name(), line_,
                          source_.position() - line_start_ + 1, source_.position(), reason),
              hint);
}

void JsonLexer::too_deep() const {
  fail_because(fmt::format("nested deeper than {} levels", kMaxDepth),
               "this is not an annotation file; export it again");
}

}  // namespace tessera
