#include "apps/curves_svg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "apps/svg_chart.h"
#include "tests/apps/markup_check.h"

namespace tessera {
namespace {

RunLog made_up_log(int points) {
  RunLog log;
  log.loss_names = {"cls", "R&D <box>"};
  for (int i = 1; i <= points; ++i) {
    TrainPoint point;
    point.iteration = i * 10;
    point.loss = 1 + std::exp(-i / 20.0);
    point.losses = {point.loss / 3, point.loss / 4};
    point.learning_rate = 0.01;
    point.images_per_second = 8;
    log.train.push_back(point);
    if (i % 50 != 0 && i != points) continue;
    EvalPoint eval{i * 10, {}, {}};
    eval.segm.fill(0.3);
    eval.bbox.fill(kNotLogged);
    log.eval.push_back(eval);
  }
  return log;
}

TEST(CurvesSvg, EmptyLog) {
  const std::string svg = curves_svg(RunLog{});
  EXPECT_EQ(markup_problem(svg, false), "") << svg;
  EXPECT_EQ(occurrences(svg, "nothing logged yet"), 1u);
  EXPECT_EQ(markup_problem(curves_svg(std::span<const NamedRun>{}), false), "");
}

TEST(CurvesSvg, PanelsThatHaveValues) {
  for (const int points : {1, 2, 300}) {
    const std::string svg = curves_svg(made_up_log(points));
    EXPECT_EQ(markup_problem(svg, false), "") << svg;
    EXPECT_EQ(occurrences(svg, "class=\"tc-title\""), 5u) << "no box evaluation, no panel for it";
    EXPECT_EQ(occurrences(svg, ">Box precision<"), 0u);
    EXPECT_EQ(occurrences(svg, "R&amp;D &lt;box&gt;"), points == 300 ? 1u : 1u + size_t(points))
        << "legend, and dots while they are few";
    EXPECT_EQ(occurrences(svg, "nan") + occurrences(svg, "inf"), 0u);
  }
}

TEST(CurvesSvg, LongLogsStaySmall) {
  const std::string svg = curves_svg(made_up_log(100'000));
  EXPECT_EQ(markup_problem(svg, false), "");
  EXPECT_LT(svg.size(), 200'000u);
}

TEST(CurvesSvg, ValuesThatAreNotFinite) {
  RunLog log = made_up_log(30);
  log.train[10].loss = std::numeric_limits<double>::quiet_NaN();
  log.train[20].loss = std::numeric_limits<double>::infinity();
  const std::string svg = curves_svg(log);
  EXPECT_EQ(occurrences(svg, "nan") + occurrences(svg, "inf"), 0u);
  const size_t begin = svg.find("d=\"", svg.find("class=\"tc-line"));
  const std::string path = svg.substr(begin, svg.find("/>", begin) - begin);
  EXPECT_EQ(occurrences(path, "M"), 3u) << "two gaps make three pieces: " << path;

  for (TrainPoint& point : log.train) point.loss = kNotLogged;
  EXPECT_EQ(occurrences(curves_svg(log), ">Total loss<"), 0u);
}

TEST(CurvesSvg, ExtremeValuesStayDrawable) {
  RunLog log = made_up_log(10);
  log.train[5].loss = 1e300;
  log.train[6].loss = -1e300;
  const std::string svg = curves_svg(log);
  EXPECT_EQ(markup_problem(svg, false), "");
  EXPECT_EQ(occurrences(svg, "nan") + occurrences(svg, "inf"), 0u);
}

TEST(CurvesSvg, RunsSideBySide) {
  const std::vector<NamedRun> runs = {{"k=1", made_up_log(300)}, {"k<3", made_up_log(20)}, {"empty", {}}};
  const std::string svg = curves_svg(runs);
  EXPECT_EQ(markup_problem(svg, false), "");
  EXPECT_EQ(occurrences(svg, "class=\"tc-title\""), 5u);
  EXPECT_GE(occurrences(svg, "k&lt;3"), 5u);
}

TEST(SvgChart, RoundTicks) {
  EXPECT_EQ(round_ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.2 * 3, 0.8, 1}));
  EXPECT_EQ(round_ticks(0, 90000, 5), (std::vector<double>{0, 20000, 40000, 60000, 80000}));
  EXPECT_EQ(round_ticks(-3, 3, 5), (std::vector<double>{-2, 0, 2}));
  EXPECT_TRUE(round_ticks(1, 1, 5).empty());
  EXPECT_LE(round_ticks(0, 1e300, 5).size(), 6u);
}

TEST(SvgChart, TickTexts) {
  EXPECT_EQ(format_tick(0), "0");
  EXPECT_EQ(format_tick(0.2 * 3), "0.6");
  EXPECT_EQ(format_tick(2000), "2000");
  EXPECT_EQ(format_tick(20000), "20k");
  EXPECT_EQ(format_tick(1500000), "1.5M");
  EXPECT_EQ(format_tick(-0.5), "-0.5");
}

TEST(SvgChart, DecimationKeepsSpikesOrderAndGaps) {
  std::vector<ChartPoint> points;
  for (int i = 0; i < 10'000; ++i) points.push_back({double(i), std::sin(i * 0.01)});
  points[1234].y = 50;
  points[7777].y = -50;
  for (int i = 5000; i < 5200; ++i) points[static_cast<size_t>(i)].y = kNotLogged;
  const std::vector<ChartPoint> kept = decimate(points, 100);
  EXPECT_LE(kept.size(), 200u);
  EXPECT_GE(kept.size(), 190u);
  double lowest = 0, highest = 0;
  int gaps = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) {
      EXPECT_GT(kept[i].x, kept[i - 1].x);
    }
    if (std::isnan(kept[i].y)) ++gaps;
    lowest = std::fmin(lowest, kept[i].y), highest = std::fmax(highest, kept[i].y);
  }
  EXPECT_EQ(highest, 50);
  EXPECT_EQ(lowest, -50);
  EXPECT_GE(gaps, 1);
  EXPECT_EQ(decimate({{1, 2}, {2, 3}}, 100).size(), 2u);
}

}  // namespace
}  // namespace tessera
