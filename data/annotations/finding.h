// What a check of a data file found: named rules, how often each was broken, and the first ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

enum class Severity { warning, error };

struct Finding {
  std::string rule;  // e.g. "duplicate-annotation-id"
  Severity severity = Severity::warning;
  std::string subject;       // what the ids count: "annotation", "image", "category", "file", ...
  int64_t count = 0;         // how often
  std::vector<int64_t> ids;  // the first few
  std::string message;       // one line about the first case and the number of all
};

// Collects findings by rule, in the order of their first case.
class FindingLog {
 public:
  static constexpr size_t kMaxIds = 5;

  // `detail()` gives the text of the first case, e.g. "uses category_id 12, which \"categories\" does not list".
  template <typename Detail>
  void report(Severity severity, std::string_view rule, std::string_view subject, int64_t id, Detail&& detail) {
    Finding& finding = find(severity, rule, subject);
    if (finding.count++ == 0) finding.message = detail();
    if (finding.ids.size() < kMaxIds) finding.ids.push_back(id);
  }
  bool has_error() const;
  // The findings with complete messages: "annotation 7 <detail> (3 annotations: 7, 9, 12)".
  std::vector<Finding> findings() const;

 private:
  Finding& find(Severity severity, std::string_view rule, std::string_view subject);

  std::vector<Finding> findings_;
};

// [{"rule", "severity", "ids", "count", "message"}], the output of `data check --json`.
std::string findings_to_json(const std::vector<Finding>& findings);

}  // namespace tessera
