#include "data/image/jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "data/image/exif.h"
#include "engine/core/error.h"

namespace tessera {
namespace {

constexpr int start_of_image = 0xd8, end_of_image = 0xd9, start_of_scan = 0xda, app1 = 0xe1;

bool is_frame_header(int marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}
bool is_progressive(int marker) { return (marker & 3) == 2; }  // SOF2, 6, 10, 14
bool has_no_payload(int marker) { return marker == 0x01 || (marker >= 0xd0 && marker <= start_of_image); }

// Position of the 0xff of the next real marker (no stuffed byte, no restart), or size.
size_t skip_entropy_coded(std::span<const uint8_t> bytes, size_t position) {
  while (position + 1 < bytes.size()) {
    const void* found = std::memchr(&bytes[position], 0xff, bytes.size() - position - 1);
    if (!found) break;
    position = size_t(static_cast<const uint8_t*>(found) - bytes.data());
    const int next = bytes[position + 1];
    if (next != 0 && next != 0xff && !(next >= 0xd0 && next <= 0xd7)) return position;
    ++position;
  }
  return bytes.size();
}

// Which of the 64 coefficients of each component have been sent to their last bit: a progressive file cut between two
// scans decodes without any complaint, only coarser, and this is the one way to see it.
class ScanCoverage {
 public:
  void frame(std::span<const uint8_t> segment, bool progressive) {
    is_progressive_ = progressive;
    for (int i = 0; i < segment[5]; ++i) sent_[segment[6 + i * 3]] = 0;
  }
  void scan(std::span<const uint8_t> segment) {
    const size_t count = segment.empty() ? 0 : segment[0];
    if (segment.size() < 4 + count * 2) return;
    const int first = is_progressive_ ? segment[1 + count * 2] : 0;
    const int last = is_progressive_ ? std::min<int>(segment[2 + count * 2], 63) : 63;
    const bool is_final_bit = !is_progressive_ || (segment[3 + count * 2] & 15) == 0;
    for (size_t i = 0; i < count; ++i)
      for (int k = first; k <= last && is_final_bit; ++k) sent_[segment[1 + i * 2]] |= uint64_t(1) << k;
  }
  bool is_complete() const {
    return std::all_of(sent_.begin(), sent_.end(), [](const auto& entry) { return entry.second == ~uint64_t(0); });
  }

