#include "weights_tools/pickle_machine.h"

#include <bit>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "weights_tools/pickle_globals.h"
#include "weights_tools/refusal.h"

namespace tessera {

namespace {

class PickleMachine {
 public:
  PickleMachine(std::string_view pickle, PickleContent& content, const std::string& source)
      : pickle_(pickle), content_(content), source_(source) {
    none_ = make(PickleKind::none);
    true_ = make(PickleKind::boolean);
    true_->integer = 1;
    false_ = make(PickleKind::boolean);
  }

  PickleResult run() {
    for (;;) {
      opcode_at_ = at_;
      const uint8_t opcode = byte();
      if (opcode == '.') return {pop(), at_};
      step(opcode);
      if (stack_.size() > kMaxPickleStack) fail("more values on the stack than any checkpoint has");
    }
  }

 private:
  std::string place() const { return fmt::format("{}: byte {}", source_, opcode_at_); }
  [[noreturn]] void fail(std::string_view reason, const char* hint = kTryAgain) const {
    refuse_weights(place(), reason, hint);
  }

  PickleValue* make(PickleKind kind, std::string_view text = {}) {
    if (content_.values.size() >= kMaxPickleValues) fail("more values than any checkpoint has");
    return new_pickle_value(content_, kind, text);
  }
  void push(PickleValue* value) { stack_.push_back(value); }
  void push(PickleKind kind, std::string_view text = {}) { push(make(kind, text)); }
  void push_integer(int64_t value) {
    push(PickleKind::integer);
    stack_.back()->integer = value;
  }

