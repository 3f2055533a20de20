// What a pickle describes, as plain data. Nothing here can be called: a function named in the file is a label, and the
// few that matter (see pickle_globals.h) are carried out by this program on these values.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tessera {

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  real,
  text,
  bytes,  // also the strings of Python 2, which may be either
  tuple,
  list,
  dict,
  global,       // a function or class by name
  storage,      // index: of PickleContent::storages
  tensor,       // index: of PickleContent::tensors
  numpy_array,  // one whose content has not been read yet
  numpy_dtype,  // text "f4", integer the byte order ('<', '>', '|', 0)
  opaque,       // an object of a class this program does not know; text names it
};

struct PickleValue {
  PickleKind kind = PickleKind::none;
  int64_t integer = 0;
  double real = 0;
  std::string_view text;            // into the pickle or PickleContent::texts
  std::vector<PickleValue*> items;  // of a tuple or list; of a dict: key, value, key, value, ...
  size_t index = 0;

  bool is_text() const { return kind == PickleKind::text || kind == PickleKind::bytes; }
  // The value of a text key of a dict (the last one given), or null.
  const PickleValue* find(std::string_view key) const;
};

// Memory that tensors view. dtype "": bytes without a type.
struct PickleStorage {
  std::string key;  // of the record that holds it; empty: `content` does
  std::string dtype;
  int64_t elements = 0;  // bytes where dtype is ""
  std::string_view content;
};

// Elements offset + sum(i * stride) of a storage, all in elements of dtype (safetensors' names: "F32", "I64").
struct PickleTensor {
  size_t storage = 0;
  std::string dtype;
  int64_t offset = 0;
  std::vector<int64_t> shape, stride;
};

// Owns all values of one file.
struct PickleContent {
  std::deque<PickleValue> values;
  std::deque<std::string> texts;  // those that do not stand in the pickle as they are
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  std::unordered_map<std::string, size_t> storage_by_key;
};

}  // namespace tessera
