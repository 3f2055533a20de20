#include "data/annotations/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tessera {

Finding& FindingLog::find(Severity severity, std::string_view rule, std::string_view subject, std::string_view reason) {
  for (size_t i = 0; i < findings_.size(); ++i) {
    if (findings_[i].rule == rule && reasons_[i] == reason) return findings_[i];
  }
  findings_.push_back({std::string(rule), severity, std::string(subject), 0, {}, {}, {}});
  reasons_.emplace_back(reason);
  return findings_.back();
}

bool FindingLog::has_error() const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [](const Finding& finding) { return finding.severity == Severity::error; });
}

std::vector<Finding> FindingLog::findings() const {
  std::vector<Finding> complete = findings_;
  for (Finding& finding : complete) {
    if (finding.subject == "file") {
      finding.ids.clear();
      continue;
    }
    finding.message = fmt::format("{} {} {}", finding.subject, finding.ids[0], finding.message);
    if (finding.count == 1) continue;
    std::string ids;
    for (size_t i = 0; i < std::min(finding.ids.size(), kIdsInMessage); ++i)
      ids += (ids.empty() ? "" : ", ") + std::to_string(finding.ids[i]);
    if (finding.ids.size() > kIdsInMessage) ids += ", ...";
    finding.message += fmt::format(" ({} cases: {})", finding.count, ids);
  }
  return complete;
}

std::string findings_to_json(const std::vector<Finding>& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"rule", finding.rule},
                    {"severity", finding.severity == Severity::error ? "error" : "warning"},
                    {"ids", finding.ids},
                    {"count", finding.count},
                    {"message", finding.message}});
  }
  return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tessera
