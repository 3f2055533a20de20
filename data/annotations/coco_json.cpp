// The streaming reader: follows where in a COCO file the parser is and hands complete entries to CocoBuilder.
#include "data/annotations/coco_json.h"

#include <cmath>

#include "data/annotations/coco_builder.h"
#include "data/annotations/json_scanner.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

enum class Place : uint8_t {
  root,
  images,
  image,
  categories,
  category,
  annotations,
  annotation,
  segmentation,
  polygon,
  rle,
  rle_size,
  rle_counts,
  box,
  skip,
};

enum class Field : uint8_t {
  other,
  images,
  annotations,
  categories,
  id,
  image_id,
  category_id,
  segmentation,
  area,
  bbox,
  iscrowd,
  width,
  height,
  file_name,
  name,
  size,
  counts,
};

Field field_of(Place place, std::string_view key) {
  struct Entry {
    Place place;
    std::string_view key;
    Field field;
  };
  static constexpr Entry table[] = {
      {Place::annotation, "segmentation", Field::segmentation},
      {Place::annotation, "area", Field::area},
      {Place::annotation, "iscrowd", Field::iscrowd},
      {Place::annotation, "image_id", Field::image_id},
      {Place::annotation, "bbox", Field::bbox},
      {Place::annotation, "category_id", Field::category_id},
      {Place::annotation, "id", Field::id},
      {Place::image, "file_name", Field::file_name},
      {Place::image, "height", Field::height},
      {Place::image, "width", Field::width},
      {Place::image, "id", Field::id},
      {Place::category, "id", Field::id},
      {Place::category, "name", Field::name},
      {Place::rle, "size", Field::size},
      {Place::rle, "counts", Field::counts},
      {Place::root, "images", Field::images},
      {Place::root, "annotations", Field::annotations},
      {Place::root, "categories", Field::categories},
  };
  for (const Entry& entry : table) {
    if (entry.place == place && entry.key == key) return entry.field;
  }
  return Field::other;
}

struct Scalar {
  enum Type { null, boolean, integer, real, text } type;
  int64_t whole = 0;
  double number = 0;
  std::string* string = nullptr;
};

// A number as an id or extent: an integer, or a float without fraction below 2^53 (some tools write 7.0).
bool to_integer(const Scalar& value, int64_t& out) {
  if (value.type == Scalar::integer) {
    out = value.whole;
    return true;
  }
  if (value.type == Scalar::real && std::abs(value.number) < 9007199254740992.0 &&
      std::floor(value.number) == value.number) {
    out = static_cast<int64_t>(value.number);
    return true;
  }
  return false;
}

class Handler {
 public:
  explicit Handler(CocoBuilder& builder) : builder_(builder) {}

  void null() { scalar({Scalar::null}); }
  void boolean(bool value) { scalar({Scalar::boolean, value, value ? 1.0 : 0.0}); }
  void number_integer(int64_t value) { number({Scalar::integer, value, static_cast<double>(value)}); }
  void number_float(double value) { number({Scalar::real, 0, value}); }
  void string(std::string& value) { scalar({Scalar::text, 0, 0, &value}); }
  void key(const std::string& key);
  void start_object() { start(false); }
  void start_array() { start(true); }
  void end_object() { end(); }
  void end_array() { end(); }

  // After the last byte: the three lists must have been there.
  bool check_complete() {
    bool complete = root_ok_;
    for (Field field : {Field::images, Field::annotations, Field::categories}) {
      if (root_ok_ && (root_seen_ >> static_cast<int>(field) & 1) == 0) {
        complete = false;
        const char* name = field == Field::images        ? "images"
                           : field == Field::annotations ? "annotations"
                                                         : "categories";
        file_error(field == Field::images        ? "missing-images"
                   : field == Field::annotations ? "missing-annotations"
                                                 : "missing-categories",
                   fmt::format("has no \"{}\"", name));
      }
    }
    return complete;
  }

 private:
  Place place() const { return stack_.empty() ? Place::skip : stack_.back(); }
  void number(const Scalar& value) {
    if (place() == Place::polygon) {
      annotation_.numbers.push_back(value.number);
    } else {
      scalar(value);
    }
  }
  void scalar(const Scalar& value);
  void annotation_scalar(const Scalar& value);
  void image_scalar(const Scalar& value);
  void start(bool array);
  Place next_place(bool array);
  void end();
  void file_error(const char* rule, const std::string& detail) {
    builder_.log().report(Severity::error, rule, "file", 0, [&] { return detail; });
  }
  // Notes a problem with the entry the parser is in.
  void problem(const char* rule, std::string detail) {
    switch (entry_) {
      case Place::image:
        return image_.problem.set(rule, std::move(detail));
      case Place::category:
        return category_.problem.set(rule, std::move(detail));
      case Place::annotation:
        return annotation_.problem.set(rule, std::move(detail));
      default:
        return file_error(rule, detail);
    }
  }
  void whole(const Scalar& value, std::optional<int64_t>& out, const char* name) {
    int64_t result = 0;
    if (to_integer(value, result)) {
      out = result;
    } else {
      problem("wrong-type", fmt::format("has \"{}\" {}, expected an integer of 64 bits", name,
                                        value.type == Scalar::text   ? fmt::format("\"{}\"", *value.string)
                                        : value.type == Scalar::real ? fmt::format("{:g}", value.number)
                                        : value.type == Scalar::null ? "null"
                                                                     : "true or false"));
    }
  }

