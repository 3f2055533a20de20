#include "weights_tools/pickle_globals.h"

#include <algorithm>
#include <optional>

#include "weights_tools/refusal.h"

namespace tessera {

namespace {

struct GlobalName {
  std::string_view module, name;
  KnownGlobal known;
};

using enum PickleGlobal;

constexpr GlobalName kGlobals[] = {
    {"collections", "OrderedDict", {ordered_dict}},
    {"collections", "defaultdict", {ordered_dict}},
    {"torch._utils", "_rebuild_tensor", {rebuild_tensor}},
    {"torch._utils", "_rebuild_tensor_v2", {rebuild_tensor}},
    {"torch._utils", "_rebuild_tensor_v3", {rebuild_tensor_v3}},
    {"torch._utils", "_rebuild_parameter", {rebuild_parameter}},
    {"torch._utils", "_rebuild_parameter_with_state", {rebuild_parameter}},
    {"torch._tensor", "_rebuild_from_type_v2", {rebuild_from_type}},
    {"torch", "Size", {torch_size}},
    {"torch", "FloatStorage", {torch_storage, "F32"}},
    {"torch", "HalfStorage", {torch_storage, "F16"}},
    {"torch", "BFloat16Storage", {torch_storage, "BF16"}},
    {"torch", "DoubleStorage", {torch_storage, "F64"}},
    {"torch", "LongStorage", {torch_storage, "I64"}},
    {"torch", "IntStorage", {torch_storage, "I32"}},
    {"torch", "ShortStorage", {torch_storage, "I16"}},
    {"torch", "CharStorage", {torch_storage, "I8"}},
    {"torch", "ByteStorage", {torch_storage, "U8"}},
    {"torch", "BoolStorage", {torch_storage, "BOOL"}},
    {"torch", "ComplexFloatStorage", {torch_storage, "C64"}},
    {"torch.storage", "UntypedStorage", {torch_storage}},
    {"torch.storage", "_UntypedStorage", {torch_storage}},
    {"torch", "UntypedStorage", {torch_storage}},
    {"torch", "float32", {torch_dtype, "F32"}},
    {"torch", "float16", {torch_dtype, "F16"}},
    {"torch", "bfloat16", {torch_dtype, "BF16"}},
    {"torch", "float64", {torch_dtype, "F64"}},
    {"torch", "int64", {torch_dtype, "I64"}},
    {"torch", "int32", {torch_dtype, "I32"}},
    {"torch", "int16", {torch_dtype, "I16"}},
    {"torch", "int8", {torch_dtype, "I8"}},
    {"torch", "uint8", {torch_dtype, "U8"}},
    {"torch", "uint16", {torch_dtype, "U16"}},
    {"torch", "uint32", {torch_dtype, "U32"}},
    {"torch", "uint64", {torch_dtype, "U64"}},
    {"torch", "bool", {torch_dtype, "BOOL"}},
    {"torch", "complex64", {torch_dtype, "C64"}},
    {"numpy.core.multiarray", "_reconstruct", {numpy_reconstruct}},
    {"numpy._core.multiarray", "_reconstruct", {numpy_reconstruct}},
    {"numpy", "dtype", {PickleGlobal::numpy_dtype}},
    {"_codecs", "encode", {codecs_encode}},
};

// Modules that a weight file has no business with. builtins is among them, but for its containers.
constexpr std::string_view kForbidden[] = {"os",          "posix",  "nt",        "sys",      "subprocess", "builtins",
                                           "__builtin__", "shutil", "socket",    "pty",      "runpy",      "code",
                                           "ctypes",      "cffi",   "importlib", "commands", "pickle",     "marshal",
                                           "webbrowser",  "pip",    "timeit",    "pdb",      "bdb",        "profile"};
constexpr std::string_view kBuiltinContainers[] = {"set",   "frozenset", "list",      "dict", "tuple",  "complex",
                                                   "slice", "range",     "bytearray", "int",  "float",  "bool",
                                                   "str",   "bytes",     "object",    "long", "unicode"};

struct NumpyType {
  std::string_view code, dtype;
};
constexpr NumpyType kNumpyTypes[] = {{"f4", "F32"}, {"f2", "F16"},  {"f8", "F64"}, {"i8", "I64"}, {"i4", "I32"},
                                     {"i2", "I16"}, {"i1", "I8"},   {"u1", "U8"},  {"u2", "U16"}, {"u4", "U32"},
                                     {"u8", "U64"}, {"b1", "BOOL"}, {"c8", "C64"}};

const PickleValue& argument(const PickleValue& arguments, size_t index, const std::string& place) {
  if (index >= arguments.items.size())
    refuse_weights(place, fmt::format("a call with {} arguments", arguments.items.size()), kTryAgain);
  return *arguments.items[index];
}

std::vector<int64_t> extents_of(const PickleValue& value, const char* what, const std::string& place) {
  if (value.kind != PickleKind::tuple && value.kind != PickleKind::list)
    refuse_weights(place, fmt::format("{} is no list", what), kTryAgain);
  if (value.items.size() > 64) refuse_weights(place, fmt::format("{} dimensions", value.items.size()), kTryAgain);
  std::vector<int64_t> extents;
  for (const PickleValue* item : value.items) {
    if (item->kind != PickleKind::integer || item->integer < 0)
      refuse_weights(place, fmt::format("{} holds something else than counts", what), kTryAgain);
    extents.push_back(item->integer);
  }
  return extents;
}

PickleValue* new_tensor(PickleContent& content, PickleTensor tensor, PickleValue* into = nullptr) {
  PickleValue* value = into ? into : new_pickle_value(content, PickleKind::tensor);
  value->kind = PickleKind::tensor;
  value->index = content.tensors.size();
  content.tensors.push_back(std::move(tensor));
  return value;
}

// Whether every element of the tensor lies in its storage; the sum is computed without overflow.
void check_extent(const PickleContent& content, const PickleTensor& tensor, const std::string& place) {
  if (tensor.shape.size() != tensor.stride.size())
    refuse_weights(place, fmt::format("{} sizes and {} strides", tensor.shape.size(), tensor.stride.size()), kTryAgain);
  const PickleStorage& storage = content.storages[tensor.storage];
  int64_t elements = storage.elements;
  if (storage.dtype.empty()) elements /= foreign_dtype_bytes(tensor.dtype);
  int64_t last = tensor.offset, count = 1;
  bool overflow = tensor.offset < 0;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(count, tensor.shape[i], &count);
    overflow |= __builtin_mul_overflow(std::max<int64_t>(tensor.shape[i] - 1, 0), tensor.stride[i], &reach);
    overflow |= __builtin_add_overflow(last, reach, &last);
  }
  if (overflow || (count > 0 && last >= elements) || (count == 0 && tensor.offset > elements)) {
    refuse_weights(
        place,
        fmt::format("a tensor of shape [{}], strides [{}] and offset {} does not lie in its storage of {} elements",
                    fmt::join(tensor.shape, ", "), fmt::join(tensor.stride, ", "), tensor.offset, elements),
        kTryAgain);
  }
}

PickleValue* rebuild_tensor_of(PickleContent& content, const PickleValue& arguments, std::string_view dtype,
                               const std::string& place) {
  const PickleValue& storage = argument(arguments, 0, place);
  if (storage.kind != PickleKind::storage) refuse_weights(place, "a tensor without storage", kTryAgain);
  const PickleValue& offset = argument(arguments, 1, place);
  if (offset.kind != PickleKind::integer) refuse_weights(place, "a tensor without offset", kTryAgain);
  PickleTensor tensor{storage.index, std::string(dtype), offset.integer,
                      extents_of(argument(arguments, 2, place), "the shape", place),
                      extents_of(argument(arguments, 3, place), "the strides", place)};
  const std::string& stored = content.storages[storage.index].dtype;
  if (tensor.dtype.empty()) tensor.dtype = stored;
  if (tensor.dtype.empty()) tensor.dtype = "U8";
  if (!stored.empty() && stored != tensor.dtype)
    refuse_weights(place, fmt::format("a tensor of {} in a storage of {}", tensor.dtype, stored), kTryAgain);
  check_extent(content, tensor, place);
  return new_tensor(content, std::move(tensor));
}

// UTF-8 of the code points 0..255 back to bytes; what protocol 2 makes of numpy's data.
std::optional<std::string> latin1_bytes(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      bytes.push_back(text[i]);
      continue;
    }
    if ((lead != 0xc2 && lead != 0xc3) || i + 1 == text.size()) return std::nullopt;
    const auto follow = static_cast<uint8_t>(text[++i]);
    if ((follow & 0xc0) != 0x80) return std::nullopt;
    bytes.push_back(static_cast<char>((lead & 3) << 6 | (follow & 0x3f)));
  }
  return bytes;
}

