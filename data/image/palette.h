// Colours for instances and classes, generated rather than listed: hues by the golden angle in OKLCH, so that
// neighbouring indices never look alike and all are equally strong.
#pragma once

#include "data/image/image.h"

namespace tessera {

// Any index >= 0; the same index has the same colour everywhere.
Rgb palette_color(int index);

// Perceived lightness 0..1 (OKLab L), and the colour moved towards white (amount > 0) or black (amount < 0), |amount|
// <= 1.
float lightness(Rgb color);
Rgb shade(Rgb color, float amount);

// Near-black or white, whichever reads better on `ground`.
Rgb readable_on(Rgb ground);

}  // namespace tessera
