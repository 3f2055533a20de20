#include "apps/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "apps/markup.h"

namespace tessera {

namespace {

constexpr int kColors = 8;
constexpr std::array<const char*, kColors> kOnLight = {"#2a78d6", "#e0602c", "#12946a", "#8a4fd0",
                                                       "#c28800", "#d63f57", "#0e93a8", "#6b7280"};
constexpr std::array<const char*, kColors> kOnDark = {"#5ba4f5", "#f28a5b", "#3fc795", "#b590f0",
                                                      "#e5b43c", "#f2788a", "#45c1d4", "#9ca3af"};

constexpr double kLeft = 52, kRight = 14, kTop = 54, kBottom = 28;  // margins around the plot
constexpr int kMarkersUpTo = 40;                                    // points of a line that get a dot each

struct Range {
  double low = 0, high = 1;
  double span() const { return high - low; }
};

// Mean over `half` values on each side; fewer at the start, where the curve is steep, evenly on both sides; at the end
// only those before. NaN stays NaN.
std::vector<ChartPoint> running_mean(const std::vector<ChartPoint>& points, size_t half) {
  std::vector<double> sums(points.size() + 1, 0), counts(points.size() + 1, 0);
  for (size_t i = 0; i < points.size(); ++i) {
    const bool finite = std::isfinite(points[i].y);
    sums[i + 1] = sums[i] + (finite ? points[i].y : 0);
    counts[i + 1] = counts[i] + (finite ? 1 : 0);
  }
  std::vector<ChartPoint> means = points;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!std::isfinite(points[i].y)) continue;
    const size_t side = std::min(half, i);
    const size_t begin = i - side, end = std::min(i + side + 1, points.size());
    means[i].y = (sums[end] - sums[begin]) / (counts[end] - counts[begin]);
  }
  return means;
}

struct Line {
  std::vector<ChartPoint> points;
  int color = 0;
  bool faint = false;
};

// Vertical range of what matters: the strong lines whole; of the faint ones, so that one spike does not flatten the
// rest, all but the highest hundredth.
Range vertical_range(const std::vector<Line>& lines, bool from_zero) {
  double low = INFINITY, high = -INFINITY;
  std::vector<double> faint;
  for (const Line& line : lines) {
    for (const ChartPoint& point : line.points) {
      if (!std::isfinite(point.y)) continue;
      low = std::min(low, point.y);
      if (line.faint) {
        faint.push_back(point.y);
      } else {
        high = std::max(high, point.y);
      }
    }
  }
  if (!faint.empty()) {
    const auto place = faint.begin() + static_cast<ptrdiff_t>(static_cast<double>(faint.size() - 1) * 0.99);
    std::nth_element(faint.begin(), place, faint.end());
    high = std::max(high, *place);
  }
  if (!(low <= high)) return {0, 1};
  if (from_zero) low = std::min(low, 0.0), high = std::max(high, 0.0);
  if (!(high - low > std::abs(high) * 1e-9)) {
    const double around = high != 0 ? std::abs(high) * 0.5 : 1;
    return from_zero ? Range{low, high + around} : Range{low - around, high + around};
  }
  const double room = (high - low) * 0.06;
  return {from_zero && low == 0 ? 0 : low - room, high + room};
}

Range horizontal_range(const std::vector<ChartSeries>& series) {
  double low = INFINITY, high = -INFINITY;
  for (const ChartSeries& one : series) {
    for (const ChartPoint& point : one.points) low = std::min(low, point.x), high = std::max(high, point.x);
  }
  if (!(low <= high)) return {0, 1};
  low = std::min(low, 0.0);
  return high > low ? Range{low, high} : Range{low, low + 1};
}

std::string latest_value(const ChartSeries& series) {
  for (auto point = series.points.rbegin(); point != series.points.rend(); ++point) {
    if (!std::isfinite(point->y)) continue;
    const double size = std::abs(point->y);
    if (size >= 100) return fmt::format("{:.0f}", point->y);
    if (size >= 10) return fmt::format("{:.1f}", point->y);
    if (size >= 0.01 || size == 0) return fmt::format("{:.3f}", point->y);
    return fmt::format("{:.2g}", point->y);
  }
  return "";
}

