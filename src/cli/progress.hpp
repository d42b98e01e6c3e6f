// A progress bar, on a terminal only.
#pragma once

#include <chrono>
#include <string>

namespace rtl::cli {

/// One line on standard error, drawn at most ten times a second, wiped at the end. Draws nothing where standard error
/// is not a terminal.
class ProgressBar {
 public:
  ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  /// fraction in [0, 1]; the text stands behind the bar.
  void show(double fraction, const std::string& text);
  /// "rtl: TEXT" on a line of its own, on a terminal or not.
  void note(const std::string& text);

 private:
  bool on_terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

/// "7 s", "3:05", "1:02:03".
std::string duration(double seconds);

}  // namespace rtl::cli
