// The functions and classes that appear in checkpoints, as a table, and what this program does in their place.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "weights_tools/pickle_value.h"

namespace tessera {

enum class PickleGlobal : uint8_t {
  unknown,       // becomes an opaque value
  ordered_dict,  // collections.OrderedDict, defaultdict
  container,     // set, list, ...: a container without interest
  rebuild_tensor,
  rebuild_tensor_v3,
  rebuild_parameter,
  rebuild_from_type,
  torch_size,
  torch_storage,
  torch_dtype,
  numpy_reconstruct,
  numpy_dtype,
  codecs_encode,
};

struct KnownGlobal {
  PickleGlobal meaning = PickleGlobal::unknown;
  std::string_view dtype;  // of storages and dtypes, "" for untyped ones
};

// What stands for module.name. Throws Error(weights), message "<place>: ...", for functions whose only use in a weight
// file is to run code: the whole file is refused.
KnownGlobal find_pickle_global(std::string_view module, std::string_view name, const std::string& place);

// function(*arguments) for a value of kind global. place is named in errors.
PickleValue* call_pickle_global(PickleContent& content, const PickleValue& function, const PickleValue& arguments,
                                const std::string& place);
// The state of object, which changes in place where it matters (numpy arrays).
void set_pickle_state(PickleContent& content, PickleValue& object, const PickleValue& state, const std::string& place);
// A persistent id ('storage', type, key, location, elements[, view]).
PickleValue* load_pickle_storage(PickleContent& content, const PickleValue& id, const std::string& place);

PickleValue* new_pickle_value(PickleContent& content, PickleKind kind, std::string_view text = {});

// Element size of a dtype by its name in safetensors files, 0 for one that weights do not use.
int64_t foreign_dtype_bytes(std::string_view dtype);

}  // namespace tessera
