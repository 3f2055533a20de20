#include "data/image/deflate.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace tessera {
namespace {

constexpr int literal_codes = 286, distance_codes = 30, end_of_block = 256;
constexpr size_t block_tokens = size_t(1) << 16;

// RFC 1951, 3.2.5: first value and number of extra bits of each length and distance code.
struct Range {
  uint16_t first;
  uint8_t extra;
};

constexpr std::array<Range, 29> length_ranges = [] {
  std::array<Range, 29> ranges{};
  int first = 3;
  for (int i = 0; i < 28; ++i) {
    const int extra = i < 8 ? 0 : i / 4 - 1;
    ranges[i] = {uint16_t(first), uint8_t(extra)};
    first += 1 << extra;
  }
  ranges[28] = {258, 0};
  return ranges;
}();

constexpr std::array<Range, 30> distance_ranges = [] {
  std::array<Range, 30> ranges{};
  int first = 1;
  for (int i = 0; i < 30; ++i) {
    const int extra = i < 4 ? 0 : i / 2 - 1;
    ranges[i] = {uint16_t(first), uint8_t(extra)};
    first += 1 << extra;
  }
  return ranges;
}();

constexpr std::array<uint8_t, 259> length_code = [] {
  std::array<uint8_t, 259> codes{};
  for (int code = 0; code < 29; ++code)
    for (int length = length_ranges[code].first; length < 259; ++length) codes[length] = uint8_t(code);
  return codes;
}();

int distance_code(int distance) {
  if (distance <= 4) return distance - 1;
  const int bits = 31 - __builtin_clz(unsigned(distance - 1));
  return 2 * bits + ((distance - 1) >> (bits - 1) & 1);
}

class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>& out) : out_(out) {}
  void put(uint32_t value, int count) {  // least significant bit first
    pending_ |= uint64_t(value) << filled_;
    filled_ += count;
    while (filled_ >= 8) {
      out_.push_back(uint8_t(pending_));
      pending_ >>= 8;
      filled_ -= 8;
    }
  }
  void align() {
    if (filled_ > 0) put(0, 8 - filled_);
  }

 private:
  std::vector<uint8_t>& out_;
  uint64_t pending_ = 0;
  int filled_ = 0;
};

// Canonical Huffman codes for the symbols that occur, none longer than `limit` bits.
struct HuffmanCode {
  std::vector<uint8_t> lengths;
  std::vector<uint16_t> codes;  // bit-reversed, ready to be written

  HuffmanCode(std::vector<uint32_t> counts, int limit) : lengths(counts.size()), codes(counts.size()) {
    // Two symbols at least: a code of one symbol is a corner that decoders disagree on.
    for (size_t i = 0; i < 2; ++i) counts[i] = std::max(counts[i], 1u);
    while (!assign_lengths(counts, limit))
      for (uint32_t& count : counts) count = count ? count / 2 + 1 : 0;  // flatter counts, shallower tree
    assign_codes();
  }
  void put(BitWriter& writer, int symbol) const { writer.put(codes[symbol], lengths[symbol]); }

 private:
  bool assign_lengths(const std::vector<uint32_t>& counts, int limit) {
    std::vector<int> symbols;
    for (int i = 0; i < int(counts.size()); ++i)
      if (counts[i]) symbols.push_back(i);
    std::stable_sort(symbols.begin(), symbols.end(), [&](int a, int b) { return counts[a] < counts[b]; });
    // Leaves and inner nodes are both in ascending order, so the two smallest are always at one of the two fronts.
    const size_t leaves = symbols.size(), nodes = 2 * leaves - 1;
    std::vector<uint64_t> weight(nodes);
    std::vector<size_t> parent(nodes, 0);
    for (size_t i = 0; i < leaves; ++i) weight[i] = counts[symbols[i]];
    size_t leaf = 0, inner = leaves;
    for (size_t node = leaves; node < nodes; ++node)
      for (int k = 0; k < 2; ++k) {
        const bool takes_leaf = leaf < leaves && (inner >= node || weight[leaf] <= weight[inner]);
        const size_t child = takes_leaf ? leaf++ : inner++;
        weight[node] += weight[child];
        parent[child] = node;
      }
    std::vector<int> depth(nodes, 0);
    for (size_t node = nodes - 1; node-- > 0;) {
      depth[node] = depth[parent[node]] + 1;
      if (depth[node] > limit) return false;
    }
    std::fill(lengths.begin(), lengths.end(), uint8_t(0));
    for (size_t i = 0; i < leaves; ++i) lengths[symbols[i]] = uint8_t(depth[i]);
    return true;
  }

  void assign_codes() {
    std::array<int, 16> count{}, next{};
    for (uint8_t length : lengths) ++count[length];
    count[0] = 0;
    for (int bits = 1, code = 0; bits < 16; ++bits) next[bits] = code = (code + count[bits - 1]) << 1;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (!lengths[i]) continue;
      int code = next[lengths[i]]++, reversed = 0;
      for (int bit = 0; bit < lengths[i]; ++bit, code >>= 1) reversed = reversed << 1 | (code & 1);
      codes[i] = uint16_t(reversed);
    }
  }
};

// A literal byte (distance 0) or a copy.
struct Token {
  uint16_t value;  // byte, or length of the copy
  uint16_t distance;
};

