// Detections in COCO's result format: a list of {image_id, category_id, score, bbox and/or segmentation}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "data/annotations/growing_array.h"
#include "data/annotations/rle.h"

namespace tessera {

struct CocoResult {
  int64_t image_id = 0, category_id = 0;
  double score = 0;
  BoxXywh box;
  int32_t mask_height = 0, mask_width = 0;  // 0 x 0: no mask
  uint32_t mask_length = 0;                 // characters of the compressed mask
  bool has_box = false;
  uint64_t mask_first = 0;

  bool has_mask() const { return mask_height > 0; }
};

// Masks are held as compressed strings: 500,000 detections of 200 characters take 140 MB.
class CocoResults {
 public:
  void add(int64_t image_id, int64_t category_id, double score, const std::optional<BoxXywh>& box, const Rle* mask);
  std::span<const CocoResult> entries() const { return {entries_.data(), entries_.size()}; }
  size_t size() const { return entries_.size(); }
  // Compressed text and runs of an entry that has a mask.
  std::string_view mask_text(const CocoResult& entry) const;
  Rle mask(const CocoResult& entry) const;

 private:
  friend class ResultsHandler;
  void add(CocoResult entry, std::string_view mask_text);

  GrowingArray<CocoResult> entries_;
  GrowingArray<char> text_;
};

// Throws Error(data) with the index in the list on an entry that is not complete and valid.
CocoResults read_results(const std::filesystem::path& file);
// The file appears whole or not at all. Throws WriteError (engine/io/atomic_file.h).
void write_results(const std::filesystem::path& file, const CocoResults& results);

}  // namespace tessera
