#include "apps/training_run.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

#include "apps/counted.h"
#include "apps/init_weights.h"
#include "apps/preflight.h"
#include "apps/progress.h"
#include "apps/run_config.h"
#include "apps/run_journal.h"
#include "apps/run_log.h"
#include "apps/run_report.h"
#include "apps/stop_signal.h"
#include "apps/training_options.h"
#include "apps/training_step.h"
#include "data/pipeline/loader.h"
#include "data/pipeline/training_set.h"
#include "engine/core/memory_table.h"
#include "engine/io/atomic_file.h"
#include "engine/training/checkpoint.h"
#include "engine/training/weights.h"

namespace tessera {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

}  // namespace

// One run from its first to its last iteration in this process.
class TrainingRun {
 public:
  TrainingRun(const CommonOptions& common, const TrainingRunRequest& request)
      : common_(common),
        request_(request),
        config_(request.config),
        context_(common.context()),
        begin_(Clock::now()),
        picture_notes_(common.quiet) {
    const std::string& annotations = required_path(config_, "data.train.annotations");
    dataset_ = read_coco(annotations, picture_options(config_).read());
    note_findings(dataset_, annotations);
    const std::vector<Category> categories = categories_for(config_, dataset_, annotations);

    TrainingSetOptions options;
    options.preprocessing = preprocessing_from(config_);
    options.augmentation = augmentation_from(config_);
    options.preprocessing.max_side = static_cast<int>(config_.get_int("train.max_side"));
    options.seed = static_cast<uint64_t>(config_.get_int("seed"));
    options.cache_bytes = config_.get_int("data.cache_mb") << 20;
    options.decode = picture_options(config_).decode();
    const std::string& images = required_path(config_, "data.train.images");
    try {
      set_ = std::make_unique<TrainingSet>(dataset_, images, options);
    } catch (const Error& error) {
      throw Error(error.code(), annotations + ": " + error.what(), "tessera data check " + annotations);
    }
    missing_ = set_->missing_pictures();
    note(missing_pictures_note(missing_, set_->size(), config_.get_number("data.corrupt_quota"), annotations, images));
    if (!config_.get_string("data.val.annotations").empty()) {
      evaluation_set_ = read_evaluation_set(config_.get_string("data.val.annotations"),
                                            required_path(config_, "data.val.images"), picture_options(config_));
    }
    model_ = make_model(*context_, config_, categories, options.seed, true);
    if (evaluation_set_) {
      check_evaluation_set(*model_, *evaluation_set_);
      note(renamed_categories_note(*model_, *evaluation_set_));
    }
    metadata_ = model_metadata(config_, model_->categories);
  }

  TrainingRunResult run() {
    const StopSignal signal;
    TrainingStep step(*context_, *model_, config_);
    prepare_run_folder(request_.folder, 2 * checkpoint_bytes(*model_->parameters));
    const CheckpointFolder checkpoints(request_.folder, static_cast<int>(config_.get_int("checkpoint.keep")));
    int64_t iteration = start(checkpoints);
    write_file_atomic(request_.folder / "config.json", config_.to_json() + "\n");
    note_command();
    const int64_t iterations = step.schedule().iterations;
    RunJournal journal(request_.folder, iteration, iterations);

    Loader loader(*set_, loader_options(iteration));
    const double batch = static_cast<double>(config_.get_int("train.batch"));
    Progress progress("training", iterations, common_.quiet, iteration, batch, "pictures");
    TrainingRunResult result;
    result.batch = config_.get_int("train.batch");
    result.parameters = model_->parameters->count();
    result.threads = common_.threads > 0 ? common_.threads : static_cast<int>(std::thread::hardware_concurrency());
    const int64_t every_log = config_.get_int("log.every"), every_evaluation = config_.get_int("evaluate.every"),
                  every_checkpoint = config_.get_int("checkpoint.every");
    double step_seconds = 0, waited_before = 0;
    int64_t steps_timed = 0;
    const auto save = [&] { checkpoints.save(*context_, *model_->parameters, iteration, metadata_at(iteration)); };
    const auto evaluate_when_due = [&] {
      if (!evaluation_set_ || every_evaluation == 0 || iteration % every_evaluation != 0) return;
      if (evaluate_on_the_way(result)) journal.evaluation(result.evaluation, iteration, seconds_since(begin_));
    };
    // The checkpoint of an iteration comes before its evaluation, which a stop may have left out.
    if (iteration > 0 && iteration < iterations && !is_evaluated(iteration)) evaluate_when_due();

    while (iteration < iterations && !StopSignal::requested()) {
      const Clock::time_point step_begin = Clock::now();
      const Batch data = loader.next();
      const bool logs = (iteration + 1) % every_log == 0 || iteration + 1 == iterations;
      const StepResult values = run_step(step, data, iteration, logs, checkpoints);
      ++iteration;
      const double seconds = seconds_since(step_begin);
      result.training_seconds += seconds;
      step_seconds += seconds;
      ++steps_timed;
      ++result.steps_in_process;
      if (logs) {
        const double waited = loader.seconds_waited() - waited_before;
        waited_before = loader.seconds_waited();
        const double rate = batch * static_cast<double>(steps_timed) / step_seconds;
        journal.step(values, iteration, {rate, waited / step_seconds}, seconds_since(begin_));
        step_seconds = 0;
        steps_timed = 0;
      }
      progress.update(iteration, progress_fields(values, loader.seconds_waited() / result.training_seconds));
      if (iteration == iterations) break;
      if (every_checkpoint > 0 && iteration % every_checkpoint == 0) save();
      evaluate_when_due();
    }
    progress.finish();
    result.iterations = iteration;
    save();
    std::exception_ptr failure;
    if (iteration < iterations) {
      result.stopped = true;
    } else {
      result.weights = request_.folder / "final.safetensors";
      save_weights(*context_, result.weights, *model_->parameters, metadata_at(iteration));
      try {
        if (evaluation_set_) finish_with_evaluation(result, journal);
      } catch (...) {
        failure = std::current_exception();  // of the evaluation alone: the report of the training is written
      }
    }
    result.seconds = seconds_since(begin_);
    write_run_report(request_.folder, report_of(result));
    if (common_.verbose) {
      fmt::print(stderr, "{}", format_memory_table(context_->allocator()->statistics()));
    }
    if (failure) throw_evaluation_failure(failure, result);
    return result;
  }

