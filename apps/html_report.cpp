#include "apps/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "apps/html_style.h"
#include "apps/markup.h"
#include "apps/progress.h"
#include "data/image/decode.h"
#include "engine/core/error.h"

namespace tessera {

namespace {

constexpr int kSmallPicture = 200;  // pixels: a narrower picture is enlarged with its pixels kept

template <typename... Args>
void add(std::string& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

const char* kind_name(OverlapKind kind) { return kind == OverlapKind::segm ? "mask" : "box"; }

const CocoEvaluation* find_kind(const ReportRun& run, OverlapKind kind) {
  for (const CocoEvaluation& evaluation : run.evaluations) {
    if (evaluation.overlap == kind) return &evaluation;
  }
  return nullptr;
}

// Masks are what the system is for; boxes stand in where there are none.
const CocoEvaluation* main_evaluation(const ReportRun& run) {
  const CocoEvaluation* masks = find_kind(run, OverlapKind::segm);
  return masks != nullptr ? masks : find_kind(run, OverlapKind::bbox);
}

std::string short_value(const std::optional<double>& value) { return value ? fmt::format("{:.3f}", *value) : "n/a"; }

// Why a number of the twelve is not there.
std::string full_value(const std::optional<double>& value, size_t metric) {
  if (value) return fmt::format("{:.3f}", *value);
  switch (metric) {
    case 3:
    case 9:
      return "n/a (no small objects)";
    case 4:
    case 10:
      return "n/a (no medium objects)";
    case 5:
    case 11:
      return "n/a (no large objects)";
    default:
      return "n/a (no objects)";
  }
}

std::string count_text(int64_t count) {
  if (count >= 1'000'000) return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
  if (count >= 10'000) return fmt::format("{:.0f} k", static_cast<double>(count) / 1e3);
  return fmt::format("{}", count);
}

std::string rate_text(double rate) { return fmt::format("{:.{}f}", rate, rate >= 100 ? 0 : rate >= 10 ? 1 : 2); }

void tile(std::string& html, std::string_view value, std::string_view label) {
  add(html, "<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape_markup(value), escape_markup(label));
}

void tiles(std::string& html, const ReportRun& run) {
  std::string inner;
  if (const CocoEvaluation* evaluation = main_evaluation(run)) {
    const char* kind = kind_name(evaluation->overlap);
    for (const char* name : {"AP", "AP50", "AP75"}) {
      tile(inner, short_value(evaluation->metric(name)), fmt::format("{} {}", kind, name));
    }
    const CocoEvaluation* boxes = find_kind(run, OverlapKind::bbox);
    if (boxes != nullptr && boxes != evaluation) tile(inner, short_value(boxes->metric("AP")), "box AP");
  }
  if (run.images_per_second > 0) tile(inner, rate_text(run.images_per_second), "images/s");
  if (run.training_seconds > 0) tile(inner, format_duration(run.training_seconds), "training time");
  if (run.parameters > 0) tile(inner, count_text(run.parameters), "parameters");
  if (!inner.empty()) add(html, "<div class=\"tiles\">\n{}</div>\n", inner);
}

// The highest of the values of a row, drawn bold; none where all are the same or missing.
std::optional<double> best_of(const std::vector<std::optional<double>>& values) {
  std::optional<double> best;
  bool differ = false;
  for (const auto& value : values) {
    if (!value) continue;
    if (best && *value != *best) differ = true;
    if (!best || *value > *best) best = value;
  }
  return differ ? best : std::nullopt;
}

void comparison(std::string& html, const std::vector<ReportRun>& runs) {
  if (runs.size() < 2) return;
  html += "<section>\n<h2>Runs side by side</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th></th>";
  for (const ReportRun& run : runs) add(html, "<th class=\"number\">{}</th>", escape_markup(run.name));
  html += "</tr></thead>\n<tbody>\n";
  for (const OverlapKind kind : {OverlapKind::segm, OverlapKind::bbox}) {
    if (std::none_of(runs.begin(), runs.end(), [&](const ReportRun& run) { return find_kind(run, kind) != nullptr; })) {
      continue;
    }
    for (const char* name : {"AP", "AP50", "AP75", "APs", "APm", "APl"}) {
      std::vector<std::optional<double>> values;
      for (const ReportRun& run : runs) {
        const CocoEvaluation* evaluation = find_kind(run, kind);
        values.push_back(evaluation != nullptr ? evaluation->metric(name) : std::nullopt);
      }
      const std::optional<double> best = best_of(values);
      add(html, "<tr><th>{} {}</th>", kind_name(kind), name);
      for (const auto& value : values) {
        add(html, "<td class=\"number{}\">{}</td>", best && value == best ? " best" : "", short_value(value));
      }
      html += "</tr>\n";
    }
  }
  const auto row = [&](const char* name, auto value, auto text) {
    if (std::none_of(runs.begin(), runs.end(), [&](const ReportRun& run) { return value(run) > 0; })) return;
    add(html, "<tr><th>{}</th>", name);
    for (const ReportRun& run : runs) {
      add(html, "<td class=\"number\">{}</td>", value(run) > 0 ? text(value(run)) : std::string("n/a"));
    }
    html += "</tr>\n";
  };
  row(
      "images per second", [](const ReportRun& run) { return run.images_per_second; }, rate_text);
  row(
      "training time", [](const ReportRun& run) { return run.training_seconds; }, format_duration);
  row(
      "parameters", [](const ReportRun& run) { return run.parameters; }, count_text);
  html += "</tbody>\n</table></div>\n</section>\n";
}

void twelve_numbers(std::string& html, const ReportRun& run) {
  static constexpr std::array<const char*, 12> meaning = {"precision, mean over overlaps 0.50 to 0.95",
                                                          "precision at overlap 0.50",
                                                          "precision at overlap 0.75",
                                                          "precision, small objects (up to 32 x 32 pixels)",
                                                          "precision, medium objects",
                                                          "precision, large objects (from 96 x 96 pixels)",
                                                          "recall with 1 detection per picture",
                                                          "recall with 10 detections",
                                                          "recall with 100 detections",
                                                          "recall, small objects",
                                                          "recall, medium objects",
                                                          "recall, large objects"};
  if (run.evaluations.empty()) return;
  html += "<section>\n<h2>COCO numbers</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th></th>";
  for (const CocoEvaluation& evaluation : run.evaluations) {
    add(html, "<th class=\"number\">{}</th>",
        evaluation.overlap == OverlapKind::segm ? "masks (segm)" : "boxes (bbox)");
  }
  html += "<th>meaning</th></tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < kCocoMetricNames.size(); ++i) {
    add(html, "<tr><th>{}</th>", kCocoMetricNames[i]);
    for (const CocoEvaluation& evaluation : run.evaluations) {
      add(html, "<td class=\"number{}\">{}</td>", evaluation.metrics[i] ? "" : " soft",
          full_value(evaluation.metrics[i], i));
    }
    add(html, "<td class=\"soft\">{}</td></tr>\n", meaning[i]);
  }
  html += "</tbody>\n</table></div>\n</section>\n";
}

// Best first, categories without objects last; bars of the main kind, the number of the other kind beside them.
void categories(std::string& html, const ReportRun& run) {
  const CocoEvaluation* evaluation = main_evaluation(run);
  if (evaluation == nullptr || evaluation->per_category.empty() || evaluation->per_category[0].id == -1) return;
  const CocoEvaluation* boxes = find_kind(run, OverlapKind::bbox);
  if (boxes == evaluation) boxes = nullptr;
  std::vector<CategoryPrecision> sorted = evaluation->per_category;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return b.ap < a.ap; });
  add(html, "<section>\n<h2>AP by category <span class=\"soft\">{}</span></h2>\n<div class=\"categories\">\n",
      boxes != nullptr                           ? "masks, then boxes"
      : evaluation->overlap == OverlapKind::segm ? "masks"
                                                 : "boxes");
  for (const CategoryPrecision& category : sorted) {
    std::string other;
    if (boxes != nullptr) {
      for (const CategoryPrecision& box : boxes->per_category) {
        if (box.id == category.id) other = short_value(box.ap);
      }
    }
    add(html,
        "<div class=\"category\"><span title=\"{0}\">{0}</span><div class=\"rail\"><div class=\"bar\" "
        "style=\"width:{1:.1f}%\"></div></div><span class=\"number\">{2}</span><span class=\"number "
        "soft\">{3}</span></div>\n",
        escape_markup(category.name), 100 * std::clamp(category.ap.value_or(0), 0.0, 1.0), short_value(category.ap),
        other);
  }
  html += "</div>\n</section>\n";
}

void picture(std::string& html, const ReportPicture& picture) {
  try {
    const std::vector<uint8_t> bytes = read_bytes(picture.file);
    const ImageInfo info = probe_image(bytes, picture.file.string());
    add(html, "<figure{}><img src=\"{}\" alt=\"{}\" width=\"{}\" height=\"{}\">",
        info.width < kSmallPicture ? " class=\"small\"" : "", image_data_uri(bytes), escape_markup(picture.label),
        info.width, info.height);
  } catch (const Error& error) {
    add(html, "<figure><div class=\"missing\">{}</div>", escape_markup(error.what()));
  }
  add(html, "<figcaption>{}</figcaption></figure>\n", escape_markup(picture.label));
}

void samples(std::string& html, const std::vector<ReportSample>& all) {
  if (all.empty()) return;
  html += "<section>\n<h2>Pictures</h2>\n<div class=\"samples\">\n";
  for (const ReportSample& sample : all) {
    html += "<div>\n";
    if (!sample.caption.empty()) add(html, "<p>{}</p>\n", escape_markup(sample.caption));
    html += "<div class=\"pictures\">\n";
    for (const ReportPicture& one : sample.pictures) picture(html, one);
    html += "</div>\n</div>\n";
  }
  html += "</div>\n</section>\n";
}

void how_it_ran(std::string& html, const Report& report) {
  if (!report.command_line.empty() || !report.environment.empty()) {
    html += "<section>\n<h2>How it ran</h2>\n";
    if (!report.command_line.empty()) {
      add(html, "<pre class=\"command\">{}</pre>\n", escape_markup(report.command_line));
    }
    if (!report.environment.empty()) html += "<div class=\"scroll\"><table>\n<tbody>\n";
    for (const auto& [name, value] : report.environment) {
      add(html, "<tr><th>{}</th><td>{}</td></tr>\n", escape_markup(name), escape_markup(value));
    }
    if (!report.environment.empty()) html += "</tbody>\n</table></div>\n";
    html += "</section>\n";
  }
  if (!report.memory_table.empty()) {
    add(html, "<section>\n<h2>Memory</h2>\n<pre>{}</pre>\n</section>\n", escape_markup(report.memory_table));
  }
  if (!report.config.empty()) {
    add(html, "<section>\n<details>\n<summary>Configuration</summary>\n<pre>{}</pre>\n</details>\n</section>\n",
        escape_markup(report.config));
  }
}

}  // namespace

std::string html_report(const Report& report) {
  static const ReportRun no_run;
  const ReportRun& run = report.runs.empty() ? no_run : report.runs[0];
  std::string html;
  add(html,
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n"
      "<main>\n<h1>{0}</h1>\n",
      escape_markup(report.title), kReportStyle);
  if (!report.subtitle.empty()) add(html, "<p class=\"lead\">{}</p>\n", escape_markup(report.subtitle));
  tiles(html, run);
  if (!report.notes.empty()) {
    html += "<section>\n";
    for (const std::string& note : report.notes) add(html, "<p>{}</p>\n", escape_markup(note));
    html += "</section>\n";
  }
  comparison(html, report.runs);
  samples(html, report.samples);
  if (!report.curves.empty()) add(html, "<section class=\"curves\">\n{}</section>\n", report.curves);
  twelve_numbers(html, run);
  categories(html, run);
  how_it_ran(html, report);
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace tessera
