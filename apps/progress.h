// How far a long job is, on stderr: on a terminal one live line, elsewhere a line every ten seconds, and one summary at
// the end. Jobs shorter than two seconds print nothing.
//     train  42%  420/1000  12.3 images/s  ETA 1:02  loss 1.23  lr 0.01
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tessera {

// Where a Progress writes and what it takes for the time.
struct ProgressOutput {
  std::function<double()> seconds;              // monotonic clock
  std::function<void(std::string_view)> write;  // whole lines, or the rewriting of the live one
  bool terminal = false;
  int columns = 80;  // of the terminal; the live line is cut before it would wrap

  static ProgressOutput standard_error();
};

// Not thread safe: one thread calls it.
class Progress {
 public:
  // total: steps of the whole job, 0 where not known (no percent, no ETA). start: steps done before, by a run now
  // resumed; they count in the percent but not in the rate. items_per_step, item_name: unit of the rate, e.g. 8
  // "images".
  Progress(std::string label, int64_t total, bool quiet, int64_t start = 0, double items_per_step = 1,
           std::string item_name = "");
  Progress(ProgressOutput output, std::string label, int64_t total, bool quiet, int64_t start = 0,
           double items_per_step = 1, std::string item_name = "");
  // Without finish() (an exception): the live line stays as it is, closed by a line break.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // done: steps done in all, with `start`. Cheap enough for every step. fields: "loss 1.23  lr 0.01".
  void update(int64_t done, const std::string& fields = "");
  // Replaces the live line by the summary: steps, mean rate, time taken. Later calls do nothing.
  void finish(const std::string& fields = "");

 private:
  std::string line(double rate, const std::string& fields) const;

  ProgressOutput output_;
  std::string label_;
  int64_t total_;
  bool quiet_;
  int64_t start_;
  double items_per_step_;
  std::string item_name_;

  double began_;               // seconds
  int64_t done_;               // steps
  double shown_at_;            // when the line was last written
  double rate_at_;             // when the recent rate was last brought up to date
  int64_t rate_done_;          // steps done by then
  double recent_steps_ = 0;    // steps and seconds, both fading with the same time constant:
  double recent_seconds_ = 0;  // their quotient is the recent rate
  bool live_ = false;          // a line without line break stands on the terminal
  bool finished_ = false;
};

// A line on stderr while a job may be running: on a terminal it takes the place of the live line, which comes back with
// the next update. Control characters are spelled out (terminal_text).
void print_beside_progress(const std::string& text);

// "0:07", "12:05", "3:04:05", "2d 03:04".
std::string format_duration(double seconds);

}  // namespace tessera
