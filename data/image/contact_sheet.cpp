#include "data/image/contact_sheet.h"

#include <algorithm>
#include <cmath>

#include "data/image/resize.h"
#include "data/image/shapes.h"
#include "data/image/text.h"

namespace tessera {
namespace {

struct Theme {
  Rgb ground, title, caption, frame;
};
constexpr Theme light{{250, 250, 249}, {32, 35, 42}, {92, 97, 107}, {222, 224, 228}};
constexpr Theme dark{{24, 26, 31}, {236, 238, 242}, {160, 166, 177}, {58, 62, 71}};

constexpr float title_letters = 15, column_letters = 11, caption_letters = 8.5f;
constexpr int margin = 22, gap = 16, caption_height = 24;

// The largest size of the picture's shape inside the tile.
std::pair<int, int> fitted_size(const Image& image, int height, int width) {
  const double scale = std::min(double(height) / image.height, double(width) / image.width);
  return {std::clamp(int(image.height * scale + 0.5), 1, height), std::clamp(int(image.width * scale + 0.5), 1, width)};
}

}  // namespace

Image contact_sheet(const std::vector<Tile>& tiles, const ContactSheetOptions& options) {
  const Theme& theme = options.is_dark ? dark : light;
  const int columns = std::max(1, std::min<int>(options.columns, std::max<int>(1, int(tiles.size()))));
  const int tile_width = std::max(16, options.tile_width);
  int tile_height = options.tile_height;
  bool has_captions = false;
  double tallest = 0;
  for (const Tile& tile : tiles) {
    has_captions |= !tile.caption.empty();
    if (!tile.image.empty()) tallest = std::max(tallest, double(tile.image.height) / tile.image.width);
  }
  // Panoramas and towers would leave a page of air: between a half and four thirds of the width.
  if (tile_height <= 0) tile_height = int(tile_width * std::clamp(tallest, 0.5, 4.0 / 3) + 0.5);

  const int rows = (int(tiles.size()) + columns - 1) / columns;
  const int title_height = options.title.empty() ? 0 : 40;
  const int column_title_height = options.column_titles.empty() ? 0 : 30;
  const int row_height = tile_height + (has_captions ? caption_height : 0);
  const int needed_width = 2 * margin + columns * tile_width + (columns - 1) * gap;
  const int title_width = options.title.empty() ? 0 : int(text_width(options.title, title_letters)) + 2 * margin;
  Image page(2 * margin + title_height + column_title_height + rows * row_height + std::max(0, rows - 1) * gap,
             std::max(needed_width, std::min(title_width, 2 * needed_width)), theme.ground);
  if (title_height)
    draw_text(page, fit_text(options.title, title_letters, float(page.width - 2 * margin)), margin,
              margin + title_letters + 0.5f, title_letters, theme.title, 1.15f);
  const auto tile_x = [&](int column) { return margin + column * (tile_width + gap); };
  for (int column = 0; column < columns && column < int(options.column_titles.size()); ++column)
    draw_text(page, fit_text(options.column_titles[column], column_letters, float(tile_width)), float(tile_x(column)),
              float(margin + title_height) + column_letters + 0.5f, column_letters, theme.title);

  for (size_t i = 0; i < tiles.size(); ++i) {
    const int x = tile_x(int(i) % columns);
    const int y = margin + title_height + column_title_height + int(i) / columns * (row_height + gap);
    int bottom = y + tile_height;
    if (!tiles[i].image.empty()) {
      const auto [height, width] = fitted_size(tiles[i].image, tile_height, tile_width);
      const int top = y + (tile_height - height) / 2, left = x + (tile_width - width) / 2;
      paste(page, resize_bilinear(tiles[i].image, height, width), top, left);
      draw_rectangle(page, {float(left), float(top), float(left + width), float(top + height)}, theme.frame, 1);
      bottom = top + height;
    }
    if (!tiles[i].caption.empty())
      draw_text(page, fit_text(tiles[i].caption, caption_letters, float(tile_width)), float(x),
                float(bottom) + caption_letters + 6.5f, caption_letters, theme.caption);
  }
  return page;
}

}  // namespace tessera
