// The segmentation loss of GridMask for a detector's chosen locations. Knows no detector: it is told which cells of the
// pyramid answer for which object and with which box.
#pragma once

#include <cstdint>
#include <vector>

#include "data/annotations/annotations.h"
#include "engine/autograd/tape.h"
#include "models/gridmask/config.h"

namespace tessera {

// One location that learns the mask of one object.
struct GridSample {
  int32_t row = 0;  // of the pyramid: where the object embedding is read
  int32_t image = 0;
  int32_t object = 0;  // index in ImageTargets::objects
  Box box;             // what the grid divides, input pixels
};

// Indices of at most `limit` of `count` samples, ascending: all, or a subset without repetition that is a function of
// (seed, iteration).
std::vector<size_t> draw_positives(size_t count, size_t limit, uint64_t seed, uint64_t iteration);

// A location that could learn a mask, and how well the detector does there.
struct MaskCandidate {
  int32_t image = 0;
  int32_t object = 0;  // index in ImageTargets::objects
  float score = 0;
};
// Indices of the best candidates of every object, ascending: of each at most max(1, floor(per_image / objects)),
// objects being those of the picture that have a candidate. AdelaiDet's TOPK_PROPOSALS_PER_IM (CondInst); of equal
// scores the first.
std::vector<size_t> best_positives(const std::vector<MaskCandidate>& candidates, size_t per_image);

// The box with each corner coordinate moved by U(-0.1, 0.1) of the width or height; a function of (seed, iteration,
// sample).
Box jitter_box(const Box& box, uint64_t seed, uint64_t iteration, uint64_t sample);

// Eq. (8) and (9). pixels: X [N, h, w, dim] as the pixel branch makes it, `pixel_stride` input pixels each; resized to
// config.train_stride s first. objects: [J, 2 k k dim], one row a sample. Without samples the loss is a constant 0.
// The label of loss pixel u, zero outside the picture, by config.train_mask:
//   sampled   the mask at input pixel s u + s / 2 (AdelaiDet). The middle of that pixel is half a pixel beyond
//             (u + .5) s, where inference takes the score to lie: masks end up half a pixel to the upper left
//   coverage  the covered part of the s x s input pixels of u: no shift, and the score between two pixels crosses zero
//             where the edge runs
Variable gridmask_loss(Tape& tape, const Variable& pixels, int pixel_stride, const Variable& objects,
                       const std::vector<GridSample>& samples, const std::vector<ImageTargets>& images,
                       const GridMaskConfig& config);

}  // namespace tessera