size_t characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// The plot itself draws in a nested <svg>, whose edges cut whatever leaves the range.
class Panel {
 public:
  Panel(const Chart& chart, double width, double height)
      : chart_(chart), width_(width - kLeft - kRight), height_(height - kTop - kBottom) {
    for (size_t i = 0; i < chart.series.size(); ++i) {
      const ChartSeries& series = chart.series[i];
      const int color = static_cast<int>(i) % kColors;
      const int columns = std::max(1, static_cast<int>(width_));
      const size_t half = series.points.size() / 150;
      if (series.smooth && half > 0) {
        lines_.push_back({decimate(series.points, columns), color, true});
        lines_.push_back({decimate(running_mean(running_mean(series.points, half), half), columns / 2), color, false});
      } else {
        lines_.push_back({decimate(series.points, columns), color, false});
      }
    }
    std::stable_sort(lines_.begin(), lines_.end(), [](const Line& a, const Line& b) { return a.faint > b.faint; });
    x_ = horizontal_range(chart.series);
    y_ = vertical_range(lines_, chart.from_zero);
  }

  std::string draw(double x, double y) {
    fmt::format_to(out(), "<g transform=\"translate({:.1f} {:.1f})\">\n", x, y);
    heading();
    axes();
    fmt::format_to(out(), "<svg x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">\n", kLeft - kEdge,
                   kTop - kEdge, width_ + 2 * kEdge, height_ + 2 * kEdge);
    for (const Line& line : lines_) path(line);
    for (const Line& line : lines_) markers(line);
    text_ += "</svg>\n</g>\n";
    return std::move(text_);
  }

 private:
  static constexpr double kEdge = 4;  // a line along the edge, or a dot on it, stays whole

  std::back_insert_iterator<std::string> out() { return std::back_inserter(text_); }
  double place_x(double value) const { return (value - x_.low) / x_.span() * width_; }
  // Values far outside are brought near: renderers do not like coordinates of 1e300.
  double place_y(double value) const {
    return std::clamp(height_ - (value - y_.low) / y_.span() * height_, -height_, 2 * height_);
  }

  void heading() {
    fmt::format_to(out(), "<text class=\"tc-title\" x=\"0\" y=\"14\">{}</text>\n", escape_markup(chart_.title));
    if (!chart_.note.empty()) {
      fmt::format_to(out(), "<text class=\"tc-label\" x=\"{:.1f}\" y=\"14\" text-anchor=\"end\">{}</text>\n",
                     kLeft + width_, escape_markup(chart_.note));
    }
    double at = 0;
    for (size_t i = 0; i < chart_.series.size(); ++i) {
      const ChartSeries& series = chart_.series[i];
      const std::string value = latest_value(series), name = chart_.names_in_legend ? series.name : "latest";
      const double entry =
          16 + 6.6 * static_cast<double>(characters(name)) + 6 + 6.8 * static_cast<double>(value.size()) + 14;
      if (at > 0 && at + entry > kLeft + width_ + 14) break;  // the line is full
      fmt::format_to(out(),
                     "<rect class=\"tc-f{}\" x=\"{:.1f}\" y=\"27.5\" width=\"11\" height=\"3\" rx=\"1.5\"/>"
                     "<text class=\"tc-label\" x=\"{:.1f}\" y=\"33\">{} <tspan class=\"tc-value\">{}</tspan></text>\n",
                     i % kColors, at, at + 16, escape_markup(name), value);
      at += entry;
    }
  }

  void axes() {
    for (const double tick : round_ticks(y_.low, y_.high, 5)) {
      const double y = kTop + place_y(tick);
      fmt::format_to(out(), "<path class=\"{}\" d=\"M{:.1f} {:.1f}h{:.1f}\"/>",
                     tick == y_.low || tick == 0 ? "tc-axis" : "tc-grid", kLeft, y, width_);
      fmt::format_to(out(), "<text class=\"tc-tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                     kLeft - 8, y + 3.5, format_tick(tick));
    }
    for (const double tick : round_ticks(x_.low, x_.high, std::max(2, static_cast<int>(width_ / 80)))) {
      const double x = kLeft + place_x(tick);
      fmt::format_to(out(), "<path class=\"tc-axis\" d=\"M{:.1f} {:.1f}v4\"/>", x, kTop + height_);
      fmt::format_to(out(), "<text class=\"tc-tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x,
                     kTop + height_ + 18, format_tick(tick));
    }
  }

  void path(const Line& line) {
    std::string d;
    bool pen_down = false;
    for (const ChartPoint& point : line.points) {
      if (std::isfinite(point.y)) {
        fmt::format_to(std::back_inserter(d), "{}{:.1f} {:.1f}", pen_down ? "L" : "M", kEdge + place_x(point.x),
                       kEdge + place_y(point.y));
      }
      pen_down = std::isfinite(point.y);
    }
    if (!d.empty()) {
      fmt::format_to(out(), "<path class=\"tc-line{} tc-s{}\" d=\"{}\"/>\n", line.faint ? " tc-faint" : "", line.color,
                     d);
    }
  }

  void markers(const Line& line) {
    if (line.faint || line.points.size() > static_cast<size_t>(kMarkersUpTo)) return;
    for (const ChartPoint& point : line.points) {
      if (!std::isfinite(point.y)) continue;
      fmt::format_to(out(),
                     "<circle class=\"tc-f{0} tc-dot\" cx=\"{1:.1f}\" cy=\"{2:.1f}\" r=\"3.2\"><title>{3} {4:.4g} at "
                     "{5:.10g}</title></circle>\n",
                     line.color, kEdge + place_x(point.x), kEdge + place_y(point.y),
                     escape_markup(chart_.series[static_cast<size_t>(line.color)].name), point.y, point.x);
    }
  }

  const Chart& chart_;
  double width_, height_;  // of the plot
  std::vector<Line> lines_;
  Range x_, y_;
  std::string text_;
};

}  // namespace

