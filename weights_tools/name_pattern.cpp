#include "weights_tools/name_pattern.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "engine/core/error.h"

namespace tessera {

namespace {

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

}  // namespace

NamePattern::NamePattern(std::string_view pattern) : pattern_(parse(pattern)) {}

NamePattern::NamePattern(std::string_view pattern, std::string_view target)
    : pattern_(parse(pattern)), target_(parse(target)) {}

std::vector<NamePattern::Piece> NamePattern::parse(std::string_view text) {
  std::vector<Piece> pieces;
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    if (open > 0) pieces.push_back({std::string(text.substr(0, open)), false});
    if (open == text.size()) break;
    const size_t close = text.find('}', open);
    TESSERA_CHECK(close != std::string_view::npos && close > open + 1, "pattern '{}'", text);
    pieces.push_back({std::string(text.substr(open + 1, close - open - 1)), true});
    text.remove_prefix(close + 1);
  }
  return pieces;
}

bool NamePattern::match(std::string_view name, size_t piece, Values& values) const {
  if (piece == pattern_.size()) return name.empty();
  const auto& [text, variable] = pattern_[piece];
  if (!variable) return name.starts_with(text) && match(name.substr(text.size()), piece + 1, values);
  size_t longest = name.size();
  if (text != "*") {
    longest = 0;
    while (longest < name.size() && longest < 6 && is_digit(name[longest])) ++longest;
  }
  for (size_t length = longest + 1; length-- > (text == "*" ? 0u : 1u);) {
    values.emplace_back(text, name.substr(0, length));
    if (match(name.substr(length), piece + 1, values)) return true;
    values.pop_back();
  }
  return false;
}

bool NamePattern::matches(std::string_view name) const {
  Values values;
  return match(name, 0, values);
}

std::optional<std::string> NamePattern::apply(std::string_view name) const {
  Values values;
  if (!match(name, 0, values)) return std::nullopt;
  std::string result;
  for (const auto& [text, variable] : target_) result += variable ? evaluate(text, values) : text;
  return result;
}

// term [op term [op term]], from left to right with * and / in front: enough for numbering.
std::string NamePattern::evaluate(const std::string& expression, const Values& values) {
  const auto value_of = [&](std::string_view word) -> std::string {
    if (!word.empty() && is_digit(word[0])) return std::string(word);
    for (const auto& [name, value] : values) {
      if (name == word) return value;
    }
    TESSERA_CHECK(false, "'{}' is not in the pattern", expression);
  };
  if (expression == "*") return value_of("*");
  std::vector<int> numbers;
  std::string operators;
  for (size_t at = 0; at < expression.size();) {
    size_t end = at;
    while (end < expression.size() && std::isalnum(static_cast<unsigned char>(expression[end]))) ++end;
    const std::string value = value_of(std::string_view(expression).substr(at, end - at));
    int number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    if (!operators.empty() && (operators.back() == '*' || operators.back() == '/')) {
      const bool divide = operators.back() == '/';
      operators.pop_back();
      TESSERA_CHECK(!divide || number != 0, "'{}'", expression);
      numbers.back() = divide ? numbers.back() / number : numbers.back() * number;
    } else {
      numbers.push_back(number);
    }
    if (end < expression.size()) operators.push_back(expression[end]);
    at = end + 1;
  }
  TESSERA_CHECK(numbers.size() == operators.size() + 1, "'{}'", expression);
  int sum = numbers[0];
  for (size_t i = 0; i < operators.size(); ++i) {
    TESSERA_CHECK(operators[i] == '+' || operators[i] == '-', "'{}'", expression);
    sum += operators[i] == '+' ? numbers[i + 1] : -numbers[i + 1];
  }
  return std::to_string(sum);
}

}  // namespace tessera
