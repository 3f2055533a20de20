#include "apps/run_config.h"

#include "data/image/decode.h"
#include "models/config_keys.h"

namespace tessera {

namespace {

constexpr double kHuge = 1e9;

ConfigTable input_keys() {
  return {
      ConfigKey::choice("input.order", "rgb", {"rgb", "bgr"}, "channel order the network sees"),
      ConfigKey::numbers("input.mean", {123.675, 116.28, 103.53}, 0, 255, "subtracted, in channel order, levels 0-255"),
      ConfigKey::numbers("input.std", {58.395, 57.12, 57.375}, 1e-3, 255, "divided by after the mean"),
      ConfigKey::integer("input.short_side", 800, 1, 1 << 14, "short side of the network input at evaluation"),
      ConfigKey::integer("input.max_side", 1333, 0, 1 << 15,
                         "cap of the long side, 0 = none but 16 short sides for what is enlarged"),
  };
}

ConfigTable data_keys() {
  return {
      ConfigKey::string("data.train.annotations", "", "COCO annotations to train on"),
      ConfigKey::string("data.train.images", "", "folder of the training pictures"),
      ConfigKey::string("data.val.annotations", "", "COCO annotations to evaluate on"),
      ConfigKey::string("data.val.images", "", "folder of the evaluation pictures"),
      ConfigKey::integer("data.workers", 2, 0, 256, "loader threads; the batches do not depend on it"),
      ConfigKey::integer("data.cache_mb", 512, 0, 1 << 20, "decoded pictures kept in memory, MB"),
      ConfigKey::number("data.corrupt_quota", 0.01, 0, 1, "share of unreadable pictures a run puts up with"),
      ConfigKey::number("data.max_megapixels", 100, 1, kMostMegapixels, "larger pictures are refused"),
      ConfigKey::boolean("data.allow_outside", false, "read file names that are absolute or lead out by .."),
  };
}

ConfigTable train_keys() {
  return {
      ConfigKey::integer("train.iterations", 90000, 1, 1 << 30, "optimizer steps"),
      ConfigKey::integer("train.batch", 16, 1, 4096, "pictures per step"),
      ConfigKey::integer("train.reference_batch", 0, 0, 4096,
                         "batch the learning rate was given for, 0 = train.batch; otherwise it scales linearly"),
      ConfigKey::choice("train.optimizer", "sgd", {"sgd", "adamw"}, "how gradients move the weights"),
      ConfigKey::number("train.learning_rate", 0.01, 0, 100, "after warm-up"),
      ConfigKey::choice("train.decay", "steps", {"steps", "cosine"}, "how the learning rate falls"),
      ConfigKey::integers("train.steps", {60000, 80000}, 0, 1 << 30,
                          "iterations at which the rate is multiplied by train.gamma"),
      ConfigKey::number("train.gamma", 0.1, 0, 1, "factor at each of train.steps"),
      ConfigKey::integer("train.warmup", 1000, 0, 1 << 30, "iterations of linear warm-up"),
      ConfigKey::number("train.warmup_factor", 0.001, 0, 1, "share of the rate at iteration 0"),
      ConfigKey::number("train.momentum", 0.9, 0, 0.9999, "of SGD"),
      ConfigKey::number("train.beta1", 0.9, 0, 0.9999, "of AdamW: decay of the mean gradient"),
      ConfigKey::number("train.beta2", 0.999, 0, 0.999999, "of AdamW: decay of the mean squared gradient"),
      ConfigKey::number("train.epsilon", 1e-8, 1e-12, 1, "of AdamW: added to the root it divides by"),
      ConfigKey::number("train.weight_decay", 1e-4, 0, 1, "of weights and biases; norms are not decayed"),
      ConfigKey::number("train.clip", 0, 0, kHuge, "largest gradient norm, 0 = no clipping"),
      ConfigKey::integers(
          "train.short_side", {800}, 1, 1 << 14,
          "short side of training pictures: one value, [least, most], or three and more to choose from"),
      ConfigKey::integer("train.max_side", 1333, 0, 1 << 15, "cap of the long side, 0 = as for input.max_side"),
      ConfigKey::number("train.flip", 0.5, 0, 1, "probability of a horizontal flip"),
      ConfigKey::number("train.flip_vertical", 0, 0, 1, "probability of a vertical flip"),
      ConfigKey::number("train.transpose", 0, 0, 1, "probability of exchanging the axes"),
      ConfigKey::number("train.color_jitter", 0, 0, 1, "strength of brightness, contrast and channel changes"),
      ConfigKey::number("train.crop", 0, 0, 1, "probability of a random crop, resized like a whole picture"),
      ConfigKey::number("train.crop_least", 0.5, 0.05, 1, "smallest share of each side that a crop keeps"),
  };
}

ConfigTable observer_keys() {
  return {
      ConfigKey::integer("checkpoint.every", 1000, 0, 1 << 30, "iterations between checkpoints, 0 = only at the end"),
      ConfigKey::integer("checkpoint.keep", 3, 1, 1000, "newest checkpoints kept"),
      ConfigKey::integer("evaluate.every", 0, 0, 1 << 30, "iterations between evaluations, 0 = only at the end"),
      ConfigKey::integer("evaluate.samples", 6, 0, 64, "pictures of the evaluation set drawn into samples/"),
      ConfigKey::integer("log.every", 20, 1, 1 << 30, "iterations between lines of log.jsonl"),
      ConfigKey::integer("seed", 1, 0, 1 << 30, "of everything random"),
  };
}

}  // namespace

ConfigTable run_config_table() {
  return join({model_config_keys(), input_keys(), data_keys(), train_keys(), observer_keys()});
}

}  // namespace tessera
