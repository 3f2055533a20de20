// From a decoded picture and its annotated objects to network input: what is drawn at random, and the same geometry
// applied to pixels, boxes, polygons and masks.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "data/annotations/annotations.h"
#include "data/image/image.h"
#include "data/pipeline/preprocessing.h"
#include "engine/core/rng.h"

namespace tessera {

// Training-time randomness; the default changes nothing but the horizontal flip.
struct Augmentation {
  int min_short_side = 0;  // short side: a whole number in [min, max]; 0 both: that of Preprocessing
  int max_short_side = 0;
  std::vector<int> short_sides;  // instead: one of these, all alike
  float horizontal_flip = 0.5f;  // probabilities
  float vertical_flip = 0;
  float transpose = 0;  // rows and columns change places; with both flips: all eight positions of a picture
  float crop = 0;
  float crop_least = 0.5f;  // smallest share of each side that a crop keeps; the crop is resized like a whole picture
  float brightness = 0;     // up to so many levels up or down, 0..255
  float contrast = 0;       // factor in [1 - c, 1 + c] around the middle grey
  float channel_gain = 0;   // factor in [1 - g, 1 + g], each channel its own
};

// Where the pixels of a picture go: crop, resize, horizontal flip, vertical flip, transposition, in this order.
struct SampleGeometry {
  int original_height = 0, original_width = 0;
  int crop_y = 0, crop_x = 0, crop_height = 0, crop_width = 0;  // original pixels
  int resized_height = 0, resized_width = 0;                    // of the crop, before transposition
  bool flips_horizontally = false, flips_vertically = false, transposes = false;

  int output_height() const { return transposes ? resized_width : resized_height; }
  int output_width() const { return transposes ? resized_height : resized_width; }
  bool is_cropped() const { return crop_height != original_height || crop_width != original_width; }
};

struct ColorChange {
  float brightness = 0;
  float contrast = 1;
  std::array<float, 3> gain{1, 1, 1};  // R, G, B
};

// Without randomness: evaluation.
SampleGeometry plain_geometry(int height, int width, const Preprocessing& preprocessing);

// Both use a fixed number of random values, whatever is switched on: one option does not disturb the draws of another.
SampleGeometry draw_geometry(Rng& rng, int height, int width, const Preprocessing& preprocessing,
                             const Augmentation& augmentation);
ColorChange draw_color_change(Rng& rng, const Augmentation& augmentation);

// The picture after the geometry, still 8-bit.
Image transform_image(const Image& image, const SampleGeometry& geometry);
// The box after the geometry, clipped to the output: empty() if nothing is left.
Box transform_box(const Box& box, const SampleGeometry& geometry);
// Corners x0, y0, x1, y1, ... after the geometry, not clipped.
std::vector<double> transform_polygon(std::span<const double> points, const SampleGeometry& geometry);
// A mask of the original size after the geometry, nearest pixel (specification 12.3).
Bitmap transform_mask(const Bitmap& mask, const SampleGeometry& geometry);

// Smallest box around the mask; empty() for an empty mask.
Box tight_box(const Bitmap& mask);

// Writes the picture as (sample - mean) / deviation in the network's channel order to [height, row_width, 3] floats,
// row_width >= image.width; the columns beyond the picture are not touched. Colours change before normalising and are
// cut to 0..255.
void normalize_into(const Image& image, const Preprocessing& preprocessing, const ColorChange& change, float* out,
                    int row_width);

// One picture ready for the network, as evaluation and prediction use it.
struct PreparedImage {
  std::vector<float> values;  // [1, height, width, 3], padded with 0 on the right and below
  int height = 0, width = 0;  // multiples of the size divisor
  ImageGeometry geometry;
};
PreparedImage prepare_image(const Image& image, const Preprocessing& preprocessing);

}  // namespace tessera
