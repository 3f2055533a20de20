#include "apps/picture_notes.h"

#include <fmt/format.h>

#include <cstdio>

#include "apps/terminal_text.h"

namespace tessera {

namespace {

constexpr size_t kMost = 100;  // a set may have a remark on each of 100,000 pictures

}  // namespace

void PictureNotes::add(const std::string& remark) {
  if (quiet_ || remark.empty() || made_.size() > kMost || !made_.insert(remark).second) return;
  fmt::print(stderr, "note: {}\n",
             made_.size() <= kMost ? terminal_text(remark) : "remarks on more pictures are left out");
}

}  // namespace tessera
