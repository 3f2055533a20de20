#include "tests/golden/formula.h"

namespace tessera::golden {

void set_formula_weights(Context& context, const ParameterStore& store) {
  for (const Parameter& parameter : store.parameters()) {
    const std::string_view name = parameter.name;
    const int rank = parameter.shape.rank();
    std::vector<float> values(static_cast<size_t>(parameter.shape.elements()));
    float factor = 0.5f, offset = 0.0f;
    if (name.ends_with("running_var") || name.ends_with(".scale") || (rank == 1 && name.ends_with("weight"))) {
      factor = offset = 1.0f;
    } else if (name.ends_with("cls_logits.bias") || name.ends_with("class_logits.bias")) {
      factor = 1.0f;
      offset = -2.0f;
    } else if (name.ends_with("bbox_pred.bias")) {
      factor = 1.0f;
      offset = 2.0f;
    } else if (name.find(".position.") != std::string_view::npos) {
      factor = 2.0f;
    } else if (name.find(".gate.") != std::string_view::npos) {
      factor = 0.25f;
    } else if (rank >= 2) {
      const double fan_in = static_cast<double>(parameter.shape.elements()) / static_cast<double>(parameter.shape[0]);
      const bool narrow = name.ends_with("class_logits.weight") || name.ends_with("kernel.weight");
      factor = static_cast<float>((narrow ? 0.34 : 3.4) / std::sqrt(fan_in));
    }
    const Formula formula(name);
    for (size_t i = 0; i < values.size(); ++i) values[i] = factor * formula.noise(i) + offset;
    parameter.value.copy_from_host(context, values.data());
  }
}

Tensor formula_pictures(Context& context, int64_t count, int64_t height, int64_t width) {
  const Formula formula("pictures");
  std::vector<float> values;
  for (int64_t row = 0; row < count * height; ++row) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t stripe = (x * (c + 1) + row % height * (3 - c)) / 16 % 3;
        values.push_back(2 * formula.noise(values.size()) + (static_cast<float>(stripe) - 1));
      }
    }
  }
  return Tensor::from_host<float>(context, {count, height, width, 3}, values);
}

Bitmap formula_ellipse(const Box& box, int height, int width) {
  // In quarters of a pixel, where everything is a whole number: no rounding to agree on.
  const auto quarters = [](float value) { return static_cast<int64_t>(4 * value); };
  const int64_t w = quarters(box.width()), h = quarters(box.height());
  Bitmap mask{height, width, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int64_t dx = int64_t{8} * x + 4 - quarters(box.x1) - quarters(box.x2);
      const int64_t dy = int64_t{8} * y + 4 - quarters(box.y1) - quarters(box.y2);
      mask.pixels.push_back(dx * dx * h * h + dy * dy * w * w <= w * w * h * h ? 1 : 0);
    }
  }
  return mask;
}

}  // namespace tessera::golden
