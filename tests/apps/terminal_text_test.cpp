#include "apps/terminal_text.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(TerminalText, ControlCharactersAreSpelledOut) {
  EXPECT_EQ(terminal_text("class \x1b[31mred\a"), "class \\x1b[31mred\\x07");
  EXPECT_EQ(terminal_text(std::string_view("a\0b\r\x7f", 5)), "a\\x00b\\x0d\\x7f");
  EXPECT_EQ(terminal_text("\xc2\x9b"
                          "31m"),
            "\\x9b31m");  // CSI in one character
}

TEST(TerminalText, OtherTextStaysAsItIs) {
  const char* text = "caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac \xf0\x9f\x98\x80\tcolumn\nline \xc2";
  EXPECT_EQ(terminal_text(text), text);
  EXPECT_EQ(terminal_text(""), "");
}

}  // namespace
}  // namespace tessera
