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
  const int columns = std::clamp(options.columns, 1, std::max(1, int(tiles.size())));
  const int tile_width = std::max(16, options.tile_width);
  const int tallest_tile = options.tile_height > 0 ? options.tile_height : tile_width * 4 / 3;
  const int rows = (int(tiles.size()) + columns - 1) / columns;

  // Every row is as high as its tallest picture: pages of mixed formats stay dense.
  std::vector<std::pair<int, int>> sizes(tiles.size(), {0, 0});
  std::vector<int> row_heights(rows, options.tile_height);
  bool has_captions = false;
  for (size_t i = 0; i < tiles.size(); ++i) {
    has_captions |= !tiles[i].caption.empty();
    if (tiles[i].image.empty()) continue;
    sizes[i] = fitted_size(tiles[i].image, tallest_tile, tile_width);
    row_heights[i / columns] = std::max(row_heights[i / columns], sizes[i].first);
  }

  const int title_height = options.title.empty() ? 0 : 40;
  const int column_title_height = options.column_titles.empty() ? 0 : 30;
  const int below = has_captions ? caption_height : 0;
  int page_height = 2 * margin + title_height + column_title_height + std::max(0, rows - 1) * gap;
  for (const int height : row_heights) page_height += height + below;
  const int tiles_width = columns * tile_width + (columns - 1) * gap;
  const int title_width = std::min(int(text_width(options.title, title_letters)) + 1, 2 * tiles_width);
  Image page(page_height, 2 * margin + std::max(tiles_width, title_width), theme.ground);

  const auto tile_x = [&](int column) { return margin + column * (tile_width + gap); };
  draw_text(page, fit_text(options.title, title_letters, float(page.width - 2 * margin)), margin,
            margin + title_letters + 0.5f, title_letters, theme.title, 1.15f);
  for (int column = 0; column < columns && column < int(options.column_titles.size()); ++column)
    draw_text(page, fit_text(options.column_titles[column], column_letters, float(tile_width)), float(tile_x(column)),
              float(margin + title_height) + column_letters + 0.5f, column_letters, theme.title);

  int y = margin + title_height + column_title_height;
  for (size_t i = 0; i < tiles.size(); ++i) {
    if (i > 0 && i % columns == 0) y += row_heights[i / columns - 1] + below + gap;
    const auto [height, width] = sizes[i];
    const int x = tile_x(int(i) % columns), left = x + (tile_width - width) / 2;
    if (!tiles[i].image.empty()) {
      paste(page, resize_bilinear(tiles[i].image, height, width), y, left);
      draw_rectangle(page, {float(left), float(y), float(left + width), float(y + height)}, theme.frame, 1);
    }
    draw_text(page, fit_text(tiles[i].caption, caption_letters, float(tile_width)), float(width > 0 ? left : x),
              float(y + height) + caption_letters + 6.5f, caption_letters, theme.caption);
  }
  return page;
}

}  // namespace tessera