PickleValue* encode(PickleContent& content, const PickleValue& arguments, const std::string& place) {
  const PickleValue& text = argument(arguments, 0, place);
  const PickleValue& codec = argument(arguments, 1, place);
  if (!text.is_text() || (codec.text != "latin1" && codec.text != "latin-1"))
    refuse_weights(place, "a text in an encoding other than latin1", kTryAgain);
  std::optional<std::string> bytes = latin1_bytes(text.text);
  if (!bytes) refuse_weights(place, "a text that is not latin1", kTryAgain);
  content.texts.push_back(std::move(*bytes));
  return new_pickle_value(content, PickleKind::bytes, content.texts.back());
}

// (version, shape, dtype, fortran order, bytes)
void fill_array(PickleContent& content, PickleValue& array, const PickleValue& state, const std::string& place) {
  if (state.kind != PickleKind::tuple || state.items.size() != 5)
    refuse_weights(place, "a numpy array of an unknown form", kTryAgain);
  const PickleValue &type = *state.items[2], &order = *state.items[3], &bytes = *state.items[4];
  const auto known = std::find_if(std::begin(kNumpyTypes), std::end(kNumpyTypes),
                                  [&](const NumpyType& entry) { return entry.code == type.text; });
  if (type.kind != PickleKind::numpy_dtype || known == std::end(kNumpyTypes) || bytes.kind != PickleKind::bytes) {
    array.kind = PickleKind::opaque;  // of objects or texts
    array.text = "a numpy array that does not hold plain numbers";
    return;
  }
  if (type.integer == '>')
    refuse_weights(place, "a numpy array in big-endian order", "array.astype('<f4') and save again");
  PickleTensor tensor{
      content.storages.size(), std::string(known->dtype), 0, extents_of(*state.items[1], "the shape", place), {}};
  const int64_t size = foreign_dtype_bytes(known->dtype);
  tensor.stride.assign(tensor.shape.size(), 1);
  int64_t count = 1;
  bool overflow = false;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const size_t axis = order.integer != 0 ? i : tensor.shape.size() - 1 - i;
    tensor.stride[axis] = count;
    overflow |= __builtin_mul_overflow(count, std::max<int64_t>(tensor.shape[axis], 1), &count);
  }
  if (std::ranges::find(tensor.shape, 0) != tensor.shape.end()) count = 0;
  int64_t total = 0;
  overflow |= __builtin_mul_overflow(count, size, &total);
  if (overflow || total != static_cast<int64_t>(bytes.text.size())) {
    refuse_weights(place,
                   fmt::format("a numpy array of shape [{}] {} with {} bytes", fmt::join(tensor.shape, ", "),
                               known->dtype, bytes.text.size()),
                   kTryAgain);
  }
  content.storages.push_back({{}, std::string(known->dtype), count, bytes.text});
  new_tensor(content, std::move(tensor), &array);
}

}  // namespace

