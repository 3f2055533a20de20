// One panel of a figure as SVG: title, legend with the latest values, axes with ticks at round numbers, lines. Colours
// are classes (`svg_chart_style`), readable on light and dark ground. No scripts, no ids: panels can be put side by
// side in one document.
#pragma once

#include <string>
#include <vector>

namespace tessera {

struct ChartPoint {
  double x = 0, y = 0;  // a y that is not finite interrupts the line
};

struct ChartSeries {
  std::string name;
  std::vector<ChartPoint> points;  // ascending x
  bool smooth = false;             // the values light, their running mean (twice over 1/75 of them) strong
};

struct Chart {
  std::string title;
  std::string note;                 // small, beside the title: a unit, an explanation
  std::vector<ChartSeries> series;  // colours in this order, the first eight differ
  bool from_zero = true;            // the vertical axis starts at 0
  bool names_in_legend = true;      // false for a single line that the title names
};

// <g> of the panel in a box of the size given, left top at (x, y), all in user units.
std::string svg_chart(const Chart& chart, double x, double y, double width, double height);

// <style> for all panels of a document.
std::string svg_chart_style();

// Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high], about `count` of them.
std::vector<double> round_ticks(double low, double high, int count);

// "0", "0.25", "1500", "20k", "1.5M", "1e-05": the shortest text for a tick.
std::string format_tick(double value);

// At most about 2 * columns points: of each column the first lowest and highest value in their order, so that spikes
// stay.
std::vector<ChartPoint> decimate(const std::vector<ChartPoint>& points, int columns);

}  // namespace tessera