std::string svg_chart(const Chart& chart, double x, double y, double width, double height) {
  return Panel(chart, width, height).draw(x, y);
}

std::string svg_chart_style() {
  std::string text =
      "<style>\n"
      ".tc-title{font:600 14px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1c2024}\n"
      ".tc-label,.tc-tick{font:11px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#5c656e}\n"
      ".tc-label{font-size:12px}\n"
      ".tc-value{fill:#1c2024;font-weight:600}\n"
      ".tc-grid,.tc-axis{fill:none;stroke:#e6e9ec;stroke-width:1}\n"
      ".tc-axis{stroke:#aeb6bd}\n"
      ".tc-line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"
      ".tc-faint{stroke-width:1;opacity:.3}\n"
      ".tc-dot{stroke:#ffffff;stroke-width:1.2}\n";
  for (int i = 0; i < kColors; ++i) {
    fmt::format_to(std::back_inserter(text), ".tc-s{0}{{stroke:{1}}}.tc-f{0}{{fill:{1}}}\n", i,
                   kOnLight[static_cast<size_t>(i)]);
  }
  text +=
      "@media (prefers-color-scheme:dark){\n"
      ".tc-title,.tc-value{fill:#e8eaed}\n"
      ".tc-label,.tc-tick{fill:#a3abb3}\n"
      ".tc-grid{stroke:#2c3238}.tc-axis{stroke:#59626b}\n"
      ".tc-dot{stroke:#14171a}\n";
  for (int i = 0; i < kColors; ++i) {
    fmt::format_to(std::back_inserter(text), ".tc-s{0}{{stroke:{1}}}.tc-f{0}{{fill:{1}}}\n", i,
                   kOnDark[static_cast<size_t>(i)]);
  }
  return text + "}\n</style>\n";
}

std::vector<double> round_ticks(double low, double high, int count) {
  const double wanted = (high - low) / std::max(1, count);
  if (!(wanted > 0) || !std::isfinite(wanted)) return {};
  const double power = std::pow(10.0, std::floor(std::log10(wanted)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= wanted * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  for (double index = std::ceil(low / step - 1e-9); index * step <= high + step * 1e-9 && ticks.size() < 100; ++index) {
    ticks.push_back(index == 0 ? 0 : index * step);
  }
  return ticks;
}

std::string format_tick(double value) {
  const double size = std::abs(value);
  if (size >= 1e6 && size < 1e9) return fmt::format("{:.6g}M", value / 1e6);
  if (size >= 10000 && size < 1e6) return fmt::format("{:.6g}k", value / 1e3);
  return fmt::format("{:.6g}", value);
}

std::vector<ChartPoint> decimate(const std::vector<ChartPoint>& points, int columns) {
  if (points.size() <= 2 * static_cast<size_t>(columns)) return points;
  const double low = points.front().x, width = (points.back().x - low) / columns;
  const auto column_of = [&](const ChartPoint& point) {
    return width > 0 ? std::min(columns - 1, static_cast<int>((point.x - low) / width)) : 0;
  };
  std::vector<ChartPoint> kept;
  for (size_t begin = 0; begin < points.size();) {
    const int column = column_of(points[begin]);
    size_t end = begin, lowest = begin, highest = begin;
    bool any = false;
    for (; end < points.size() && column_of(points[end]) == column; ++end) {
      if (!std::isfinite(points[end].y)) continue;
      if (!any || points[end].y < points[lowest].y) lowest = end;
      if (!any || points[end].y > points[highest].y) highest = end;
      any = true;
    }
    kept.push_back(points[std::min(lowest, highest)]);  // a column without a number keeps its gap
    if (lowest != highest) kept.push_back(points[std::max(lowest, highest)]);
    begin = end;
  }
  return kept;
}

}  // namespace tessera
