#include "data/pipeline/preprocessing.h"

#include <algorithm>
#include <charconv>

#include "data/image/resize.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

constexpr const char* prefix = "preprocessing.";
constexpr const char* resize_rule = "shortest_edge";  // detectron2's rule with Pillow's bilinear filter
constexpr int kLongestEnlarged = 16;                  // long side of an enlarged picture, in short sides

[[noreturn]] void fail(const std::string& key, const std::string& reason) {
  throw Error(ExitCode::weights, fmt::format("metadata key {}{}: {}", prefix, key, reason),
              "convert the weights again, or correct the metadata");
}

template <typename Number>
Number parse(const std::string& key, std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) fail(key, fmt::format("\"{}\" is not a number", text));
  return value;
}

std::array<float, 3> parse_triple(const std::string& key, std::string_view text) {
  std::array<float, 3> values{};
  for (int i = 0; i < 3; ++i) {
    const size_t comma = text.find(',');
    if ((comma == std::string_view::npos) != (i == 2)) fail(key, "three numbers expected");
    values[i] = parse<float>(key, text.substr(0, comma));
    text.remove_prefix(i == 2 ? text.size() : comma + 1);
  }
  return values;
}

}  // namespace

std::map<std::string, std::string> to_metadata(const Preprocessing& p) {
  const auto triple = [](const std::array<float, 3>& v) { return fmt::format("{},{},{}", v[0], v[1], v[2]); };
  const std::map<std::string, std::string> values{{"order", p.order == ChannelOrder::rgb ? "rgb" : "bgr"},
                                                  {"mean", triple(p.mean)},
                                                  {"deviation", triple(p.deviation)},
                                                  {"size_divisor", fmt::format("{}", p.size_divisor)},
                                                  {"short_side", fmt::format("{}", p.short_side)},
                                                  {"max_side", fmt::format("{}", p.max_side)},
                                                  {"resize", resize_rule}};
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : values) metadata[prefix + key] = value;
  return metadata;
}

Preprocessing preprocessing_from_metadata(const std::map<std::string, std::string>& metadata) {
  const auto first = metadata.lower_bound(prefix);
  if (first == metadata.end() || !first->first.starts_with(prefix)) return {};
  const auto text = [&](const std::string& key) -> const std::string& {
    const auto found = metadata.find(prefix + key);
    if (found == metadata.end()) fail(key, "missing");
    return found->second;
  };
  Preprocessing p;
  if (text("order") != "rgb" && text("order") != "bgr") fail("order", "neither \"rgb\" nor \"bgr\"");
  if (text("resize") != resize_rule) fail("resize", fmt::format("unknown rule \"{}\"", text("resize")));
  p.order = text("order") == "rgb" ? ChannelOrder::rgb : ChannelOrder::bgr;
  p.mean = parse_triple("mean", text("mean"));
  p.deviation = parse_triple("deviation", text("deviation"));
  p.size_divisor = parse<int>("size_divisor", text("size_divisor"));
  p.short_side = parse<int>("short_side", text("short_side"));
  p.max_side = parse<int>("max_side", text("max_side"));
  if (std::any_of(p.deviation.begin(), p.deviation.end(), [](float d) { return !(d > 0); }))
    fail("deviation", "must be positive");
  if (p.size_divisor < 1 || p.short_side < 0 || p.max_side < 0) fail("size_divisor", "sizes must not be negative");
  return p;
}

std::pair<int, int> network_size(const Preprocessing& preprocessing, int height, int width, int short_side) {
  if (short_side < 0) short_side = preprocessing.short_side;
  if (short_side == 0) short_side = std::min(height, width);
  int max_side = preprocessing.max_side;
  if (max_side == 0) max_side = std::max({height, width, kLongestEnlarged * short_side});
  return resized_size(height, width, short_side, max_side);
}

int padded_side(const Preprocessing& preprocessing, int side) {
  return (side + preprocessing.size_divisor - 1) / preprocessing.size_divisor * preprocessing.size_divisor;
}

}  // namespace tessera
