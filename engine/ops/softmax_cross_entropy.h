// Softmax over the classes of a row, and its cross entropy.
#pragma once

#include "engine/autograd/tape.h"

namespace tessera {

// logits [R, K] f32; labels i32 [R]: 0 .. K - 1, negative: the row does not count. The sum over rows divided by
// `normalizer`: [1]. A label of K or more makes the loss NaN.
Variable softmax_cross_entropy(Tape& tape, const Variable& logits, const Tensor& labels, float normalizer);

// The first `kept` probabilities of each row [R, K] -> [R, kept]. No gradient.
Tensor softmax(Context& context, const Tensor& logits, int64_t kept);

}  // namespace tessera
