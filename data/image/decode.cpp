#include "data/image/decode.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#include "data/image/exif.h"
#include "data/image/jpeg.h"
#include "data/image/stb_formats.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& reason, std::string hint) {
  throw Error(ExitCode::data, fmt::format("{}: {}", name, reason), std::move(hint));
}

PictureHeader read_header(std::span<const uint8_t> bytes, ImageFormat format) {
  switch (format) {
    case ImageFormat::jpeg:
      return read_jpeg_header(bytes);
    case ImageFormat::png:
      return read_png_header(bytes);
    case ImageFormat::bmp:
      return read_bmp_header(bytes);
    case ImageFormat::gif:
      return read_gif_header(bytes);
    case ImageFormat::unknown:
      break;
  }
  const std::string looks = describe_unknown(bytes);
  const bool is_convertible = looks.starts_with("it is a") && looks.ends_with(" picture");
  throw DecodeFailure("cannot be read as a picture: " + looks, is_convertible
                                                                   ? "convert it to PNG or JPEG first"
                                                                   : "replace it: JPEG, PNG, BMP and GIF are read");
}

// Header and size limits, with the file's name put into every failure by the callers.
PictureHeader checked_header(std::span<const uint8_t> bytes, ImageFormat format, const DecodeOptions& options) {
  PictureHeader header = read_header(bytes, format);
  if (header.width <= 0 || header.height <= 0)
    throw DecodeFailure(fmt::format("a picture of {} x {} pixels", header.width, header.height));
  constexpr int64_t longest_side = 1 << 24;
  const bool is_too_long = header.width > longest_side || header.height > longest_side;
  if (is_too_long || header.width * header.height > options.max_pixels) {
    const int64_t megapixels = is_too_long ? INT64_MAX : (header.width * header.height + 999'999) / 1'000'000;
    throw DecodeFailure(
        fmt::format("{} x {} pixels, more than the limit of {:.0f} million", header.width, header.height,
                    double(options.max_pixels) / 1e6),
        megapixels <= kMostMegapixels
            ? fmt::format(
                  "--max-megapixels {0} if the picture is trusted (train: data.max_megapixels={0}), or scale it "
                  "down",
                  megapixels)
            : "scale the picture down");
  }
  return header;
}

ImageInfo make_info(const PictureHeader& header, ImageFormat format, const DecodeOptions& options) {
  const bool swaps = options.apply_orientation && orientation_swaps_sides(header.orientation);
  return {.format = format,
          .height = int(swaps ? header.width : header.height),
          .width = int(swaps ? header.height : header.width),
          .orientation = header.orientation};
}

// Runs one reader and gives its failure the file's name.
template <typename Function>
auto with_name(const std::string& name, Function function) {
  try {
    return function();
  } catch (const DecodeFailure& failure) {
    fail(name, failure.what(), failure.hint.empty() ? "replace or remove the picture" : failure.hint);
  }
}

}  // namespace

ImageInfo probe_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  return with_name(name, [&] {
    const ImageFormat format = sniff_format(bytes);
    return make_info(checked_header(bytes, format, options), format, options);
  });
}

DecodedImage decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  return with_name(name, [&] {
    DecodedImage result;
    const ImageFormat format = sniff_format(bytes);
    const PictureHeader header = checked_header(bytes, format, options);
    if (header.is_truncated) throw DecodeFailure(fmt::format("truncated {}", format_name(format)));
    if (!header.damage.empty()) result.damage.push_back(header.damage);
    if (!header.note.empty()) result.notes.push_back(header.note);
    result.info = make_info(header, format, options);
    result.image =
        format == ImageFormat::jpeg ? decode_jpeg(bytes, header, result.damage) : decode_with_stb(bytes, header);
    if (options.apply_orientation) result.image = apply_orientation(std::move(result.image), header.orientation);
    if (options.strict && !result.damage.empty()) throw DecodeFailure("damaged: " + result.damage.front());
    return result;
  });
}

ImageInfo probe_image_file(const std::filesystem::path& path, const DecodeOptions& options) {
  return probe_image(read_bytes(path), path.string(), options);
}

DecodedImage decode_image_file(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image(read_bytes(path), path.string(), options);
}

std::string remarks_on(const DecodedImage& decoded) {
  std::string text;
  const auto add = [&](const std::string& remark) { text += (text.empty() ? "" : "; ") + remark; };
  for (const std::string& damage : decoded.damage) add("damaged: " + damage);
  for (const std::string& note : decoded.notes) add(note);
  return text;
}

Image load_image(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image_file(path, options).image;
}

std::vector<uint8_t> read_bytes(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) fail(path.string(), "is a folder, not a file", "name a file in it");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) fail(path.string(), std::strerror(errno), "check the path and its permissions");
  std::vector<uint8_t> bytes;
  const auto size = std::filesystem::file_size(path, ignored);  // a hint only: pipes have none
  if (!ignored) bytes.reserve(size + 1);
  constexpr size_t chunk = 1 << 18;
  for (;;) {
    const size_t before = bytes.size();
    bytes.resize(before + chunk);
    const size_t got = std::fread(bytes.data() + before, 1, chunk, file.get());
    bytes.resize(before + got);
    if (got < chunk) break;
  }
  if (std::ferror(file.get()))
    fail(path.string(), fmt::format("read failed: {}", std::strerror(errno)), "check the disk");
  return bytes;
}

}  // namespace tessera
