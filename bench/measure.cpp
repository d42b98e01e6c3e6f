#include "measure.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

namespace rtl::bench {

namespace {

bool counts_processor_time(const Settings& settings) { return settings.threads == 1 && settings.device == "cpu"; }

}  // namespace

double clock_seconds(const Settings& settings) {
  if (counts_processor_time(settings)) {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const char* clock_name(const Settings& settings) {
  return counts_processor_time(settings) ? "processor time" : "wall time";
}

double Timings::median() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Timings::best() const { return *std::min_element(seconds.begin(), seconds.end()); }

double Timings::spread() const { return (*std::max_element(seconds.begin(), seconds.end()) - best()) / median(); }

double time_once(const Settings& settings, const std::function<void()>& run) {
  const double begin = clock_seconds(settings);
  run();
  return clock_seconds(settings) - begin;
}

Timings time_repeatedly(const Settings& settings, const std::function<void()>& run, int least, double budget) {
  run();
  Timings timings;
  double total = 0;
  while (static_cast<int>(timings.seconds.size()) < least || (total < budget && timings.seconds.size() < 1000)) {
    timings.seconds.push_back(time_once(settings, run));
    total += timings.seconds.back();
  }
  return timings;
}

}  // namespace rtl::bench
