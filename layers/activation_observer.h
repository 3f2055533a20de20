// Shows somebody what the modules of a network put out, by name: `model compare`. Modules report from where their
// output is complete; without an observer that costs a comparison.
#pragma once

#include <functional>
#include <string>

#include "engine/autograd/parameter_store.h"
#include "engine/autograd/tape.h"

namespace tessera {

// Called for every output on tapes of one context while it lives. One at a time in a process: a second one throws
// Error(internal). It is found through the context because modules get nothing else from those who run them.
class ActivationObserver {
 public:
  // module: "backbone.fpn_lateral3", for a level of a pyramid "proposal_generator.fcos_head.cls_tower.0@2". value:
  // [N, H, W, C] or [R, C]. rectified: a ReLU is applied already.
  using Function = std::function<void(const std::string& module, const Tensor& value, bool rectified)>;
  ActivationObserver(Context& context, Function function);
  ~ActivationObserver();
  ActivationObserver(const ActivationObserver&) = delete;
  ActivationObserver& operator=(const ActivationObserver&) = delete;
};

// The output of the module whose weight this is, or of a part of it (".norm").
void observe_activation(const Tape& tape, const Parameter& weight, const Variable& value, bool rectified,
                        const char* part = "");
void observe_activation(const Tape& tape, const Parameter& weight, const Pyramid& value, bool rectified);
// The output of the block that the module with this weight ends: conv3 of "res2.0" reports as "res2.0".
void observe_block(const Tape& tape, const Parameter& last_weight, const Variable& value, bool rectified);

}  // namespace tessera