PickleValue* new_pickle_value(PickleContent& content, PickleKind kind, std::string_view text) {
  PickleValue& value = content.values.emplace_back();
  value.kind = kind;
  value.text = text;
  return &value;
}

int64_t foreign_dtype_bytes(std::string_view dtype) {
  if (dtype == "U8" || dtype == "I8" || dtype == "BOOL") return 1;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F64" || dtype == "I64" || dtype == "U64" || dtype == "C64") return 8;
  return 0;
}

KnownGlobal find_pickle_global(std::string_view module, std::string_view name, const std::string& place) {
  for (const GlobalName& entry : kGlobals) {
    if (entry.module == module && entry.name == name) return entry.known;
  }
  const bool builtin = module == "builtins" || module == "__builtin__";
  if (builtin && std::ranges::find(kBuiltinContainers, name) != std::end(kBuiltinContainers)) return {container};
  const std::string_view root = module.substr(0, module.find('.'));
  if (std::ranges::find(kForbidden, root) != std::end(kForbidden) || (module == "_codecs" && name != "encode")) {
    refuse_weights(place, fmt::format("the file asks to run {}.{}: refused, nothing was run", module, name),
                   "do not load this file with Python either; get it from a source you trust");
  }
  return {};
}

PickleValue* call_pickle_global(PickleContent& content, const PickleValue& function, const PickleValue& arguments,
                                const std::string& place) {
  switch (static_cast<PickleGlobal>(function.integer)) {
    case ordered_dict: {
      PickleValue* dict = new_pickle_value(content, PickleKind::dict);
      if (arguments.items.empty() || arguments.items[0]->kind != PickleKind::list) return dict;
      for (const PickleValue* pair : arguments.items[0]->items) {  // OrderedDict([[key, value], ...]) of Python 2
        if (pair->items.size() != 2 || pair->kind == PickleKind::dict)
          refuse_weights(place, "a dictionary with a key without value", kTryAgain);
        dict->items.insert(dict->items.end(), pair->items.begin(), pair->items.end());
      }
      return dict;
    }
    case rebuild_tensor:
      return rebuild_tensor_of(content, arguments, {}, place);
    case rebuild_tensor_v3: {
      const PickleValue& dtype = argument(arguments, 6, place);
      if (dtype.kind != PickleKind::global || static_cast<PickleGlobal>(dtype.integer) != torch_dtype)
        return new_pickle_value(content, PickleKind::opaque, "a tensor of an unknown dtype");
      return rebuild_tensor_of(content, arguments, dtype.items[0]->text, place);
    }
    case rebuild_parameter: {
      const PickleValue& tensor = argument(arguments, 0, place);
      PickleValue* value = new_pickle_value(content, tensor.kind, tensor.text);
      value->index = tensor.index;
      if (tensor.kind != PickleKind::tensor) value->kind = PickleKind::opaque;
      return value;
    }
    case rebuild_from_type: {  // function, type, arguments, state
      const PickleValue &inner = argument(arguments, 0, place), &rest = argument(arguments, 2, place);
      const auto meaning = static_cast<PickleGlobal>(inner.integer);
      if (inner.kind == PickleKind::global && rest.kind == PickleKind::tuple &&
          (meaning == rebuild_tensor || meaning == rebuild_tensor_v3 || meaning == rebuild_parameter))
        return call_pickle_global(content, inner, rest, place);
      return new_pickle_value(content, PickleKind::opaque, function.text);
    }
    case torch_size: {
      PickleValue* size = new_pickle_value(content, PickleKind::tuple);
      if (!arguments.items.empty()) size->items = arguments.items[0]->items;
      return size;
    }
    case numpy_reconstruct:
      return new_pickle_value(content, PickleKind::numpy_array, "a numpy array");
    case PickleGlobal::numpy_dtype: {
      const PickleValue& code = argument(arguments, 0, place);
      return new_pickle_value(content, PickleKind::numpy_dtype, code.is_text() ? code.text : std::string_view());
    }
    case codecs_encode:
      return arguments.items.empty() ? new_pickle_value(content, PickleKind::bytes) : encode(content, arguments, place);
    case unknown:
    case container:
    case torch_storage:
    case torch_dtype:
      return new_pickle_value(content, PickleKind::opaque, function.text);
  }
  return new_pickle_value(content, PickleKind::opaque, function.text);
}

