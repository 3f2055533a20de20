// Streaming reader of result files (data/annotations/coco_results.h).
#include <cmath>
#include <vector>

#include "data/annotations/coco_results.h"
#include "data/annotations/json_scanner.h"
#include "engine/core/error.h"

namespace tessera {

namespace {

constexpr int64_t kMaxSide = 1'000'000;

}  // namespace

class ResultsHandler {
 public:
  explicit ResultsHandler(std::string name) : name_(std::move(name)) {}

  void null() { other("null"); }
  void boolean(bool) { other("true or false"); }
  void number_integer(int64_t value) { number(static_cast<double>(value), &value); }
  void number_float(double value) {
    const bool whole = std::floor(value) == value && std::abs(value) < 9007199254740992.0;
    const int64_t integer = whole ? static_cast<int64_t>(value) : 0;
    number(value, whole ? &integer : nullptr);
  }
  void string(std::string& value) {
    if (place_ == Place::mask && field_ == "counts") {
      text_ = value;
      has_text_ = true;
    } else {
      other("a string");
    }
  }
  void key(const std::string& key) {
    if (skip_ == 0) field_ = key;
  }
  void start_object() {
    ++depth_;
    if (depth_ == 1) not_a_list();
    if (skip_ > 0) {
      ++skip_;
    } else if (place_ == Place::list) {
      place_ = Place::entry;
      entry_ = {};
      seen_image_ = seen_category_ = seen_score_ = seen_mask_ = has_text_ = has_counts_ = false;
      box_.clear();
      size_.clear();
      counts_.clear();
    } else if (place_ == Place::entry && field_ == "segmentation") {
      place_ = Place::mask;
      seen_mask_ = true;
    } else {
      start_other();
    }
  }
  void end_object() {
    --depth_;
    if (skip_ > 0) {
      --skip_;
    } else if (place_ == Place::mask) {
      place_ = Place::entry;
    } else {
      finish_entry();
      place_ = Place::list;
    }
  }
  void start_array() {
    ++depth_;
    if (depth_ == 1) {
      place_ = Place::list;
    } else if (skip_ > 0) {
      ++skip_;
    } else if (place_ == Place::entry && field_ == "bbox") {
      place_ = Place::box;
    } else if (place_ == Place::mask && field_ == "size") {
      place_ = Place::size;
    } else if (place_ == Place::mask && field_ == "counts") {
      place_ = Place::counts;
      has_counts_ = true;
    } else if (place_ == Place::entry && field_ == "segmentation") {
      fail("has polygons as segmentation; results are RLE masks");
    } else {
      start_other();
    }
  }
  void end_array() {
    --depth_;
    if (skip_ > 0) {
      --skip_;
    } else if (place_ == Place::box) {
      place_ = Place::entry;
    } else if (place_ == Place::size || place_ == Place::counts) {
      place_ = Place::mask;
    }
  }
  CocoResults take() { return std::move(results_); }

