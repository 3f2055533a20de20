// Patterns over tensor names: "layer{n}.{b}.conv{j}.weight" -> "res{n+1}.{b}.conv{j}.weight". {n} is a number, {*} any
// text; a target may calculate: {n+1}, {n-2}, {5-n}, {3*n+1}, {n/2}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera {

class NamePattern {
 public:
  // Throws Error(internal) for a pattern that cannot be read: patterns are part of the program.
  explicit NamePattern(std::string_view pattern);
  NamePattern(std::string_view pattern, std::string_view target);

  bool matches(std::string_view name) const;
  // The target with the values of the name put in; nothing when the name does not match.
  std::optional<std::string> apply(std::string_view name) const;

 private:
  struct Piece {
    std::string text;  // literal, or the expression of a variable
    bool variable = false;
  };
  using Values = std::vector<std::pair<std::string, std::string>>;
  static std::vector<Piece> parse(std::string_view text);
  static std::string evaluate(const std::string& expression, const Values& values);
  bool match(std::string_view name, size_t piece, Values& values) const;

  std::vector<Piece> pattern_, target_;
};

}  // namespace tessera
