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
  std::vector<int64_t> ids;  // of all cases
  std::string message;       // one line about the first case, the number of all and the first few ids
  std::string hint;          // something to try; may be empty
};

// Collects findings by rule, in the order of their first case.
class FindingLog {
 public:
  static constexpr size_t kIdsInMessage = 5;

  // `detail()` gives the text of the first case, e.g. "uses category_id 12, which \"categories\" does not list".
  template <typename Detail>
  void report(Severity severity, std::string_view rule, std::string_view subject, int64_t id, Detail&& detail) {
    add(find(severity, rule, subject, {}), id, detail);
  }
  // A rule that can be broken for several reasons: a finding for each of them.
  template <typename Detail>
  void report_for_reason(std::string_view rule, std::string_view subject, int64_t id, std::string_view reason,
                         std::string_view hint, Detail&& detail) {
    Finding& finding = find(Severity::error, rule, subject, reason);
    finding.hint = hint;
    add(finding, id, detail);
  }
  bool has_error() const;
  // The findings with complete messages: "annotation 7 <detail> (3 annotations: 7, 9, 12)".
  std::vector<Finding> findings() const;

 private:
  template <typename Detail>
  static void add(Finding& finding, int64_t id, Detail&& detail) {
    if (finding.count++ == 0) finding.message = detail();
    finding.ids.push_back(id);
  }
  Finding& find(Severity severity, std::string_view rule, std::string_view subject, std::string_view reason);

  std::vector<Finding> findings_;
  std::vector<std::string> reasons_;  // of the findings, "" for rules with one alone
};

// [{"rule", "severity", "ids", "count", "message"}], the output of `data check --json`.
std::string findings_to_json(const std::vector<Finding>& findings);

}  // namespace tessera
