#include "apps/curves_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/svg_chart.h"

namespace tessera {

namespace {

constexpr double kPanelWidth = 460, kPanelHeight = 270, kGap = 28, kMargin = 20;

template <typename Value>
ChartSeries train_series(const RunLog& log, std::string name, bool smooth, Value value) {
  ChartSeries series{std::move(name), {}, smooth};
  series.points.reserve(log.train.size());
  for (const TrainPoint& point : log.train) series.points.push_back({double(point.iteration), value(point)});
  return series;
}

ChartSeries total_loss(const RunLog& log, std::string name) {
  return train_series(log, std::move(name), true, [](const TrainPoint& point) { return point.loss; });
}

ChartSeries learning_rate(const RunLog& log, std::string name) {
  return train_series(log, std::move(name), false, [](const TrainPoint& point) { return point.learning_rate; });
}

ChartSeries metric(const RunLog& log, std::string series_name, OverlapKind kind, std::string_view metric_name) {
  const auto place = std::find(kCocoMetricNames.begin(), kCocoMetricNames.end(), metric_name);
  const auto index = static_cast<size_t>(place - kCocoMetricNames.begin());
  ChartSeries series{std::move(series_name), {}, false};
  for (const EvalPoint& point : log.eval) {
    const auto& values = kind == OverlapKind::segm ? point.segm : point.bbox;
    series.points.push_back({double(point.iteration), values[index]});
  }
  return series;
}

Chart precision(const RunLog& log, std::string title, OverlapKind kind) {
  Chart chart{std::move(title), "over iterations", {}};
  for (const char* name : {"AP", "AP50", "AP75"}) chart.series.push_back(metric(log, name, kind, name));
  return chart;
}

bool has_values(const ChartSeries& series) {
  return std::any_of(series.points.begin(), series.points.end(),
                     [](const ChartPoint& point) { return std::isfinite(point.y); });
}

// Two columns of panels on a ground of their own, so that the file reads well wherever it is put.
std::string figure(std::vector<Chart> charts) {
  std::erase_if(charts,
                [](const Chart& chart) { return std::none_of(chart.series.begin(), chart.series.end(), has_values); });
  const size_t columns = charts.size() == 1 ? 1 : 2, rows = std::max<size_t>(1, (charts.size() + 1) / 2);
  const double width = 2 * kMargin + double(columns) * kPanelWidth + double(columns - 1) * kGap;
  const double height = charts.empty() ? 100 : 2 * kMargin + double(rows) * kPanelHeight + double(rows - 1) * kGap;
  std::string text = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" role=\"img\" aria-label=\"Training curves\">\n{2}"
      "<style>.tc-ground{{fill:#ffffff}}@media (prefers-color-scheme:dark){{.tc-ground{{fill:#14171a}}}}</style>\n"
      "<rect class=\"tc-ground\" width=\"{0:.0f}\" height=\"{1:.0f}\" rx=\"8\"/>\n",
      width, height, svg_chart_style());
  for (size_t i = 0; i < charts.size(); ++i) {
    text += svg_chart(charts[i], kMargin + double(i % columns) * (kPanelWidth + kGap),
                      kMargin + double(i / columns) * (kPanelHeight + kGap), kPanelWidth, kPanelHeight);
  }
  if (charts.empty()) {
    fmt::format_to(std::back_inserter(text),
                   "<text class=\"tc-label\" x=\"{:.0f}\" y=\"54\" text-anchor=\"middle\">nothing logged yet</text>\n",
                   width / 2);
  }
  return text + "</svg>\n";
}

}  // namespace

std::string curves_svg(const RunLog& log) {
  std::vector<Chart> charts;
  charts.push_back({"Total loss", "over iterations", {total_loss(log, "loss")}, true, false});
  Chart parts{"Parts of the loss", "over iterations", {}};
  for (size_t i = 0; i < log.loss_names.size(); ++i) {
    ChartSeries part = train_series(log, log.loss_names[i], true, [i](const TrainPoint& point) {
      return i < point.losses.size() ? point.losses[i] : kNotLogged;
    });
    parts.series.push_back(std::move(part));
  }
  charts.push_back(std::move(parts));
  charts.push_back(precision(log, "Mask precision", OverlapKind::segm));
  charts.push_back(precision(log, "Box precision", OverlapKind::bbox));
  charts.push_back({"Learning rate", "over iterations", {learning_rate(log, "learning rate")}, true, false});
  const auto speed = [](const TrainPoint& point) { return point.images_per_second; };
  charts.push_back({"Images per second", "over iterations", {train_series(log, "images/s", true, speed)}, true, false});
  return figure(std::move(charts));
}

std::string curves_svg(std::span<const NamedRun> runs) {
  std::vector<Chart> charts = {{"Total loss", "over iterations", {}}, {"Mask AP", "over iterations", {}},
                               {"Mask AP50", "over iterations", {}},  {"Mask AP75", "over iterations", {}},
                               {"Box AP", "over iterations", {}},     {"Learning rate", "over iterations", {}}};
  for (const NamedRun& run : runs) {
    charts[0].series.push_back(total_loss(run.log, run.name));
    charts[1].series.push_back(metric(run.log, run.name, OverlapKind::segm, "AP"));
    charts[2].series.push_back(metric(run.log, run.name, OverlapKind::segm, "AP50"));
    charts[3].series.push_back(metric(run.log, run.name, OverlapKind::segm, "AP75"));
    charts[4].series.push_back(metric(run.log, run.name, OverlapKind::bbox, "AP"));
    charts[5].series.push_back(learning_rate(run.log, run.name));
  }
  return figure(std::move(charts));
}

}  // namespace tessera
