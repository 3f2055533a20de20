#include "apps/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "apps/terminal_text.h"

namespace tessera {

namespace {

constexpr double kSilentSeconds = 2;       // jobs shorter than this print nothing
constexpr double kTerminalInterval = 0.1;  // seconds between two live lines
constexpr double kFileInterval = 10;       // seconds between two lines of a file
constexpr double kRateInterval = 0.5;      // the recent rate takes a sample this often
constexpr double kRateMemory = 20;         // seconds over which the recent rate forgets

// Three significant digits, never an exponent: "0.0123", "1.23", "123", "12345".
std::string format_rate(double rate) {
  const int decimals = rate >= 100 ? 0 : rate >= 10 ? 1 : rate >= 1 ? 2 : rate >= 0.1 ? 3 : 4;
  return fmt::format("{:.{}f}", rate, decimals);
}

// The first `columns` characters of UTF-8 text.
std::string cut(const std::string& text, int columns) {
  size_t end = 0;
  for (int shown = 0; end < text.size(); ++end) {
    const bool starts_character = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (starts_character && shown++ == columns) break;
  }
  return text.substr(0, end);
}

}  // namespace

ProgressOutput ProgressOutput::standard_error() {
  ProgressOutput output;
  output.seconds = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  // A progress line that cannot be written is no reason to stop the job.
  output.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  output.terminal = isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (output.terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) output.columns = size.ws_col;
  return output;
}

Progress::Progress(std::string label, int64_t total, bool quiet, int64_t start, double items_per_step,
                   std::string item_name)
    : Progress(ProgressOutput::standard_error(), std::move(label), total, quiet, start, items_per_step,
               std::move(item_name)) {}

Progress::Progress(ProgressOutput output, std::string label, int64_t total, bool quiet, int64_t start,
                   double items_per_step, std::string item_name)
    : output_(std::move(output)),
      label_(std::move(label)),
      total_(total),
      quiet_(quiet),
      start_(start),
      items_per_step_(items_per_step),
      item_name_(std::move(item_name)),
      began_(output_.seconds()),
      done_(start),
      shown_at_(began_ + kSilentSeconds - (output_.terminal ? kTerminalInterval : kFileInterval)),
      rate_at_(began_),
      rate_done_(start) {}

Progress::~Progress() {
  if (live_) output_.write("\n");
}

void Progress::update(int64_t done, const std::string& fields) {
  if (quiet_ || finished_) return;
  done_ = done;
  const double now = output_.seconds();
  if (now - rate_at_ >= kRateInterval) {
    const double kept = std::exp(-(now - rate_at_) / kRateMemory);
    recent_steps_ = recent_steps_ * kept + static_cast<double>(done - rate_done_);
    recent_seconds_ = recent_seconds_ * kept + (now - rate_at_);
    rate_at_ = now;
    rate_done_ = done;
  }
  if (now - shown_at_ < (output_.terminal ? kTerminalInterval : kFileInterval)) return;
  shown_at_ = now;
  const std::string text = line(recent_seconds_ > 0 ? recent_steps_ / recent_seconds_ : 0, fields);
  if (output_.terminal) {
    output_.write("\r" + cut(text, output_.columns - 1) + "\x1b[K");
    live_ = true;
  } else {
    output_.write(text + "\n");
  }
}

void Progress::finish(const std::string& fields) {
  if (quiet_ || finished_) return;
  finished_ = true;
  const double elapsed = output_.seconds() - began_;
  if (elapsed < kSilentSeconds && !live_) return;
  std::string text = fmt::format("{}  {}", label_, done_);
  if (total_ > 0 && done_ != total_) text += fmt::format(" of {}", total_);
  if (!item_name_.empty() && items_per_step_ == 1) text += " " + item_name_;
  text += " in " + format_duration(elapsed);
  if (done_ > start_ && elapsed > 0) {
    const double rate = static_cast<double>(done_ - start_) * items_per_step_ / elapsed;
    text += fmt::format("  {}{}/s", format_rate(rate), item_name_.empty() ? "" : " " + item_name_);
  }
  if (!fields.empty()) text += "  " + fields;
  output_.write((live_ ? "\r" : "") + text + (live_ ? "\x1b[K\n" : "\n"));
  live_ = false;
}

std::string Progress::line(double rate, const std::string& fields) const {
  std::string text = label_;
  if (total_ > 0) {
    const int64_t bounded = std::clamp<int64_t>(done_, 0, total_);
    text += fmt::format("  {:3d}%  {}/{}",
                        static_cast<int>(100.0 * static_cast<double>(bounded) / static_cast<double>(total_)), done_,
                        total_);
  } else {
    text += fmt::format("  {}", done_);
  }
  if (rate > 0) {
    text += fmt::format("  {}{}/s", format_rate(rate * items_per_step_), item_name_.empty() ? "" : " " + item_name_);
    if (total_ > done_) text += "  ETA " + format_duration(static_cast<double>(total_ - done_) / rate);
  }
  if (!fields.empty()) text += "  " + fields;
  return text;
}

void print_beside_progress(const std::string& text) {
  fmt::print(stderr, "{}{}\n", isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : "", terminal_text(text));
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return fmt::format("{}d {:02}:{:02}", days, hours, minutes);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace tessera
