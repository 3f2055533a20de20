// The log of a run (log.jsonl) read back for curves and reports. Forgiving: a line that is no JSON, of an unknown type
// or without an iteration is counted and left out, a field that is missing, null or of another type is NaN.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "data/evaluation/coco_eval.h"

namespace tessera {

inline constexpr double kNotLogged = std::numeric_limits<double>::quiet_NaN();

struct TrainPoint {
  int64_t iteration = 0;
  double loss = kNotLogged;
  std::vector<double> losses;  // its parts, parallel to RunLog::loss_names; parts not named yet are absent at the end
  double learning_rate = kNotLogged;
  double gradient_norm = kNotLogged;
  double images_per_second = kNotLogged;
  double data_wait = kNotLogged;  // share of the time spent waiting for data, 0..1
  double seconds = kNotLogged;    // since the start of the run
};

struct EvalPoint {
  int64_t iteration = 0;
  // 0..1, in the order of kCocoMetricNames.
  std::array<double, 12> segm, bbox;
  double seconds = kNotLogged;  // since the start of the run, evaluation included
};

struct RunLog {
  std::vector<TrainPoint> train;        // ascending iterations
  std::vector<EvalPoint> eval;          // ascending iterations
  std::vector<std::string> loss_names;  // in the order of their first appearance
  int64_t skipped = 0;                  // lines left out
};

// A point whose iteration does not go up (a run that went back to a checkpoint) replaces those from there on.
RunLog parse_run_log(std::string_view text);
// Throws Error(usage) when the file cannot be read; an empty file is an empty log.
RunLog read_run_log(const std::filesystem::path& file);

}  // namespace tessera
