// `tessera eval`.
#include "apps/counted.h"
#include "apps/model_evaluation.h"
#include "apps/preflight.h"
#include "apps/terminal_text.h"
#include "apps/verbs.h"
#include "data/evaluation/cityscapes_eval.h"

namespace tessera {

namespace {

void print(const CommonOptions& common, const std::vector<CocoEvaluation>& evaluations) {
  if (common.json) {
    fmt::print("{}\n", evaluations_to_json(evaluations));
    return;
  }
  for (const CocoEvaluation& evaluation : evaluations) fmt::print("{}", evaluation_table(evaluation));
}

void note_findings(const CommonOptions& common, const std::string& file, const CocoDataset& dataset) {
  if (common.quiet) return;
  for (const Finding& finding : dataset.findings())
    fmt::print(stderr, "note: {}: {}\n", file, terminal_text(finding.message));
}

void print_cityscapes(const CommonOptions& common, const CityscapesEvaluation& evaluation) {
  fmt::print("{}{}", common.json ? cityscapes_evaluation_to_json(evaluation) : cityscapes_evaluation_table(evaluation),
             common.json ? "\n" : "");
}

int evaluate_results(const CommonOptions& common, const EvalOptions& options) {
  const OverlapKind kind = options.iou == "bbox" ? OverlapKind::bbox : OverlapKind::segm;
  const CocoDataset truth = read_coco(options.annotations, {.need_masks = kind == OverlapKind::segm,
                                                            .need_file_names = !options.cityscapes.empty(),
                                                            .allow_outside = options.pictures.allow_outside});
  note_findings(common, options.annotations, truth);
  const CocoResults results = read_results(options.results);
  const CocoEvalOptions how{.overlap = kind, .use_categories = !options.no_categories, .threads = common.threads};
  const CocoEvaluation evaluation = [&] {
    try {
      return evaluate_coco(truth, results, how);
    } catch (const Error& error) {
      throw Error(error.code(), options.results + ": " + error.what(), error.hint());
    }
  }();
  if (evaluation.unknown_category > 0 && !common.quiet) {
    fmt::print(stderr, "note: {}: {} results of categories that {} does not list are left out\n", options.results,
               evaluation.unknown_category, options.annotations);
  }
  print(common, {evaluation});
  if (!options.cityscapes.empty()) print_cityscapes(common, evaluate_cityscapes(truth, options.cityscapes, results));
  return 0;
}

}  // namespace

int run_eval(const CommonOptions& common, const EvalOptions& options) {
  if (!options.results.empty()) {
    if (!options.weights.empty()) {
      throw Error(ExitCode::usage, "either weights or --results, not both",
                  "tessera eval --results R.json --data ANN.json");
    }
    return evaluate_results(common, options);
  }
  if (options.weights.empty() || options.images.empty()) {
    throw Error(ExitCode::usage, "weights and --images are needed (or --results)",
                "tessera eval WEIGHTS --data ANN.json --images DIR");
  }
  const std::unique_ptr<Context> context = common.context();
  const Model model = load_model(*context, options.weights);
  if (options.iou == "segm" && !model.system->predicts_masks()) {
    throw Error(ExitCode::usage, options.weights + ": this model predicts no masks", "--iou bbox");
  }
  const EvaluationSet set = read_evaluation_set(options.annotations, options.images, options.pictures);
  note_findings(common, options.annotations, set.dataset);
  check_evaluation_set(model, set);
  if (const std::string note = renamed_categories_note(model, set); !note.empty() && !common.quiet)
    fmt::print(stderr, "note: {}\n", terminal_text(note));
  PictureNotes notes(common.quiet);
  CocoResults results;
  // Always one: without a StopSignal a signal ends the process.
  const ModelEvaluation evaluation = evaluate_model(*context, model, set, notes, common.quiet, &results).value();
  if (!options.save_results.empty()) write_results(options.save_results, results);
  std::vector<CocoEvaluation> evaluations;
  if (evaluation.segm && options.iou != "bbox") evaluations.push_back(*evaluation.segm);
  if (options.iou != "segm") evaluations.push_back(evaluation.bbox);
  print(common, evaluations);
  if (!options.cityscapes.empty()) {
    print_cityscapes(common, evaluate_cityscapes(set.dataset, options.cityscapes, results));
  }
  if (!common.quiet && !common.json) {
    fmt::print("{}, {}, {:.1f} pictures/s\n", counted(evaluation.pictures, "picture"),
               counted(evaluation.detections, "detection"),
               static_cast<double>(evaluation.pictures) / std::max(evaluation.seconds, 1e-9));
  }
  return 0;
}

}  // namespace tessera
