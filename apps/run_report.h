// curves.svg and report.html of a run folder, and a page that compares several runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/model_evaluation.h"

namespace tessera {

struct RunReportInput {
  std::string title;   // "Training of gridmask_fcos"
  std::string config;  // JSON
  std::string memory;  // table, preformatted
  int64_t parameters = 0;
  int64_t batch = 0;
  int threads = 0;
  int64_t iterations = 0;        // done so far
  int64_t steps_in_process = 0;  // of these, in this process
  double training_seconds = 0;   // of this process
  const ModelEvaluation* evaluation = nullptr;
};

// Reads log.jsonl, command.txt and samples/ of the folder, writes curves.svg and report.html into it.
void write_run_report(const std::filesystem::path& folder, const RunReportInput& input);

struct ComparedRun {
  std::string name;
  std::filesystem::path folder;
  const ModelEvaluation* evaluation = nullptr;
  int64_t parameters = 0;
  double images_per_second = 0;
  double training_seconds = 0;
};

// One page over several finished runs; samples of the first.
void write_comparison_report(const std::filesystem::path& file, const std::string& title,
                             const std::vector<ComparedRun>& runs);

}  // namespace tessera