void set_pickle_state(PickleContent& content, PickleValue& object, const PickleValue& state, const std::string& place) {
  if (object.kind == PickleKind::numpy_array) fill_array(content, object, state, place);
  if (object.kind == PickleKind::numpy_dtype && state.kind == PickleKind::tuple && state.items.size() >= 2 &&
      state.items[1]->is_text() && !state.items[1]->text.empty()) {
    object.integer = state.items[1]->text[0];
  }
}

PickleValue* load_pickle_storage(PickleContent& content, const PickleValue& id, const std::string& place) {
  const auto bad = [&] { refuse_weights(place, "a storage of an unknown form", kTryStateDict); };
  if (id.kind != PickleKind::tuple || id.items.size() < 5 || !id.items[0]->is_text()) bad();
  if (id.items[0]->text == "module")
    refuse_weights(place, "the file holds a module with its source code", kTryStateDict);
  const PickleValue &type = *id.items[1], &key = *id.items[2], &elements = *id.items[4];
  if (id.items[0]->text != "storage" || type.kind != PickleKind::global || !key.is_text() ||
      elements.kind != PickleKind::integer || elements.integer < 0) {
    bad();
  }
  if (static_cast<PickleGlobal>(type.integer) != torch_storage)
    return new_pickle_value(content, PickleKind::opaque, type.text);
  if (id.items.size() > 5 && id.items[5]->kind != PickleKind::none)
    refuse_weights(place, "a storage that views another one (PyTorch before 0.4)", kTryStateDict);
  const std::string_view dtype = type.items.empty() ? std::string_view() : type.items[0]->text;
  const auto [entry, fresh] = content.storage_by_key.try_emplace(std::string(key.text), content.storages.size());
  if (fresh) {
    content.storages.push_back({std::string(key.text), std::string(dtype), elements.integer, {}});
  } else {
    const PickleStorage& known = content.storages[entry->second];
    if (known.dtype != dtype || known.elements != elements.integer)
      refuse_weights(place, fmt::format("storage \"{}\" is described twice, differently", key.text), kTryAgain);
  }
  PickleValue* value = new_pickle_value(content, PickleKind::storage);
  value->index = entry->second;
  return value;
}

}  // namespace tessera
