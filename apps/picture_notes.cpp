#include "apps/picture_notes.h"

#include "apps/progress.h"

namespace tessera {

namespace {

constexpr size_t kMost = 100;  // a set may have a remark on each of 100,000 pictures

}  // namespace

void PictureNotes::add(const std::string& remark) {
  if (quiet_ || remark.empty() || made_.size() > kMost || !made_.insert(remark).second) return;
  print_beside_progress("note: " + (made_.size() <= kMost ? remark : "remarks on more pictures are left out"));
}

}  // namespace tessera
