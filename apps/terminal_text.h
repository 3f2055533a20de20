// Texts out of files on their way to a terminal.
#pragma once

#include <string>
#include <string_view>

namespace tessera {

// Control characters other than tab and line break as \x1b: names in a file that somebody else made must not move the
// cursor, change colours or set titles. UTF-8 is left as it is, but for its own control characters, U+0080 to U+009F.
std::string terminal_text(std::string_view text);

}  // namespace tessera