  // Values below a mark belong to an outer container.
  PickleValue* pop() {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("the pickle takes more from the stack than is there");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() {
    PickleValue* value = pop();
    push(value);
    return value;
  }
  std::vector<PickleValue*> pop_to_mark() {
    if (marks_.empty()) fail("the pickle has no mark where one is needed");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    marks_.pop_back();
    std::vector<PickleValue*> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return values;
  }
  PickleValue* collect(PickleKind kind, std::vector<PickleValue*> items) {
    if (kind == PickleKind::dict && items.size() % 2 != 0) fail("a dictionary with a key without value");
    PickleValue* value = make(kind);
    value->items = std::move(items);
    return value;
  }

  std::string_view take(uint64_t count, const char* what) {
    if (count > pickle_.size() - at_)
      fail(fmt::format("{} of {} bytes in a pickle with {} left (truncated)", what, count, pickle_.size() - at_));
    const std::string_view bytes = pickle_.substr(at_, static_cast<size_t>(count));
    at_ += static_cast<size_t>(count);
    return bytes;
  }
  uint8_t byte() {
    if (at_ >= pickle_.size()) fail("the pickle ends before its last value (truncated)");
    return static_cast<uint8_t>(pickle_[at_++]);
  }
  uint64_t number(int bytes) {
    uint64_t value = 0;
    const std::string_view text = take(static_cast<uint64_t>(bytes), "a number");
    for (int i = 0; i < bytes; ++i) value |= uint64_t{static_cast<uint8_t>(text[static_cast<size_t>(i)])} << (8 * i);
    return value;
  }
  std::string_view line() {
    const size_t end = pickle_.find('\n', at_);
    if (end == std::string_view::npos) fail("a name without end (truncated)");
    const std::string_view text = pickle_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  void push_long(std::string_view bytes) {
    if (bytes.size() > 8) return push(PickleKind::opaque, "a long integer");
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    if (!bytes.empty() && bytes.size() < 8 && (bytes.back() & 0x80)) value |= ~uint64_t{0} << (8 * bytes.size());
    push_integer(static_cast<int64_t>(value));
  }
  void push_global(std::string_view module, std::string_view name) {
    const KnownGlobal known = find_pickle_global(module, name, place());
    content_.texts.push_back(fmt::format("{}.{}", module, name));
    push(PickleKind::global, content_.texts.back());
    stack_.back()->integer = static_cast<int64_t>(known.meaning);
    if (!known.dtype.empty()) stack_.back()->items.push_back(make(PickleKind::text, known.dtype));
  }

  void memoize(uint64_t index) {
    if (memo_.size() > kMaxPickleValues) fail("more memo entries than any checkpoint has");
    memo_[index] = top();
  }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail(fmt::format("memo entry {} is used before it is made", index));
    push(found->second);
  }

  void append(PickleValue* target, const std::vector<PickleValue*>& items) {
    if (target->kind == PickleKind::opaque) return;
    if (target->kind != PickleKind::list) fail("an element for something that is no list");
    target->items.insert(target->items.end(), items.begin(), items.end());
  }
  void set_items(PickleValue* target, const std::vector<PickleValue*>& items) {
    if (items.size() % 2 != 0) fail("a dictionary with a key without value");
    if (target->kind == PickleKind::opaque) return;
    if (target->kind != PickleKind::dict) fail("a key for something that is no dictionary");
    target->items.insert(target->items.end(), items.begin(), items.end());
  }

  void call(PickleValue* function, const PickleValue& arguments) {
    if (arguments.kind != PickleKind::tuple) fail("a call without a tuple of arguments");
    if (function->kind == PickleKind::global) return push(call_pickle_global(content_, *function, arguments, place()));
    if (function->kind != PickleKind::opaque) fail("a call of something that is no function");
    push(PickleKind::opaque, function->text);
  }
  void build_object(PickleValue* type) {
    if (type->kind != PickleKind::global && type->kind != PickleKind::opaque) fail("an object without a class");
    push(PickleKind::opaque, type->text);
  }

  void step(uint8_t opcode) {
    switch (opcode) {
      case 0x80:  // PROTO
        if (const uint8_t protocol = byte(); protocol > 5) fail(fmt::format("pickle protocol {}", protocol));
        return;
      case 0x95:  // FRAME
        return static_cast<void>(number(8));

      case 'N':
        return push(none_);
      case 0x88:
        return push(true_);
      case 0x89:
        return push(false_);
      case 'J':
        return push_integer(static_cast<int32_t>(number(4)));
      case 'K':
        return push_integer(static_cast<int64_t>(number(1)));
      case 'M':
        return push_integer(static_cast<int64_t>(number(2)));
      case 0x8a:
        return push_long(take(number(1), "an integer"));
      case 0x8b:
        return push_long(take(number(4), "an integer"));
      case 'G': {  // big endian
        const uint64_t bits = __builtin_bswap64(number(8));
        push(PickleKind::real);
        stack_.back()->real = std::bit_cast<double>(bits);
        return;
      }

      case 'X':
        return push(PickleKind::text, take(number(4), "a text"));
      case 0x8c:
        return push(PickleKind::text, take(number(1), "a text"));
      case 0x8d:
        return push(PickleKind::text, take(number(8), "a text"));
      case 'T':
      case 'B':
        return push(PickleKind::bytes, take(number(4), "bytes"));
      case 'U':
      case 'C':
        return push(PickleKind::bytes, take(number(1), "bytes"));
      case 0x8e:
      case 0x96:
        return push(PickleKind::bytes, take(number(8), "bytes"));

      case '(':
        return marks_.push_back(stack_.size());
      case ')':
        return push(PickleKind::tuple);
      case ']':
        return push(PickleKind::list);
      case '}':
        return push(PickleKind::dict);
      case 0x8f:
        return push(PickleKind::opaque, "a set");
      case 't':
        return push(collect(PickleKind::tuple, pop_to_mark()));
      case 'l':
        return push(collect(PickleKind::list, pop_to_mark()));
      case 'd':
        return push(collect(PickleKind::dict, pop_to_mark()));
      case 0x85:
      case 0x86:
      case 0x87: {
        std::vector<PickleValue*> items(opcode - 0x84u);
        for (size_t i = items.size(); i-- > 0;) items[i] = pop();
        return push(collect(PickleKind::tuple, std::move(items)));
      }
      case 0x91:  // FROZENSET
        pop_to_mark();
        return push(PickleKind::opaque, "a set");

      case 'a': {
        PickleValue* item = pop();
        return append(top(), {item});
      }
      case 'e': {
        const std::vector<PickleValue*> items = pop_to_mark();
        return append(top(), items);
      }
      case 's': {
        PickleValue* value = pop();
        PickleValue* key = pop();
        return set_items(top(), {key, value});
      }
      case 'u': {
        const std::vector<PickleValue*> items = pop_to_mark();
        return set_items(top(), items);
      }
      case 0x90: {  // ADDITEMS
        pop_to_mark();
        return static_cast<void>(top());
      }

      case 'q':
        return memoize(number(1));
      case 'r':
        return memoize(number(4));
      case 0x94:
        return memoize(memo_.size());
      case 'h':
        return recall(number(1));
      case 'j':
        return recall(number(4));

      case 'c': {
        const std::string_view module = line();
        return push_global(module, line());
      }
      case 0x93: {
        const PickleValue* name = pop();
        const PickleValue* module = pop();
        if (!name->is_text() || !module->is_text()) fail("a function without a name");
        return push_global(module->text, name->text);
      }
      case 'R': {
        const PickleValue* arguments = pop();
        return call(pop(), *arguments);
      }
      case 0x92:  // NEWOBJ_EX
        pop();
        [[fallthrough]];
      case 0x81: {  // NEWOBJ
        pop();
        return build_object(pop());
      }
      case 'b': {
        const PickleValue* state = pop();
        return set_pickle_state(content_, *top(), *state, place());
      }
      case 'Q': {
        const PickleValue* id = pop();
        return push(load_pickle_storage(content_, *id, place()));
      }
      default:
        fail(fmt::format("opcode 0x{:02x} does not occur in weight files", opcode));
    }
  }

  std::string_view pickle_;
  PickleContent& content_;
  const std::string& source_;
  size_t at_ = 0, opcode_at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
  PickleValue *none_ = nullptr, *true_ = nullptr, *false_ = nullptr;
};

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != PickleKind::dict) return nullptr;
  for (size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->is_text() && items[i - 2]->text == key) return items[i - 1];
  }
  return nullptr;
}

PickleResult read_pickle(std::string_view pickle, PickleContent& content, const std::string& source) {
  return PickleMachine(pickle, content, source).run();
}

}  // namespace tessera
