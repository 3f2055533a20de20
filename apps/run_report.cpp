#include "apps/run_report.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "apps/curves_svg.h"
#include "apps/html_report.h"
#include "apps/machine.h"
#include "apps/run_log.h"
#include "engine/io/atomic_file.h"

namespace tessera {

namespace {

std::vector<ReportSample> samples_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<ReportSample> samples;
  for (const std::filesystem::path& file : files) samples.push_back({"", {{"ground truth and prediction", file}}});
  return samples;
}

std::vector<CocoEvaluation> evaluations_of(const ModelEvaluation* evaluation) {
  return evaluation != nullptr ? evaluations_of(*evaluation) : std::vector<CocoEvaluation>();
}

}  // namespace

void write_run_report(const std::filesystem::path& folder, const RunReportInput& input) {
  const RunLog log = read_run_log(folder / "log.jsonl");
  Report report;
  report.title = input.title;
  report.subtitle = fmt::format("{} iterations of {} pictures", input.iterations, input.batch);
  report.curves = curves_svg(log);
  ReportRun run{"this run", evaluations_of(input.evaluation), 0, input.training_seconds, input.parameters};
  if (input.training_seconds > 0) {
    run.images_per_second = static_cast<double>(input.batch * input.steps_in_process) / input.training_seconds;
  }
  report.runs = {run};
  report.samples = samples_in(folder / "samples");
  report.memory_table = input.memory;
  report.config = input.config;
  std::ifstream commands(folder / "command.txt", std::ios::binary);
  report.command_line.assign(std::istreambuf_iterator<char>(commands), {});
  report.environment = {{"processor", describe(find_processor())},
                        {"compiler", compiler_text()},
                        {"threads", std::to_string(input.threads)}};
  write_file_atomic(folder / "curves.svg", report.curves);
  write_file_atomic(folder / "report.html", html_report(report));
}

void write_comparison_report(const std::filesystem::path& file, const std::string& title,
                             const std::vector<ComparedRun>& runs) {
  Report report;
  report.title = title;
  report.subtitle = "the same scenes, the same number of iterations, the same seed";
  std::vector<NamedRun> logs;
  for (const ComparedRun& run : runs) {
    report.runs.push_back(
        {run.name, evaluations_of(run.evaluation), run.images_per_second, run.training_seconds, run.parameters});
    logs.push_back({run.name, read_run_log(run.folder / "log.jsonl")});
  }
  report.curves = curves_svg(logs);
  if (!runs.empty()) report.samples = samples_in(runs.front().folder / "samples");
  write_file_atomic(file, html_report(report));
}

}  // namespace tessera