 private:
  bool is_progressive_ = false;
  std::map<int, uint64_t> sent_;  // component id -> bit k set: coefficient k complete
};

using Decompressor = std::unique_ptr<void, int (*)(tjhandle)>;

[[noreturn]] void throw_cut() { throw DecodeFailure("truncated JPEG: the data end inside the picture"); }

}  // namespace

PictureHeader read_jpeg_header(std::span<const uint8_t> bytes) {
  PictureHeader header;
  ScanCoverage coverage;
  bool has_frame = false, has_exif = false, has_scan = false, is_ended = false;
  size_t position = 2;
  while (position < bytes.size() && !is_ended) {
    if (bytes[position] != 0xff) {  // stray bytes between segments: decoders skip them, so does the walk
      ++position;
      continue;
    }
    while (position < bytes.size() && bytes[position] == 0xff) ++position;
    if (position >= bytes.size()) break;
    const int marker = bytes[position++];
    if (marker == 0 || has_no_payload(marker)) continue;
    if (marker == end_of_image) {
      is_ended = true;
      break;
    }
    if (position + 2 > bytes.size()) break;
    const size_t length = read_be16(&bytes[position]);
    if (length < 2) throw DecodeFailure(fmt::format("damaged JPEG: segment of length {} at byte {}", length, position));
    if (position + length > bytes.size()) break;
    const auto segment = bytes.subspan(position + 2, length - 2);
    position += length;
    if (is_frame_header(marker) && !has_frame) {
      if (segment.size() < 6 || segment.size() < size_t(6 + segment[5] * 3) || segment[5] == 0)
        throw DecodeFailure("damaged JPEG: short frame header");
      header.height = read_be16(&segment[1]);
      header.width = read_be16(&segment[3]);
      coverage.frame(segment, is_progressive(marker));
      has_frame = true;
    } else if (marker == app1 && !has_exif && segment.size() > 6 && !std::memcmp(segment.data(), "Exif\0\0", 6)) {
      header.orientation = exif_orientation(segment.subspan(6));
      has_exif = true;
    } else if (marker == start_of_scan) {
      coverage.scan(segment);
      has_scan = true;
      position = skip_entropy_coded(bytes, position);
    }
  }
  if (!has_frame) throw DecodeFailure("truncated JPEG: the data end inside the header");
  header.lacks_end_mark = !is_ended;
  header.is_truncated = !is_ended && (!has_scan || !coverage.is_complete());
  return header;
}

Image decode_jpeg(std::span<const uint8_t> bytes, const PictureHeader& header, std::vector<std::string>& damage) {
  if (header.is_truncated) throw_cut();
  // With an end mark appended the decoder no longer warns that the mark is missing, so that any warning left means
  // missing picture data.
  std::vector<uint8_t> closed;
  if (header.lacks_end_mark) {
    closed.assign(bytes.begin(), bytes.end());
    closed.insert(closed.end(), {0xff, end_of_image});
    bytes = closed;
  }
  const Decompressor decompressor(tjInitDecompress(), tjDestroy);
  if (!decompressor) throw Error(ExitCode::out_of_memory, "libjpeg-turbo could not start");
  int width = 0, height = 0, subsampling = 0, color_space = 0;
  if (tjDecompressHeader3(decompressor.get(), bytes.data(), bytes.size(), &width, &height, &subsampling, &color_space))
    throw DecodeFailure(fmt::format("damaged JPEG: {}", tjGetErrorStr2(decompressor.get())));
  if (width != header.width || height != header.height) throw DecodeFailure("damaged JPEG: two sizes in one header");
  const bool has_inks = color_space == TJCS_CMYK || color_space == TJCS_YCCK;
  Image image(height, width);
  std::vector<uint8_t> inks(has_inks ? size_t(height) * width * 4 : 0);
  const int status =
      tjDecompress2(decompressor.get(), bytes.data(), bytes.size(), has_inks ? inks.data() : image.pixels.data(), width,
                    0, height, has_inks ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
  if (status != 0) {
    const std::string reason = tjGetErrorStr2(decompressor.get());
    if (tjGetErrorCode(decompressor.get()) != TJERR_WARNING) throw DecodeFailure("damaged JPEG: " + reason);
    if (header.lacks_end_mark) throw_cut();
    damage.push_back(reason);
  }
  if (header.lacks_end_mark) damage.push_back("no end-of-image marker (the picture is complete)");
  const auto multiply = [](int a, int b) { return uint8_t((a * b + 127) / 255); };
  for (size_t i = 0; i < inks.size() / 4; ++i)
    for (int c = 0; c < 3; ++c) image.pixels[i * 3 + c] = multiply(inks[i * 4 + c], inks[i * 4 + 3]);
  return image;
}

std::vector<uint8_t> encode_jpeg(const Image& image, int quality) {
  const std::unique_ptr<void, int (*)(tjhandle)> compressor(tjInitCompress(), tjDestroy);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  if (!compressor || tjCompress2(compressor.get(), image.pixels.data(), image.width, 0, image.height, TJPF_RGB, &buffer,
                                 &size, TJSAMP_444, quality, TJFLAG_ACCURATEDCT)) {
    const std::string reason = compressor ? tjGetErrorStr2(compressor.get()) : "could not start";
    tjFree(buffer);
    throw Error(ExitCode::internal, fmt::format("JPEG encoder: {} ({}x{})", reason, image.width, image.height));
  }
  std::vector<uint8_t> bytes(buffer, buffer + size);
  tjFree(buffer);
  return bytes;
}

}  // namespace tessera