  CocoBuilder& builder_;
  std::vector<Place> stack_;
  Place entry_ = Place::root;  // image, category or annotation while inside one
  Field field_ = Field::other, segmentation_field_ = Field::other;
  uint32_t root_seen_ = 0, entry_seen_ = 0, rle_seen_ = 0;
  bool root_ok_ = true;
  PendingImage image_;
  PendingCategory category_;
  PendingAnnotation annotation_;
};

void Handler::key(const std::string& key) {
  const Place here = place();
  if (here == Place::skip) return;
  const Field field = field_of(here, key);
  (here == Place::rle ? segmentation_field_ : field_) = field;
  if (field == Field::other) return;
  uint32_t& seen = here == Place::root ? root_seen_ : here == Place::rle ? rle_seen_ : entry_seen_;
  const uint32_t bit = uint32_t{1} << static_cast<int>(field);
  if ((seen & bit) != 0) problem("duplicate-key", fmt::format("has the key \"{}\" twice", key));
  seen |= bit;
  if (field == Field::segmentation) annotation_.has_segmentation = true;
}

void Handler::scalar(const Scalar& value) {
  switch (place()) {
    case Place::root:
      if (field_ != Field::other)
        file_error("wrong-type", "has \"images\", \"annotations\" or \"categories\" that is not a list");
      return;
    case Place::images:
    case Place::categories:
    case Place::annotations:
      file_error("wrong-type", "has a list entry that is not an object");
      return;
    case Place::image:
      image_scalar(value);
      return;
    case Place::category:
      if (field_ == Field::id) whole(value, category_.id, "id");
      if (field_ == Field::name) {
        if (value.type == Scalar::text) {
          category_.name = *value.string;
        } else {
          problem("wrong-type", "has a \"name\" that is not a string");
        }
      }
      return;
    case Place::annotation:
      annotation_scalar(value);
      return;
    case Place::segmentation:
      problem("segmentation-type", "has a segmentation that is not a list of polygons");
      return;
    case Place::polygon:
      problem("segmentation-type", "has a polygon with values that are not numbers");
      return;
    case Place::rle:
      if (segmentation_field_ == Field::counts && value.type == Scalar::text) {
        annotation_.rle_text = *value.string;
      } else if (segmentation_field_ != Field::other) {
        problem("segmentation-type", "has an RLE whose \"size\" or \"counts\" has the wrong type");
      }
      return;
    case Place::rle_size:
    case Place::rle_counts: {
      int64_t number = 0;
      if (!to_integer(value, number)) {
        problem("segmentation-type", "has an RLE with values that are not integers");
      } else if (place() == Place::rle_size) {
        annotation_.rle_size.push_back(number);
      } else {
        annotation_.rle_counts->push_back(number);
      }
      return;
    }
    case Place::box:
      if (value.type != Scalar::integer && value.type != Scalar::real) {
        problem("bbox-values", "has a bbox with values that are not numbers");
      }
      annotation_.box.push_back(value.number);
      return;
    case Place::skip:
      if (stack_.empty()) {
        root_ok_ = false;
        file_error(
            "root-type",
            "top level is a single value, expected an object with \"images\", \"annotations\" and \"categories\"");
      }
      return;
  }
}

void Handler::image_scalar(const Scalar& value) {
  switch (field_) {
    case Field::id:
      return whole(value, image_.id, "id");
    case Field::width:
      return whole(value, image_.width, "width");
    case Field::height:
      return whole(value, image_.height, "height");
    case Field::file_name:
      if (value.type == Scalar::text) {
        image_.file_name = *value.string;
      } else {
        problem("wrong-type", "has a \"file_name\" that is not a string");
      }
      return;
    default:
      return;
  }
}

void Handler::annotation_scalar(const Scalar& value) {
  const bool number = value.type == Scalar::integer || value.type == Scalar::real;
  switch (field_) {
    case Field::id:
      return whole(value, annotation_.id, "id");
    case Field::image_id:
      return whole(value, annotation_.image_id, "image_id");
    case Field::category_id:
      return whole(value, annotation_.category_id, "category_id");
    case Field::area:
      if (number) {
        annotation_.area = value.number;
      } else if (value.type != Scalar::null) {
        problem("wrong-type", "has an \"area\" that is not a number");
      }
      return;
    case Field::iscrowd:
      if (value.type == Scalar::null) return;
      if (value.type == Scalar::text || (value.number != 0 && value.number != 1)) {
        return problem("iscrowd-value", "has an \"iscrowd\" that is neither 0 nor 1");
      }
      annotation_.crowd = value.number == 1;
      return;
    case Field::segmentation:
      if (value.type != Scalar::null)
        problem("segmentation-type", "has a segmentation that is neither a list of polygons nor an RLE");
      return;
    case Field::bbox:
      if (value.type != Scalar::null) problem("bbox-values", "has a bbox that is not a list");
      return;
    default:
      return;
  }
}

