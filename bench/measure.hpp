// Timing: the clock, repetitions, and what they are summed up to.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace rtl::bench {

/// Settings of one run of the program.
struct Settings {
  int threads = 1;
  bool quick = false;
  std::string device = "cpu";  ///< of the kernels; jobs run on the host
  std::string data_folder;     ///< where jobs leave inputs for their peers; empty: there are none
};

/// Seconds of processor time with one thread of the host (other programs on the machine then disturb little), else of
/// wall time.
double clock_seconds(const Settings& settings);
const char* clock_name(const Settings& settings);

/// Several timings of one thing.
struct Timings {
  std::vector<double> seconds;
  double median() const;
  double best() const;
  /// (largest - smallest) / median.
  double spread() const;
};

/// Seconds that one call takes.
double time_once(const Settings& settings, const std::function<void()>& run);

/// Repeats `run` at least `least` times and for about `budget` seconds, after one call to warm up.
Timings time_repeatedly(const Settings& settings, const std::function<void()>& run, int least, double budget);

}  // namespace rtl::bench