 private:
  void say(const std::string& text) const {
    if (!common_.quiet) print_beside_progress(text);
  }
  void note(const std::string& text) const {
    if (!text.empty()) say("note: " + text);
  }

  void note_findings(const CocoDataset& dataset, const std::string& file) const {
    for (const Finding& finding : dataset.findings()) note(fmt::format("{}: {}", file, finding.message));
  }

  // Iterations already done: from a checkpoint when resuming, else 0.
  int64_t start(const CheckpointFolder& checkpoints) {
    if (request_.resume) {
      const auto resumed =
          checkpoints.resume(*context_, *model_->parameters, [&](const std::string& text) { note(text); });
      if (!resumed) {
        throw Error(ExitCode::weights, request_.folder.string() + ": no checkpoint to resume from",
                    "tessera train CONFIG --out " + request_.folder.string());
      }
      say(fmt::format("resuming {} after iteration {}", request_.folder.string(), resumed->iterations));
      return resumed->iterations;
    }
    if (!checkpoints.files().empty()) {
      throw Error(ExitCode::usage, request_.folder.string() + ": holds a run already",
                  "tessera train --resume " + request_.folder.string() + ", or another --out");
    }
    std::vector<std::string> loaded;
    if (!request_.init.empty()) {
      const SafetensorsFile init(request_.init);
      check_init_weights(config_, init);
      LoadReport report = load_matching_weights(*context_, *model_->parameters, init);
      say(fmt::format("initialised {} of {} tensors from {}", report.loaded.size(),
                      report.loaded.size() + report.missing.size() + report.mismatched.size(), request_.init.string()));
      loaded = std::move(report.loaded);
    }
    note(frozen_at_random_note(*model_->parameters, loaded));
    say(fmt::format("{}, {}, {}; {} parameters, {} of them trained", counted(set_->size(), "picture"),
                    counted(set_->trainable_objects(), "object"),
                    fmt::format("{} class{}", model_->categories.size(), model_->categories.size() == 1 ? "" : "es"),
                    model_->parameters->count(), trained_parameters()));
    if (config_.get_int("train.reference_batch") > 0 &&
        config_.get_int("train.reference_batch") != config_.get_int("train.batch")) {
      const ScheduleOptions schedule = schedule_from(config_);
      say(fmt::format("batch {} instead of {}: learning rate {:g}, {} iterations (linear scaling)",
                      config_.get_int("train.batch"), config_.get_int("train.reference_batch"), schedule.learning_rate,
                      schedule.iterations));
    }
    return 0;
  }

  // The command of this start after those before it, for the report: a resume does not hide how the run began.
  void note_command() const {
    const std::filesystem::path file = request_.folder / "command.txt";
    std::string before;
    if (request_.resume) {
      std::ifstream stream(file, std::ios::binary);
      before.assign(std::istreambuf_iterator<char>(stream), {});
    }
    const std::string line = request_.command + "\n";
    if (!before.ends_with("\n" + line)) write_file_atomic(file, before + line);
  }

  bool is_evaluated(int64_t iteration) const {
    const RunLog log = read_run_log(request_.folder / "log.jsonl");
    return std::any_of(log.eval.begin(), log.eval.end(),
                       [&](const EvalPoint& point) { return point.iteration == iteration; });
  }

  // A step whose failure says how to go on from the newest checkpoint: a resumed run would fail again.
  StepResult run_step(TrainingStep& step, const Batch& data, int64_t iteration, bool logs,
                      const CheckpointFolder& checkpoints) const {
    try {
      return step.run(data, iteration, logs);
    } catch (const Error& error) {
      if (error.code() != ExitCode::non_finite) throw;
      const std::vector<std::filesystem::path> files = checkpoints.files();
      const std::string folder = (request_.folder / "").parent_path().string();  // without a slash at its end
      const std::string init = files.empty() ? "" : " --init " + files.front().string();
      throw Error(error.code(), error.what(),
                  fmt::format("tessera train {}/config.json{} train.learning_rate={:g} --out {}-lower-rate", folder,
                              init, config_.get_number("train.learning_rate") / 4, folder));
    }
  }