Place Handler::next_place(bool array) {
  switch (place()) {
    case Place::root:
      if (field_ == Field::other) return Place::skip;
      if (!array) {
        file_error("wrong-type", "has \"images\", \"annotations\" or \"categories\" that is not a list");
        return Place::skip;
      }
      return field_ == Field::images        ? Place::images
             : field_ == Field::annotations ? Place::annotations
                                            : Place::categories;
    case Place::images:
    case Place::categories:
    case Place::annotations:
      if (array) {
        file_error("wrong-type", "has a list entry that is not an object");
        return Place::skip;
      }
      return place() == Place::images       ? Place::image
             : place() == Place::categories ? Place::category
                                            : Place::annotation;
    case Place::annotation:
      if (field_ == Field::segmentation) return array ? Place::segmentation : Place::rle;
      if (field_ == Field::bbox && array) return Place::box;
      [[fallthrough]];
    case Place::image:
    case Place::category:
      if (field_ != Field::other)
        problem("wrong-type", fmt::format("has {} where a single value belongs", array ? "a list" : "an object"));
      return Place::skip;
    case Place::segmentation:
      if (array) return Place::polygon;
      problem("segmentation-type", "has a list of objects as segmentation, expected a list of polygons or one RLE");
      return Place::skip;
    case Place::polygon:
      problem("segmentation-type", "has a polygon of nested points, expected one flat list x0, y0, x1, y1, ...");
      return Place::skip;
    case Place::rle:
      if (array && segmentation_field_ == Field::counts) return Place::rle_counts;
      if (array && segmentation_field_ == Field::size) return Place::rle_size;
      if (segmentation_field_ != Field::other)
        problem("segmentation-type", "has an RLE whose \"size\" or \"counts\" has the wrong type");
      return Place::skip;
    case Place::rle_size:
    case Place::rle_counts:
      problem("segmentation-type", "has an RLE with values that are not integers");
      return Place::skip;
    case Place::box:
      problem("bbox-values", "has a bbox with values that are not numbers");
      return Place::skip;
    case Place::skip:
      return Place::skip;
  }
  return Place::skip;
}

void Handler::start(bool array) {
  if (stack_.empty()) {
    if (array) {
      root_ok_ = false;
      file_error("root-type",
                 "top level is a list, expected an object with \"images\", \"annotations\" and \"categories\"");
    }
    stack_.push_back(array ? Place::skip : Place::root);
    return;
  }
  const Place next = next_place(array);
  if (next == Place::image) image_ = {};
  if (next == Place::category) category_ = {};
  if (next == Place::annotation) {  // keeps the capacity of the big lists
    std::vector<double> numbers = std::move(annotation_.numbers);
    std::vector<size_t> ends = std::move(annotation_.polygon_ends);
    numbers.clear();
    ends.clear();
    annotation_ = {};
    annotation_.numbers = std::move(numbers);
    annotation_.polygon_ends = std::move(ends);
  }
  if (next == Place::image || next == Place::category || next == Place::annotation) {
    entry_ = next;
    entry_seen_ = 0;
    field_ = Field::other;
  }
  if (next == Place::rle) {
    annotation_.has_rle = true;
    rle_seen_ = 0;
    segmentation_field_ = Field::other;
  }
  if (next == Place::rle_counts) annotation_.rle_counts.emplace();
  stack_.push_back(next);
}

void Handler::end() {
  const Place left = place();
  stack_.pop_back();
  switch (left) {
    case Place::image:
      builder_.add(image_);
      break;
    case Place::category:
      builder_.add(category_);
      break;
    case Place::annotation:
      builder_.add(annotation_);
      break;
    case Place::polygon:
      annotation_.polygon_ends.push_back(annotation_.numbers.size());
      break;
    default:
      break;
  }
  if (left == entry_) entry_ = Place::root;
}

CocoDataset parse(const std::filesystem::path& file, CocoBuilder& builder) {
  JsonSource source(file);
  Handler handler(builder);
  JsonScanner<Handler>(source, handler).scan();
  return builder.finish(handler.check_complete());
}

}  // namespace

CocoDataset read_coco(const std::filesystem::path& file, const CocoReadOptions& options) {
  CocoBuilder builder(options);
  CocoDataset dataset = parse(file, builder);
  for (const Finding& finding : dataset.findings()) {
    if (finding.severity == Severity::error) {
      throw Error(ExitCode::data, fmt::format("{}: {}", file.string(), finding.message),
                  "tessera data check " + file.string());
    }
  }
  return dataset;
}

std::vector<Finding> check_dataset(const std::filesystem::path& file, const CocoReadOptions& options) {
  CocoBuilder builder(options);
  try {
    return parse(file, builder).findings();
  } catch (const Error& error) {
    std::vector<Finding> findings = builder.log().findings();
    findings.push_back({"unreadable", Severity::error, "file", 1, {}, error.what(), error.hint()});
    return findings;
  }
}

}  // namespace tessera
