// Change of height and width of maps [N, h, w, C] (specification, sections 0 and 1.4). Any size to any size >= 1;
// backward is deterministic (a gather).
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// Half-pixel centres, clamped at the border: src = (dst + 0.5) * in / out - 0.5.
Variable resize_bilinear(Tape& tape, const Variable& x, int64_t height, int64_t width);

// src = floor(dst * in / out).
Variable resize_nearest(Tape& tape, const Variable& x, int64_t height, int64_t width);

// resize_nearest(coarse, height and width of fine) + fine: the top-down path of a feature pyramid.
Variable resize_nearest_add(Tape& tape, const Variable& coarse, const Variable& fine);

}  // namespace tessera
