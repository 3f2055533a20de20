// How far the pictures that a data set names are trusted: options of the verbs, keys data.* of a config.
#pragma once

#include "data/annotations/coco_json.h"
#include "data/image/decode.h"

namespace tessera {

struct PictureOptions {
  double max_megapixels = 100;  // of a header; larger pictures are refused
  bool allow_outside = false;   // file names that are absolute or contain ".."

  DecodeOptions decode() const { return {.max_pixels = static_cast<int64_t>(max_megapixels * 1e6)}; }
  CocoReadOptions read() const { return {.allow_outside = allow_outside}; }
};

}  // namespace tessera
