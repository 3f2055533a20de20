#include "layers/activation_observer.h"

#include <utility>

namespace tessera {

namespace {

struct Observed {
  const Context* context = nullptr;
  ActivationObserver::Function function;
};

Observed& observed() {
  static Observed observed;
  return observed;
}

std::string parent_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

}  // namespace

ActivationObserver::ActivationObserver(Context& context, Function function) {
  TESSERA_CHECK(observed().context == nullptr, "activations are observed already");
  observed() = {&context, std::move(function)};
}

ActivationObserver::~ActivationObserver() { observed() = {}; }

void observe_activation(const Tape& tape, const Parameter& weight, const Variable& value, bool rectified,
                        const char* part) {
  if (observed().context != &tape.context()) return;
  observed().function(parent_of(weight.name) + part, value.value, rectified);
}

void observe_activation(const Tape& tape, const Parameter& weight, const Pyramid& value, bool rectified) {
  if (observed().context != &tape.context()) return;
  for (int64_t level = 0; level < value.geometry.level_count(); ++level) {
    observed().function(fmt::format("{}@{}", parent_of(weight.name), level),
                        value.geometry.level_view(value.rows.value, level), rectified);
  }
}

void observe_block(const Tape& tape, const Parameter& last_weight, const Variable& value, bool rectified) {
  if (observed().context != &tape.context()) return;
  observed().function(parent_of(parent_of(last_weight.name)), value.value, rectified);
}

}  // namespace tessera
