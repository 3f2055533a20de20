#include "apps/run_journal.h"

#include "engine/io/json_text.h"

namespace tessera {

namespace {

std::string step_line(const StepResult& step, int64_t iteration, const Pace& pace, double seconds) {
  JsonObject losses;
  for (const auto& [name, value] : step.losses) losses.add(name, value);
  JsonObject targets;
  for (const NamedCount& count : step.targets) targets.add(count.name, count.value);
  JsonObject line;
  line.add("type", "train")
      .add("iteration", iteration)
      .add("loss", step.loss)
      .add_raw("losses", losses.text())
      .add("learning_rate", step.learning_rate)
      .add("gradient_norm", step.gradient_norm)
      .add("images_per_second", pace.images_per_second)
      .add("data_wait", pace.data_wait)
      .add("seconds", seconds);
  if (!step.targets.empty()) line.add_raw("targets", targets.text());
  return line.text();
}

std::vector<Scalar> step_scalars(const StepResult& step, const Pace& pace) {
  std::vector<Scalar> scalars = {{"loss", step.loss}};
  for (const auto& [name, value] : step.losses) scalars.emplace_back("losses/" + name, value);
  scalars.emplace_back("learning_rate", step.learning_rate);
  scalars.emplace_back("gradient_norm", step.gradient_norm);
  scalars.emplace_back("images_per_second", pace.images_per_second);
  scalars.emplace_back("data_wait", pace.data_wait);
  for (const NamedCount& count : step.targets) {
    scalars.emplace_back(fmt::format("targets/{}", count.name), static_cast<double>(count.value));
  }
  return scalars;
}

void add_metrics(std::vector<Scalar>& scalars, std::string_view kind, const CocoEvaluation& evaluation) {
  for (size_t i = 0; i < kCocoMetricNames.size(); ++i) {
    if (const std::optional<double>& value = evaluation.metrics[i]) {
      scalars.emplace_back(fmt::format("{}/{}", kind, kCocoMetricNames[i]), *value);
    }
  }
}

// The iterations of a run whose numbers stay when it is resumed.
struct Done {
  int64_t training, evaluation;
};

Done done_of(int64_t done, int64_t iterations) { return {done, done < iterations ? done : done - 1}; }

}  // namespace

RunJournal::RunJournal(const std::filesystem::path& folder, int64_t done, int64_t iterations)
    : log_(folder / "log.jsonl",
           [before = done_of(done, iterations)](std::string_view type, int64_t iteration) {
             return iteration <= (type == "eval" ? before.evaluation : before.training);
           }),
      events_(folder, [before = done_of(done, iterations)](std::string_view tag, int64_t step) {
        const bool evaluation = tag.starts_with("segm/") || tag.starts_with("bbox/");
        return step <= (evaluation ? before.evaluation : before.training);
      }) {}

void RunJournal::step(const StepResult& step, int64_t iteration, const Pace& pace, double seconds) {
  log_.write(step_line(step, iteration, pace, seconds));
  events_.write(iteration, step_scalars(step, pace));
}

void RunJournal::evaluation(const ModelEvaluation& evaluation, int64_t iteration, double seconds) {
  log_.write(evaluation_log_line(evaluation, iteration, seconds));
  std::vector<Scalar> scalars;
  if (evaluation.segm) add_metrics(scalars, "segm", *evaluation.segm);
  add_metrics(scalars, "bbox", evaluation.bbox);
  events_.write(iteration, scalars);
}

}  // namespace tessera
