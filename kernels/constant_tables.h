// Small tables of the host that kernels and models read: one copy on the device for all tables of the same bytes,
// uploaded when it is first asked for. The second run of a shape uploads nothing, so its launches can be recorded.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/launch_graph.h"
#include "kernels/memory.h"

namespace tessera {

using TableMemory = std::shared_ptr<const void>;  // device memory, not to be written

class ConstantTables {
 public:
  static constexpr size_t kMostBytes = size_t{64} << 20;  // then all that nobody holds are forgotten

  // The table of these bytes, at an address divisible by 64. Lasts while it is held.
  template <typename Device>
  TableMemory find(Device& context, const void* values, size_t bytes) {
    std::string key(static_cast<const char*>(values), bytes);
    auto found = tables_.find(key);
    if (found == tables_.end()) {
      if (context.capturing()) throw CaptureRefused("a table that the direct run did not make is uploaded");
      const std::shared_ptr<void> memory = allocate(context, bytes);
      if (bytes > 0) memory_from_host(context, memory.get(), values, bytes);
      found = tables_.emplace(std::move(key), memory).first;
    }
    if (context.capturing()) held_.push_back(found->second);
    return found->second;
  }

  // Tables found while launches were recorded: who repeats them holds these.
  std::vector<TableMemory> release_held() { return std::exchange(held_, {}); }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<void> allocate(Context& context, size_t bytes);

  std::unordered_map<std::string, TableMemory> tables_;  // by content
  std::vector<TableMemory> held_;
  size_t bytes_ = 0;
};

}  // namespace tessera
