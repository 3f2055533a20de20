#include "data/image/draw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "data/image/contact_sheet.h"
#include "data/image/palette.h"
#include "data/image/shapes.h"
#include "data/image/text.h"

namespace tessera {
namespace {

constexpr Rgb grey{120, 120, 120};

OverlayObject disc_object(int size, float center, float radius, int label, float score) {
  Bitmap mask{size, size, std::vector<uint8_t>(size_t(size) * size)};
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x)
      mask.pixels[size_t(y) * size + x] = std::hypot(x + 0.5f - center, y + 0.5f - center) < radius;
  return {{center - radius, center - radius, center + radius, center + radius}, label, score, true, pack_mask(mask)};
}

TEST(Draw, PackedMaskIsTheMask) {
  Bitmap mask{5, 20, std::vector<uint8_t>(100)};
  for (int i : {23, 30, 44, 58, 61}) mask.pixels[i] = 1;
  const BitMask packed = pack_mask(mask);
  EXPECT_EQ(packed.y, 1);
  EXPECT_EQ(packed.x, 1);
  EXPECT_EQ(packed.height, 3);
  EXPECT_EQ(packed.width, 18);
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 18; ++x) EXPECT_EQ(packed.at(y, x), mask.at(y + 1, x + 1) != 0);
  EXPECT_EQ(pack_mask(Bitmap{3, 3, std::vector<uint8_t>(9)}).width, 0);
}

TEST(Draw, FillIsTranslucentContourLighterOutsideUntouched) {
  const Image picture(200, 200, grey);
  const std::vector<OverlayObject> objects{disc_object(200, 100, 50, 0, -1)};
  OverlayOptions options;
  options.chips = false;
  const Image out = draw_overlay(picture, objects, options);
  EXPECT_EQ(out.color(5, 5), grey);
  EXPECT_EQ(out.color(100, 160), grey);
  const Rgb color = palette_color(0), inside = out.color(100, 100), contour = out.color(100, 149);
  EXPECT_NEAR(inside.r, grey.r + 0.42 * (color.r - grey.r), 2);
  EXPECT_NEAR(inside.b, grey.b + 0.42 * (color.b - grey.b), 2);
  EXPECT_GT(lightness(contour), lightness(inside) + 0.06f);
}

TEST(Draw, ChipsNeverOverlapAndTheBestWins) {
  const Image picture(300, 300, grey);
  std::vector<OverlayObject> crowd;
  for (int i = 0; i < 40; ++i) crowd.push_back(disc_object(300, 150, 20, i, 0.5f + 0.01f * float(i)));
  OverlayOptions with, without;
  without.chips = false;
  const Image a = draw_overlay(picture, crowd, with), b = draw_overlay(picture, crowd, without);
  int changed = 0;
  for (int y = 0; y < 300; ++y)
    for (int x = 0; x < 300; ++x) changed += a.color(y, x) != b.color(y, x);
  EXPECT_GT(changed, 200);
  EXPECT_LT(changed, 6000) << "forty chips on one spot cannot all be drawn";
}

TEST(Draw, ObjectsAtBordersAndDegenerateOnes) {
  const Image picture(40, 60, grey);
  Bitmap full{40, 60, std::vector<uint8_t>(2400, 1)};
  OverlayObject whole{{0, 0, 60, 40}, 3, 1, true, pack_mask(full)};
  OverlayObject no_mask{{10, 10, 30, 20}, 0, 0.5f, false, {}};
  OverlayObject empty{{}, 1, 0, true, {}};
  OverlayObject outside{{-50, -50, 500, 500}, 1, 0, false, {}};
  for (int magnify : {1, 2, 5}) {
    OverlayOptions options;
    options.magnify = magnify;
    options.boxes = true;
    const Image out = draw_overlay(picture, std::vector{whole, no_mask, empty, outside}, options);
    EXPECT_EQ(out.height, 40 * magnify);
    EXPECT_EQ(out.width, 60 * magnify);
    EXPECT_NE(out.color(20 * magnify, 30 * magnify), grey);
  }
  EXPECT_EQ(draw_overlay(picture, {}, {}), picture);
  EXPECT_EQ(draw_overlay(Image(1, 1, grey), std::vector{no_mask}, {}).width, 1);
}

