#include "layers/activation_observer.h"

namespace tessera {

namespace {

std::string parent_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

}  // namespace

void observe_activation(const Tape& tape, const Parameter& weight, const Variable& value, bool rectified,
                        const char* part) {
  if (!tape.activation_observer()) return;
  tape.activation_observer()(parent_of(weight.name) + part, value.value, rectified);
}

void observe_activation(const Tape& tape, const Parameter& weight, const Pyramid& value, bool rectified) {
  if (!tape.activation_observer()) return;
  for (int64_t level = 0; level < value.geometry.level_count(); ++level) {
    tape.activation_observer()(fmt::format("{}@{}", parent_of(weight.name), level),
                               value.geometry.level_view(value.rows.value, level), rectified);
  }
}

void observe_block(const Tape& tape, const Parameter& last_weight, const Variable& value, bool rectified) {
  if (!tape.activation_observer()) return;
  tape.activation_observer()(parent_of(parent_of(last_weight.name)), value.value, rectified);
}

}  // namespace tessera
