#include "data/annotations/coco_results.h"

#include <cmath>
#include <iterator>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"

namespace tessera {

void CocoResults::add(CocoResult entry, std::string_view mask_text) {
  entry.mask_first = text_.size();
  entry.mask_length = static_cast<uint32_t>(mask_text.size());
  text_.append(mask_text.data(), mask_text.size());
  entries_.push_back(entry);
}

void CocoResults::add(int64_t image_id, int64_t category_id, double score, const std::optional<BoxXywh>& box,
                      const Rle* mask) {
  TESSERA_CHECK(std::isfinite(score), "score {} of an object in image {}", score, image_id);
  TESSERA_CHECK(box.has_value() || mask != nullptr, "an object in image {} has neither box nor mask", image_id);
  CocoResult entry;
  entry.image_id = image_id;
  entry.category_id = category_id;
  entry.score = score;
  entry.has_box = box.has_value();
  entry.box = box.value_or(BoxXywh{});
  std::string text;
  if (mask != nullptr) {
    rle_validate(*mask);
    text = rle_to_string(*mask);
    entry.mask_height = mask->height;
    entry.mask_width = mask->width;
  }
  add(entry, text);
}

std::string_view CocoResults::mask_text(const CocoResult& entry) const {
  return {text_.data() + entry.mask_first, entry.mask_length};
}

Rle CocoResults::mask(const CocoResult& entry) const {
  TESSERA_CHECK(entry.has_mask(), "result without a mask");
  return rle_from_string(mask_text(entry), entry.mask_height, entry.mask_width);
}

void write_results(const std::filesystem::path& file, const CocoResults& results) {
  AtomicFile out(file);
  std::string text = "[";
  bool first = true;
  for (const CocoResult& entry : results.entries()) {
    fmt::format_to(std::back_inserter(text), "{}{{\"image_id\":{},\"category_id\":{},\"score\":{}", first ? "" : ",\n",
                   entry.image_id, entry.category_id, entry.score);
    first = false;
    if (entry.has_box) {
      fmt::format_to(std::back_inserter(text), ",\"bbox\":[{},{},{},{}]", entry.box.x, entry.box.y, entry.box.w,
                     entry.box.h);
    }
    if (entry.has_mask()) {
      fmt::format_to(std::back_inserter(text), ",\"segmentation\":{{\"size\":[{},{}],\"counts\":\"", entry.mask_height,
                     entry.mask_width);
      for (char c : results.mask_text(entry)) {
        if (c == '\\') text += '\\';  // the only character of the code that JSON escapes
        text += c;
      }
      text += "\"}";
    }
    text += '}';
    if (text.size() > size_t{1} << 20) {
      out.write(text);
      text.clear();
    }
  }
  out.write(text + "]\n");
  out.commit();
}

}  // namespace tessera