// The code lengths of both alphabets as a run-length coded sequence: symbol 0..18 and the value of its extra bits.
std::vector<std::pair<int, int>> pack_lengths(const std::vector<uint8_t>& lengths) {
  std::vector<std::pair<int, int>> packed;
  for (size_t i = 0; i < lengths.size();) {
    size_t run = 1;
    while (i + run < lengths.size() && lengths[i + run] == lengths[i]) ++run;
    if (lengths[i] == 0 && run >= 3) {
      run = std::min<size_t>(run, 138);
      packed.emplace_back(run < 11 ? 17 : 18, int(run) - (run < 11 ? 3 : 11));
    } else if (run >= 4) {
      run = std::min<size_t>(run, 7);  // once itself, then three to six repeats
      packed.emplace_back(lengths[i], 0);
      packed.emplace_back(16, int(run) - 4);
    } else {
      run = 1;
      packed.emplace_back(lengths[i], 0);
    }
    i += run;
  }
  return packed;
}

void write_block(BitWriter& writer, std::span<const Token> tokens, bool is_last) {
  std::vector<uint32_t> literal_counts(literal_codes), distance_counts(distance_codes);
  literal_counts[end_of_block] = 1;
  for (const Token token : tokens) {
    if (token.distance == 0) {
      ++literal_counts[token.value];
    } else {
      ++literal_counts[257 + length_code[token.value]];
      ++distance_counts[distance_code(token.distance)];
    }
  }
  const HuffmanCode literals(std::move(literal_counts), 15), distances(std::move(distance_counts), 15);
  std::vector<uint8_t> lengths = literals.lengths;
  lengths.insert(lengths.end(), distances.lengths.begin(), distances.lengths.end());
  const auto packed = pack_lengths(lengths);
  std::vector<uint32_t> packed_counts(19);
  for (const auto& [symbol, extra] : packed) ++packed_counts[symbol];
  const HuffmanCode header(std::move(packed_counts), 7);

  writer.put(is_last, 1);
  writer.put(2, 2);  // dynamic codes
  writer.put(literal_codes - 257, 5);
  writer.put(distance_codes - 1, 5);
  writer.put(19 - 4, 4);
  for (const int symbol : {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15})
    writer.put(header.lengths[symbol], 3);
  for (const auto& [symbol, extra] : packed) {
    header.put(writer, symbol);
    if (symbol >= 16) writer.put(uint32_t(extra), symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
  }
  for (const Token token : tokens) {
    if (token.distance == 0) {
      literals.put(writer, token.value);
      continue;
    }
    const int length = length_code[token.value], distance = distance_code(token.distance);
    literals.put(writer, 257 + length);
    writer.put(token.value - length_ranges[length].first, length_ranges[length].extra);
    distances.put(writer, distance);
    writer.put(token.distance - distance_ranges[distance].first, distance_ranges[distance].extra);
  }
  literals.put(writer, end_of_block);
}

uint32_t adler32(std::span<const uint8_t> bytes) {
  uint32_t a = 1, b = 0;
  while (!bytes.empty()) {
    const auto chunk =
        bytes.first(std::min<size_t>(bytes.size(), 5552));  // as many as fit 32 bits before the remainder
    for (uint8_t byte : chunk) b += a += byte;
    a %= 65521, b %= 65521;
    bytes = bytes.subspan(chunk.size());
  }
  return b << 16 | a;
}

}  // namespace

std::vector<uint8_t> zlib_compress(std::span<const uint8_t> bytes) {
  std::vector<uint8_t> out{0x78, 0x5e};
  out.reserve(bytes.size() + bytes.size() / 64 + 1024);
  BitWriter writer(out);
  constexpr int hash_bits = 14, least_match = 4, longest_match = 258;
  constexpr size_t window = 32768;
  std::vector<uint32_t> latest(size_t(1) << hash_bits, 0);  // position + 1 of the latest four bytes with this hash
  std::vector<Token> tokens;
  tokens.reserve(std::min(bytes.size(), block_tokens));
  const auto load = [&](size_t at) {
    uint32_t word;
    std::memcpy(&word, &bytes[at], 4);
    return word;
  };
  for (size_t at = 0; at < bytes.size();) {
    Token token{bytes[at], 0};
    size_t length = 1;
    if (at + least_match <= bytes.size()) {
      const uint32_t word = load(at);
      uint32_t& slot = latest[word * 2654435761u >> (32 - hash_bits)];
      const size_t candidate = slot;
      slot = uint32_t(at + 1);
      if (candidate && at + 1 - candidate < window && load(candidate - 1) == word) {
        const size_t limit = std::min<size_t>(longest_match, bytes.size() - at);
        length = least_match;
        while (length < limit && bytes[candidate - 1 + length] == bytes[at + length]) ++length;
        token = {uint16_t(length), uint16_t(at + 1 - candidate)};
      }
    }
    tokens.push_back(token);
    at += length;
    if (tokens.size() == block_tokens) {
      write_block(writer, tokens, false);
      tokens.clear();
    }
  }
  write_block(writer, tokens, true);
  writer.align();
  const uint32_t checksum = adler32(bytes);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(uint8_t(checksum >> shift));
  return out;
}

}  // namespace tessera
