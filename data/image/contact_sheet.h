// Many pictures on one page: `data show`, training samples with ground truth beside prediction, report pages.
#pragma once

#include <string>
#include <vector>

#include "data/image/image.h"

namespace tessera {

struct Tile {
  Image image;
  std::string caption;  // below the picture, may be empty
};

struct ContactSheetOptions {
  int columns = 4;
  int tile_width = 384;                    // pixels; pictures are fitted into the tile, small ones enlarged
  int tile_height = 0;                     // 0: from the widest and tallest picture of the sheet
  std::string title;                       // above all, may be empty
  std::vector<std::string> column_titles;  // "ground truth", "prediction", ...; may be empty
  bool is_dark = false;
};

// Rows are filled left to right. Without tiles, a page with its title alone.
Image contact_sheet(const std::vector<Tile>& tiles, const ContactSheetOptions& options = {});

}  // namespace tessera