 private:
  enum class Place { outside, list, entry, box, mask, size, counts };

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ExitCode::data, fmt::format("{}: result {} of the list {}", name_, results_.size(), what),
                "correct the entry, or write the file again with tessera predict");
  }
  [[noreturn]] void not_a_list() const {
    throw Error(ExitCode::data, name_ + ": is not a list of results",
                "results are [{\"image_id\", \"category_id\", \"score\", \"bbox\" or \"segmentation\"}, ...]");
  }
  bool is_known_field() const {
    if (place_ == Place::mask) return field_ == "size" || field_ == "counts";
    return field_ == "image_id" || field_ == "category_id" || field_ == "score" || field_ == "bbox" ||
           field_ == "segmentation";
  }
  // A list or object where none is expected: skipped under unknown keys.
  void start_other() {
    if (place_ == Place::list) fail("is not an object");
    if ((place_ != Place::entry && place_ != Place::mask) || is_known_field()) {
      fail(fmt::format("has a \"{}\" of the wrong type", field_));
    }
    skip_ = 1;
  }
  void other(const char* what) {
    if (place_ == Place::outside) not_a_list();
    if (skip_ > 0) return;
    if (place_ == Place::list) fail("is not an object");
    if (place_ == Place::entry && !is_known_field()) return;
    if (place_ == Place::mask && !is_known_field()) return;
    fail(fmt::format("has {} in \"{}\"", what, field_));
  }
  // integer: the value as one, if it is one.
  void number(double value, const int64_t* integer) {
    if (place_ == Place::outside) not_a_list();
    if (skip_ > 0) return;
    switch (place_) {
      case Place::list:
        fail("is not an object");
      case Place::box:
        box_.push_back(value);
        return;
      case Place::size:
      case Place::counts:
        if (integer == nullptr) fail(fmt::format("has {:g} in \"{}\" of its mask", value, field_));
        (place_ == Place::size ? size_ : counts_).push_back(*integer);
        return;
      case Place::entry:
        return entry_number(value, integer);
      default:
        if (is_known_field()) other("a number");
    }
  }
  void entry_number(double value, const int64_t* integer) {
    if (field_ == "score") {
      entry_.score = value;
      seen_score_ = true;
    } else if (field_ == "image_id" || field_ == "category_id") {
      if (integer == nullptr) fail(fmt::format("has \"{}\" {:g}, expected an integer", field_, value));
      const bool image = field_ == "image_id";
      (image ? entry_.image_id : entry_.category_id) = *integer;
      (image ? seen_image_ : seen_category_) = true;
    } else if (is_known_field()) {
      return other("a number");
    }
  }
  void finish_entry() {
    if (!seen_image_) fail("has no \"image_id\"");
    if (!seen_category_) fail("has no \"category_id\"");
    if (!seen_score_) fail("has no \"score\"");
    if (!box_.empty()) {
      if (box_.size() != 4) fail(fmt::format("has a bbox of {} values", box_.size()));
      entry_.has_box = true;
      entry_.box = {box_[0], box_[1], box_[2], box_[3]};
    }
    if (seen_mask_) finish_mask();
    if (!seen_mask_ && !entry_.has_box) fail("has neither \"bbox\" nor \"segmentation\"");
    results_.add(entry_, seen_mask_ ? std::string_view(text_) : std::string_view());
  }
  void finish_mask() {
    if (size_.size() != 2) fail("has a mask without a \"size\" of [height, width]");
    for (int64_t side : size_) {
      if (side <= 0 || side > kMaxSide) fail(fmt::format("has a mask of size [{}, {}]", size_[0], size_[1]));
    }
    entry_.mask_height = static_cast<int32_t>(size_[0]);
    entry_.mask_width = static_cast<int32_t>(size_[1]);
    if (!has_text_ && !has_counts_) fail("has a mask without \"counts\"");
    try {
      if (has_text_) {
        rle_from_string(text_, entry_.mask_height, entry_.mask_width);
        return;
      }
      Rle rle{entry_.mask_height, entry_.mask_width, {}};
      for (int64_t count : counts_) {
        if (count < 0 || count > INT64_C(0xffffffff)) fail(fmt::format("has a mask with a run of {}", count));
        rle.counts.push_back(static_cast<uint32_t>(count));
      }
      rle_validate(rle);
      text_ = rle_to_string(rle);
    } catch (const Error& error) {
      if (std::string_view(error.what()).starts_with(name_)) throw;
      fail(fmt::format("has a bad mask: {}", error.what()));
    }
  }

  std::string name_;
  CocoResults results_;
  Place place_ = Place::outside;
  size_t depth_ = 0, skip_ = 0;
  std::string field_, text_;
  CocoResult entry_;
  bool seen_image_ = false, seen_category_ = false, seen_score_ = false, seen_mask_ = false;
  bool has_text_ = false, has_counts_ = false;
  std::vector<double> box_;
  std::vector<int64_t> size_, counts_;
};

CocoResults read_results(const std::filesystem::path& file) {
  JsonSource source(file);
  ResultsHandler handler(file.string());
  JsonScanner<ResultsHandler>(source, handler).scan();
  return handler.take();
}

}  // namespace tessera