TEST(Draw, PaletteColorsDifferAndText) {
  std::set<int> seen;
  for (int i = 0; i < 30; ++i) {
    const Rgb c = palette_color(i);
    seen.insert(c.r << 16 | c.g << 8 | c.b);
    EXPECT_GT(lightness(c), 0.5f);
    EXPECT_LT(lightness(c), 0.9f);
    EXPECT_GT(std::abs(lightness(readable_on(c)) - lightness(c)), 0.25f) << i;
    for (int j = 0; j < i && i < 12; ++j) {
      const Rgb d = palette_color(j);
      EXPECT_GT(std::abs(c.r - d.r) + std::abs(c.g - d.g) + std::abs(c.b - d.b), 40) << i << " and " << j;
    }
  }
  EXPECT_EQ(seen.size(), 30u);
}

TEST(Draw, TextStaysWhereItIsMeasured) {
  for (float size : {7.f, 10.f, 30.f}) {
    for (char c = 33; c < 127; ++c) {
      Image image(120, 120, {255, 255, 255});
      const std::string text(1, c);
      draw_text(image, text, 40, 70, size, {});
      int inked = 0, strays = 0;
      for (int y = 0; y < 120; ++y)
        for (int x = 0; x < 120; ++x) {
          if (image.color(y, x) == Rgb{255, 255, 255}) continue;
          ++inked;
          const float pen = 0.08f * size + 1.5f;
          strays += x + 1 < 40 - pen || float(x) > 40 + text_width(text, size) + pen ||
                    y + 1 < 70 - 1.2f * size - pen || float(y) > 70 + 0.4f * size + pen;
        }
      EXPECT_GT(inked, 1) << "character " << c;
      EXPECT_EQ(strays, 0) << "character " << c << " at " << size;
    }
    EXPECT_GT(text_width("MM", size), 2 * text_width("M", size));
    const std::string fitted = fit_text("a rather long name of a class", size, 8 * size);
    EXPECT_TRUE(fitted.ends_with("..."));
    EXPECT_LE(text_width(fitted, size), 8 * size);
    EXPECT_EQ(fit_text("short", size, 100 * size), "short");
    EXPECT_NO_THROW(fit_text("anything", size, 0));
  }
  Image small(4, 4);
  draw_text(small, "clipped at every border", -20, 3, 12, {255, 255, 255});
}

TEST(Draw, RectanglesCoverWhatTheySay) {
  Image image(10, 10);
  fill_rectangle(image, {2, 3, 7, 8}, {200, 100, 50});
  for (int y = 0; y < 10; ++y)
    for (int x = 0; x < 10; ++x)
      EXPECT_EQ(image.color(y, x), (x >= 2 && x < 7 && y >= 3 && y < 8 ? Rgb{200, 100, 50} : Rgb{})) << y << "," << x;
  fill_rectangle(image, {-5, -5, 50, 50}, {1, 2, 3});
  EXPECT_EQ(image.color(0, 0), (Rgb{1, 2, 3}));
  Image target(4, 4);
  paste(target, Image(3, 3, grey), -1, 2);
  EXPECT_EQ(target.color(1, 3), grey);
  EXPECT_EQ(target.color(2, 3), Rgb{});
  paste(target, Image(3, 3, grey), 9, 9);
}

TEST(ContactSheet, HoldsEveryTile) {
  std::vector<Tile> tiles;
  for (int i = 0; i < 5; ++i) tiles.push_back({Image(30 + i, 40, palette_color(i)), "tile"});
  tiles.push_back({});  // an empty place
  ContactSheetOptions options;
  options.columns = 2;
  options.tile_width = 80;
  options.title = "A title";
  options.column_titles = {"ground truth", "prediction"};
  const Image page = contact_sheet(tiles, options);
  for (int i = 0; i < 5; ++i) {
    int found = 0;
    for (int y = 0; y < page.height; ++y)
      for (int x = 0; x < page.width; ++x) found += page.color(y, x) == palette_color(i);
    EXPECT_GT(found, 3000) << "tile " << i;
  }
  EXPECT_GT(contact_sheet({}, options).height, 0);
  EXPECT_EQ(magnification_for(Image(100, 128), 384), 3);
  EXPECT_EQ(magnification_for(Image(1000, 1280), 384), 1);
}

}  // namespace
}  // namespace tessera
