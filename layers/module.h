// How modules name their parameters: a scope is a place in the tree of names. A module takes its scope in the
// constructor, declares its parameters and passes child scopes on:
//     Linear(ParameterScope scope, ...) : weight_(scope.declare("weight", ...))
#pragma once

#include <string>
#include <string_view>

#include "engine/autograd/parameter_store.h"

namespace tessera {

class ParameterScope {
 public:
  explicit ParameterScope(ParameterStore& store, std::string prefix = {}) : store_(store), prefix_(std::move(prefix)) {}

  ParameterScope child(std::string_view name) const { return ParameterScope(store_, join(name)); }
  Parameter& declare(std::string_view name, const Shape& shape, ParameterRole role, Initializer initializer) const {
    return store_.declare(join(name), shape, role, initializer);
  }
  // Freezes every parameter declared so far below this scope.
  void freeze() const {
    for (Parameter& parameter : store_.parameters()) {
      if (parameter.name.starts_with(prefix_ + ".")) parameter.trainable = false;
    }
  }
  const std::string& name() const { return prefix_; }

 private:
  std::string join(std::string_view name) const {
    return prefix_.empty() ? std::string(name) : prefix_ + "." + std::string(name);
  }

  ParameterStore& store_;
  std::string prefix_;
};

}  // namespace tessera
