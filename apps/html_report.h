// The report of a run or of several, as one HTML file that stands alone: pictures inside as data URIs, no script, no
// network, readable in light and dark and on a phone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/evaluation/coco_eval.h"

namespace tessera {

struct ReportRun {
  std::string name;                         // heads the column of the comparison, e.g. "k = 3"
  std::vector<CocoEvaluation> evaluations;  // masks, boxes, or both; may be empty
  double images_per_second = 0;             // in training; 0: not shown
  double training_seconds = 0;              // 0: not shown
  int64_t parameters = 0;                   // 0: not shown
};

struct ReportPicture {
  std::string label;           // "ground truth", "prediction"
  std::filesystem::path file;  // PNG, JPEG, GIF or WebP
};

// Pictures of one scene, shown side by side under one caption.
struct ReportSample {
  std::string caption;
  std::vector<ReportPicture> pictures;
};

struct Report {
  std::string title;
  std::string subtitle;            // one sentence: what ran on what
  std::vector<std::string> notes;  // paragraphs under the figures
  std::vector<ReportRun> runs;     // the first fills tiles and tables; from two on, a table compares all of them
  std::string curves;              // an <svg> (curves_svg); may be empty
  std::vector<ReportSample> samples;
  std::string memory_table;  // preformatted text
  std::string config;        // text, e.g. Config::to_json
  std::string command_line;
  std::vector<std::pair<std::string, std::string>> environment;  // "processor", "Xeon ..."
};

// Sections without content are left out. A picture that cannot be read is named in its place: a report never fails.
std::string html_report(const Report& report);

}  // namespace tessera
