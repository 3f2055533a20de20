// The curves of training runs as one SVG file that stands alone: curves.svg of a run folder, the figure of a report.
#pragma once

#include <span>
#include <string>

#include "apps/run_log.h"

namespace tessera {

struct NamedRun {
  std::string name;
  RunLog log;
};

// Panels: total loss, its parts, mask AP, box AP (AP, AP50, AP75 each), learning rate, images per second. Panels
// without a single value are left out. Any number of points, also none; values that are not finite interrupt their
// line.
std::string curves_svg(const RunLog& log);

// The same quantities, one line per run in each panel: total loss, mask AP, AP50 and AP75, box AP, learning rate. Runs
// beyond the eighth repeat colours.
std::string curves_svg(std::span<const NamedRun> runs);

}  // namespace tessera
