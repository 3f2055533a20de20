#include <gtest/gtest.h>

#include <string>

#include "engine/io/crc32c.h"
#include "engine/io/sha256.h"

namespace tessera {
namespace {

// Test vectors of RFC 3720, B.4, and the check value of the CRC catalogues.
TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62A8AB43u);
  EXPECT_EQ(crc32c(nullptr, 0), 0u);
}

TEST(Crc32c, PortableAgreesAndPiecesCompose) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 37 + i / 7);
  for (size_t length = 0; length <= text.size(); ++length) {
    const uint32_t whole = crc32c(text.data(), length);
    EXPECT_EQ(crc32c_portable(text.data(), length), whole);
    const size_t cut = length * 5 / 13;
    EXPECT_EQ(crc32c(text.data() + cut, length - cut, crc32c(text.data(), cut)), whole);
  }
}

// FIPS 180-4 examples (NIST CAVP).
TEST(Sha256, KnownAnswers) {
  const auto hash = [](const std::string& text) { return Sha256().update(text.data(), text.size()).finish(); };
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesCompose) {
  const std::string text(317, 'q');
  const std::string whole = Sha256().update(text.data(), text.size()).finish();
  for (size_t cut = 0; cut <= text.size(); cut += 13) {
    EXPECT_EQ(Sha256().update(text.data(), cut).update(text.data() + cut, text.size() - cut).finish(), whole);
  }
}

}  // namespace
}  // namespace tessera
