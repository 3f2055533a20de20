#include "apps/markup.h"

#include <gtest/gtest.h>

#include "tests/apps/markup_check.h"

namespace tessera {
namespace {

std::string base64_of(std::string_view text) {
  return base64({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(Markup, Base64OfRfc4648) {
  EXPECT_EQ(base64_of(""), "");
  EXPECT_EQ(base64_of("f"), "Zg==");
  EXPECT_EQ(base64_of("fo"), "Zm8=");
  EXPECT_EQ(base64_of("foo"), "Zm9v");
  EXPECT_EQ(base64_of("foob"), "Zm9vYg==");
  EXPECT_EQ(base64_of("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64_of("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64_of("\xfb\xff\xbf"), "+/+/");
}

TEST(Markup, Escapes) {
  EXPECT_EQ(escape_markup("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escape_markup("Straße\t\n中 \xf0\x9f\x98\x80"), "Straße\t\n中 \xf0\x9f\x98\x80");
}

TEST(Markup, WhatXmlForbidsIsReplaced) {
  const std::string replaced = "\xef\xbf\xbd";
  EXPECT_EQ(escape_markup(std::string_view("a\0b\x1b", 4)), "a" + replaced + "b" + replaced);
  EXPECT_EQ(escape_markup("\xff"), replaced);
  EXPECT_EQ(escape_markup("\xc3"), replaced) << "cut character";
  EXPECT_EQ(escape_markup("\xc0\xaf"), replaced + replaced) << "overlong";
  EXPECT_EQ(escape_markup("\xed\xa0\x80"), replaced + replaced + replaced) << "surrogate";
  EXPECT_EQ(escape_markup("\xef\xbf\xbf"), replaced + replaced + replaced) << "U+FFFF";
  EXPECT_EQ(escape_markup("\xf4\x90\x80\x80"), replaced + replaced + replaced + replaced) << "beyond U+10FFFF";
}

TEST(Markup, DataUriKnowsTheFormat) {
  const std::array<uint8_t, 4> png = {0x89, 'P', 'N', 'G'}, jpeg = {0xff, 0xd8, 0xff, 0xe0};
  EXPECT_EQ(image_data_uri(png), "data:image/png;base64,iVBORw==");
  EXPECT_EQ(image_data_uri(jpeg), "data:image/jpeg;base64,/9j/4A==");
  EXPECT_EQ(image_data_uri({}), "data:image/png;base64,");
}

TEST(Markup, TheCheckItselfFinds) {
  EXPECT_EQ(markup_problem("<a b=\"x > y\"><i/>&amp;</a>", false), "");
  EXPECT_NE(markup_problem("<a><b></a></b>", false), "");
  EXPECT_NE(markup_problem("<a>", false), "");
  EXPECT_NE(markup_problem("<a>R&D</a>", false), "");
  EXPECT_NE(markup_problem("<a b=c></a>", false), "");
  EXPECT_NE(markup_problem("<p>1 < 2</p>", false), "");
  EXPECT_NE(markup_problem("<p><br></p>", false), "");
  EXPECT_EQ(markup_problem("<p><br></p>", true), "");
}

}  // namespace
}  // namespace tessera
