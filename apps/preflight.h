// A look at the pictures of a set before a long run: what would stop it in hours is said in its first seconds.
#pragma once

#include <string>
#include <vector>

#include "apps/model_evaluation.h"

namespace tessera {

// How many missing pictures are named one by one.
inline constexpr size_t kNamedMissing = 5;

// missing: paths of pictures that are not there, of `pictures` in all. Returns a note that names the first few ("" for
// none); throws Error(data) where they are more than the share `quota` of all. annotations, images: of the set, for the
// message and its hint.
std::string missing_pictures_note(const std::vector<std::string>& missing, int64_t pictures, double quota,
                                  const std::string& annotations, const std::string& images);

// Throws Error(data) where an evaluation of the model on the set would fail: a category that the model does not know, a
// picture that is not there.
void check_evaluation_set(const Model& model, const EvaluationSet& set);

}  // namespace tessera
