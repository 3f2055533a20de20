#include "apps/html_report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "apps/curves_svg.h"
#include "apps/markup.h"
#include "data/image/decode.h"
#include "data/image/encode.h"
#include "tests/apps/markup_check.h"

namespace tessera {
namespace {

CocoEvaluation made_up_evaluation(OverlapKind kind, double ap) {
  CocoEvaluation evaluation;
  evaluation.overlap = kind;
  evaluation.metrics.fill(ap);
  evaluation.metrics[5] = evaluation.metrics[11] = std::nullopt;
  evaluation.per_category = {{1, "disc", ap}, {2, "R&D <square>", ap + 0.25}, {3, "none", std::nullopt}};
  return evaluation;
}

Report made_up_report() {
  Report report;
  report.title = "GridMask & \"friends\" <demo>";
  report.subtitle = "120 scenes";
  report.notes = {"a < b"};
  report.runs = {{"k = 3",
                  {made_up_evaluation(OverlapKind::segm, 0.5), made_up_evaluation(OverlapKind::bbox, 0.625)},
                  8.25,
                  754,
                  1'234'567}};
  report.curves = curves_svg(RunLog{});
  report.memory_table = "weights  1 MiB\n<total>";
  report.config = "{\"a\": \"</pre><script>\"}";
  report.command_line = "tessera demo --out 'a b'";
  report.environment = {{"processor", "Made <Up>"}};
  return report;
}

TEST(HtmlReport, AnEmptyReportIsAPage) {
  const std::string html = html_report({});
  EXPECT_EQ(markup_problem(html, true), "");
  EXPECT_EQ(occurrences(html, "<section"), 0u);
}

TEST(HtmlReport, StandsAloneAndEscapes) {
  const std::string html = html_report(made_up_report());
  EXPECT_EQ(markup_problem(html, true), "");
  EXPECT_EQ(occurrences(html, "<script"), 0u);
  EXPECT_EQ(occurrences(html, "src=\"http") + occurrences(html, "href=") + occurrences(html, "url("), 0u);
  EXPECT_EQ(occurrences(html, "<title>GridMask &amp; &quot;friends&quot; &lt;demo&gt;</title>"), 1u);
  EXPECT_EQ(occurrences(html, "&lt;/pre&gt;&lt;script&gt;"), 1u);
  EXPECT_EQ(occurrences(html, "Made &lt;Up&gt;"), 1u);
}

TEST(HtmlReport, NumbersOfTheRun) {
  const std::string html = html_report(made_up_report());
  EXPECT_EQ(occurrences(html, "<b>0.500</b><span>mask AP</span>"), 1u);
  EXPECT_EQ(occurrences(html, "<b>0.625</b><span>box AP</span>"), 1u);
  EXPECT_EQ(occurrences(html, "<b>8.25</b>"), 1u);
  EXPECT_EQ(occurrences(html, "<b>12:34</b>"), 1u);
  EXPECT_EQ(occurrences(html, "<b>1.2 M</b>"), 1u);
  EXPECT_EQ(occurrences(html, "n/a (no large objects)"), 4u);
  EXPECT_EQ(occurrences(html, "Runs side by side"), 0u);
  EXPECT_LT(html.find("R&amp;D &lt;square&gt;"), html.find("\">disc")) << "best category first";
  EXPECT_LT(html.find("\">disc"), html.find("\">none")) << "undefined last";
  EXPECT_EQ(occurrences(html, "width:75.0%"), 1u);
}

TEST(HtmlReport, BoxesAloneFillTheTiles) {
  Report report = made_up_report();
  report.runs[0].evaluations.erase(report.runs[0].evaluations.begin());
  const std::string html = html_report(report);
  EXPECT_EQ(occurrences(html, "<span>box AP</span>"), 1u);
  EXPECT_EQ(occurrences(html, "mask"), 0u);
}

TEST(HtmlReport, RunsAreCompared) {
  Report report = made_up_report();
  report.runs.push_back({"k<1", {made_up_evaluation(OverlapKind::segm, 0.375)}});
  const std::string html = html_report(report);
  EXPECT_EQ(markup_problem(html, true), "");
  EXPECT_EQ(occurrences(html, "<th class=\"number\">k&lt;1</th>"), 1u);
  EXPECT_EQ(
      occurrences(html, "<tr><th>mask AP</th><td class=\"number best\">0.500</td><td class=\"number\">0.375</td>"), 1u);
  EXPECT_EQ(occurrences(html, "<tr><th>box AP</th><td class=\"number\">0.625</td><td class=\"number\">n/a</td>"), 1u)
      << "nothing to be better than";
}

TEST(HtmlReport, PicturesAreInside) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path();
  const std::filesystem::path file = folder / fmt::format("tessera-report-{}.png", getpid());
  write_png(file, Image(6, 9, {200, 30, 10}));
  Report report;
  report.samples = {{"scene & 1", {{"ground truth", file}, {"prediction", folder / "tessera-no-such-file.png"}}}};
  const std::string html = html_report(report);
  const std::string uri = image_data_uri(read_bytes(file));
  std::filesystem::remove(file);
  EXPECT_EQ(markup_problem(html, true), "");
  EXPECT_TRUE(uri.starts_with("data:image/png;base64,iVBORw0KGgo")) << "signature of PNG";
  EXPECT_EQ(occurrences(html, uri), 1u);
  EXPECT_EQ(occurrences(html, "alt=\"ground truth\" width=\"9\" height=\"6\""), 1u);
  EXPECT_EQ(occurrences(html, "<div class=\"missing\">"), 1u);
  EXPECT_GE(occurrences(html, "tessera-no-such-file.png"), 1u);
}

}  // namespace
}  // namespace tessera
