// TensorBoard's event files read back, written apart from engine/io/event_file: bit by bit, and stricter. Throws
// std::runtime_error at the first byte that is not what the format says.
#pragma once

#include <bit>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tessera::testing_support {

struct DecodedEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
};

class EventDecoder {
 public:
  explicit EventDecoder(std::string bytes) : bytes_(std::move(bytes)) {}

  std::vector<DecodedEvent> all() {
    std::vector<DecodedEvent> events;
    while (place_ < bytes_.size()) {
      const std::string length = take(8);
      check(length);
      const std::string data = take(fixed(length));
      check(data);
      events.push_back(event(data));
    }
    return events;
  }

 private:
  static uint64_t fixed(const std::string& bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value * 256 + static_cast<unsigned char>(bytes[i]);
    return value;
  }

  std::string take(uint64_t count) {
    if (count > bytes_.size() - place_) throw std::runtime_error("the file ends inside a record");
    place_ += count;
    return bytes_.substr(place_ - count, count);
  }

  // CRC-32C one bit at a time: division by x^32 + ... of the reflected polynomial 0x1EDC6F41.
  void check(const std::string& data) {
    uint32_t crc = 0xFFFFFFFF;
    for (const char c : data) {
      for (int bit = 0; bit < 8; ++bit) {
        const bool odd = ((crc ^ (static_cast<unsigned char>(c) >> bit)) & 1) != 0;
        crc >>= 1;
        if (odd) crc ^= 0x82F63B78;
      }
    }
    const uint32_t masked = std::rotr(~crc, 15) + 0xA282EAD8;
    if (fixed(take(4)) != masked) throw std::runtime_error("wrong checksum");
  }

  struct Message {
    std::string bytes;
    size_t place = 0;

    bool more() const { return place < bytes.size(); }
    uint64_t number() {
      uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes.at(place++));
        value += static_cast<uint64_t>(byte % 128) << shift;
        if (byte < 128) return value;
      }
    }
    std::string run(size_t count) {
      if (count > bytes.size() - place) throw std::runtime_error("a field ends outside its message");
      place += count;
      return bytes.substr(place - count, count);
    }
    std::string text() { return run(number()); }
  };

  static DecodedEvent event(const std::string& data) {
    DecodedEvent decoded;
    for (Message message{data}; message.more();) {
      switch (message.number()) {
        case 0x09:  // 1, 64 bits
          decoded.wall_time = std::bit_cast<double>(fixed(message.run(8)));
          break;
        case 0x10:  // 2, varint
          decoded.step = static_cast<int64_t>(message.number());
          break;
        case 0x1A:  // 3, bytes
          decoded.version = message.text();
          break;
        case 0x2A:  // 5, bytes
          summary(message.text(), decoded);
          break;
        default:
          throw std::runtime_error("a field of an event that no one wrote");
      }
    }
    return decoded;
  }

  static void summary(const std::string& data, DecodedEvent& decoded) {
    for (Message values{data}; values.more();) {
      if (values.number() != 0x0A) throw std::runtime_error("a field of a summary that no one wrote");
      Message value{values.text()};
      if (value.number() != 0x0A) throw std::runtime_error("a value without tag");
      const std::string tag = value.text();
      if (value.number() != 0x15) throw std::runtime_error("a value without number");
      decoded.scalars.emplace_back(tag, std::bit_cast<float>(static_cast<uint32_t>(fixed(value.run(4)))));
      if (value.more()) throw std::runtime_error("a value with more than tag and number");
    }
  }

  std::string bytes_;
  size_t place_ = 0;
};

}  // namespace tessera::testing_support
