// Objects over a picture: translucent fill, lighter contour, a chip with class and score. Line width and letters follow
// the size of the picture.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/annotations/annotations.h"
#include "data/image/image.h"

namespace tessera {

struct OverlayObject {
  Box box;           // pixels of the picture
  int label = 0;     // class index: the name on the chip, and the colour where colours are by class
  float score = -1;  // below 0: none (ground truth)
  bool has_mask = false;
  BitMask mask;  // where there is none, the box is drawn
};

struct OverlayOptions {
  std::vector<std::string> names;  // of classes; a label without a name shows its number
  bool color_by_class = false;     // else every object has a colour of its own
  bool boxes = false;              // thin boxes beside the masks
  bool chips = true;               // a chip that finds no free place is left out, lowest score first
  float fill_opacity = 0.42f;
  int magnify = 1;  // draw on a picture enlarged this many times: small pictures get fine lines and readable letters
};

OverlayObject overlay_object(const Detection& detection);
OverlayObject overlay_object(const ObjectTarget& target);

// The mask's tight rectangle as bits.
BitMask pack_mask(const Bitmap& mask);

// Returns a new picture, `magnify` times the size of `picture`.
Image draw_overlay(const Image& picture, std::span<const OverlayObject> objects, const OverlayOptions& options = {});

// The magnification at which a picture's long side comes near `wanted` pixels, at least 1.
int magnification_for(const Image& picture, int wanted);

}  // namespace tessera