  std::string progress_fields(const StepResult& values, double waiting) const {
    return fmt::format("loss {:.3f}  lr {:.2g}  {}  {:.0f}% waiting for data", values.loss, values.learning_rate,
                       format_bytes(static_cast<double>(context_->allocator()->statistics().peak)), 100 * waiting);
  }

  int64_t trained_parameters() const {
    int64_t count = 0;
    for (const Parameter& parameter : model_->parameters->parameters()) {
      if (parameter.trainable) count += parameter.shape.elements();
    }
    return count;
  }

  // Whether a warning is about a picture that the look before the run has named already.
  bool names_missing(const std::string& warning) const {
    return std::any_of(missing_.begin(),
                       missing_.begin() + static_cast<ptrdiff_t>(std::min(missing_.size(), kNamedMissing)),
                       [&](const std::string& path) { return warning.starts_with(path + ": "); });
  }

  LoaderOptions loader_options(int64_t iteration) {
    LoaderOptions options;
    options.batch_size = static_cast<int>(config_.get_int("train.batch"));
    options.threads = static_cast<int>(config_.get_int("data.workers"));
    options.first_iteration = static_cast<uint64_t>(iteration);
    options.corrupt_quota = config_.get_number("data.corrupt_quota");
    options.on_warning = [this](const std::string& text) {
      if (!names_missing(text)) note(text);
    };
    options.on_remark = [this](const std::string& text) { picture_notes_.add(text); };
    options.hint = fmt::format("tessera data check {} --images {} --verify",
                               config_.get_string("data.train.annotations"), config_.get_string("data.train.images"));
    return options;
  }

  Metadata metadata_at(int64_t iteration) const {
    Metadata metadata = metadata_;
    metadata[std::string(kMetadataIteration)] = std::to_string(iteration);
    return metadata;
  }

  // False when a signal asked to stop before the end.
  bool evaluate(TrainingRunResult& result) {
    std::optional<ModelEvaluation> evaluation =
        evaluate_model(*context_, *model_, *evaluation_set_, picture_notes_, common_.quiet);
    if (!evaluation) return false;
    result.evaluation = std::move(*evaluation);
    result.evaluated = true;
    say(evaluation_line(result.evaluation));
    return true;
  }

  // Between two steps: a picture that cannot be read, or is too large, does not end the training.
  bool evaluate_on_the_way(TrainingRunResult& result) {
    try {
      return evaluate(result);
    } catch (const Error& error) {
      if (error.code() != ExitCode::data && error.code() != ExitCode::out_of_memory) throw;
      note(fmt::format("no evaluation, training goes on: {}", error.what()));
      return false;
    }
  }

  [[noreturn]] static void throw_evaluation_failure(const std::exception_ptr& failure,
                                                    const TrainingRunResult& result) {
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      throw Error(
          error.code(),
          fmt::format("{}: trained and saved, its evaluation failed: {}", result.weights.string(), error.what()),
          error.hint());
    }
  }

  // After the last step, with everything saved.
  void finish_with_evaluation(TrainingRunResult& result, RunJournal& journal) {
    result.evaluated = false;  // what was evaluated on the way are other weights
    if (evaluate(result)) {
      journal.evaluation(result.evaluation, result.iterations, seconds_since(begin_));
      write_samples(*context_, *model_, *evaluation_set_, static_cast<int>(config_.get_int("evaluate.samples")),
                    request_.folder / "samples");
    }
    result.stopped = StopSignal::requested();
  }

  RunReportInput report_of(const TrainingRunResult& result) const {
    RunReportInput input;
    input.title = fmt::format("Training of {}", config_.get_string("model.system"));
    input.config = config_.to_json();
    input.parameters = model_->parameters->count();
    input.batch = config_.get_int("train.batch");
    input.threads = result.threads;
    input.steps_in_process = result.steps_in_process;
    input.training_seconds = result.training_seconds;
    input.iterations = result.iterations;
    input.memory = format_memory_table(context_->allocator()->statistics());
    if (result.evaluated) input.evaluation = &result.evaluation;
    return input;
  }

  const CommonOptions& common_;
  const TrainingRunRequest& request_;
  Config config_;
  std::unique_ptr<Context> context_;
  Clock::time_point begin_;
  PictureNotes picture_notes_;
  std::vector<std::string> missing_;  // training pictures
  CocoDataset dataset_;
  std::unique_ptr<TrainingSet> set_;
  std::optional<EvaluationSet> evaluation_set_;
  std::optional<Model> model_;
  Metadata metadata_;
};

TrainingRunResult train_in_folder(const CommonOptions& common, const TrainingRunRequest& request) {
  TrainingRun run(common, request);
  return run.run();
}

}  // namespace tessera
