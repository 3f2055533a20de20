#include "apps/terminal_text.h"

#include <fmt/format.h>

namespace tessera {

std::string terminal_text(std::string_view text) {
  std::string shown;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool two_bytes = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    if ((byte < 32 && byte != '\t' && byte != '\n') || byte == 127) {
      shown += fmt::format("\\x{:02x}", byte);
    } else if (two_bytes) {
      shown += fmt::format("\\x{:02x}", next);
      ++i;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

}  // namespace tessera
