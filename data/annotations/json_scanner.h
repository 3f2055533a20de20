// A strict JSON reader (RFC 8259) that calls a handler for every element: null, boolean(bool), number_integer(int64_t),
// number_float(double), string(std::string&), key(std::string&), start_object, end_object, start_array, end_array.
// Annotation files are mostly short decimal numbers; those are converted without strtod and exactly. A file of 510 MB
// takes 3.0 s of processor time including all checks, 7.3 s with nlohmann's SAX parser and no checks (measured
// together); the tests compare the two event by event.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/annotations/json_source.h"

namespace tessera {

// The part that does not depend on the handler: characters, strings, numbers, errors.
class JsonLexer {
 public:
  static constexpr size_t kMaxDepth = 64;

  explicit JsonLexer(JsonSource& source) : source_(source) {}

 protected:
  struct Number {
    bool is_integer = false;  // fits int64_t and has neither fraction nor exponent
    int64_t integer = 0;
    double value = 0;
  };

  void skip_space();
  void skip_byte_order_mark();
  Number read_number();
  void read_string();  // to text_
  void read_literal(const char* word);
  // "found ..., expected `expected`".
  [[noreturn]] void fail(const std::string& expected) const;
  [[noreturn]] void fail_because(const std::string& reason, const std::string& hint) const;
  [[noreturn]] void too_deep() const;

  JsonSource& source_;
  std::string text_;

 private:
  void read_escape();
  uint32_t read_hex();
  void read_utf8();
  double slow_number(int64_t magnitude) const;

  uint64_t line_ = 1, line_start_ = 0;
  std::string digits_;  // characters of the number being read
};

template <typename Handler>
class JsonScanner : private JsonLexer {
 public:
  JsonScanner(JsonSource& source, Handler& handler) : JsonLexer(source), handler_(handler) {}

  // Reads the whole file. Throws Error(data): file, byte, line, reason.
  void scan() {
    skip_byte_order_mark();
    skip_space();
    value(1);
    skip_space();
    if (source_.peek() != JsonSource::kEnd) fail("the end of the file");
  }

 private:
  void value(size_t depth) {
    switch (source_.peek()) {
      case '{':
        object(depth);
        return;
      case '[':
        array(depth);
        return;
      case '"':
        read_string();
        handler_.string(text_);
        return;
      case 't':
        read_literal("true");
        return handler_.boolean(true);
      case 'f':
        read_literal("false");
        return handler_.boolean(false);
      case 'n':
        read_literal("null");
        return handler_.null();
      default:
        break;
    }
    const Number number = read_number();
    if (number.is_integer) return handler_.number_integer(number.integer);
    handler_.number_float(number.value);
  }
  void array(size_t depth) {
    if (depth > kMaxDepth) too_deep();
    source_.advance();
    handler_.start_array();
    skip_space();
    if (source_.peek() != ']') {
      for (;;) {
        value(depth + 1);
        skip_space();
        if (source_.peek() != ',') break;
        source_.advance();
        skip_space();
      }
      if (source_.peek() != ']') fail("',' or ']'");
    }
    source_.advance();
    handler_.end_array();
  }
  void object(size_t depth) {
    if (depth > kMaxDepth) too_deep();
    source_.advance();
    handler_.start_object();
    skip_space();
    if (source_.peek() != '}') {
      for (;;) {
        if (source_.peek() != '"') fail("a key in quotes");
        read_string();
        handler_.key(text_);
        skip_space();
        if (source_.peek() != ':') fail("':'");
        source_.advance();
        skip_space();
        value(depth + 1);
        skip_space();
        if (source_.peek() != ',') break;
        source_.advance();
        skip_space();
      }
      if (source_.peek() != '}') fail("',' or '}'");
    }
    source_.advance();
    handler_.end_object();
  }

  Handler& handler_;
};

}  // namespace tessera
