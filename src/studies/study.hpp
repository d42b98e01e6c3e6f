// Studies: the experiments of papers, and of our own, run again, with claims and figures that say what came out. A
// study is one folder: src/studies/NAME/study.cpp defines `const Study& study()` in namespace rtl::studies::NAME, and
// that is all that makes it known.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "rtl/core/device.hpp"
#include "rtl/core/error.hpp"
#include "studies/reproduction.hpp"

namespace rtl::studies {

/// Options ask for something that cannot be asked for.
class OptionError : public ValueError {
  using ValueError::ValueError;
};

/// How much is to be done.
enum class Effort : std::uint8_t { quick, full };

/// What is asked of every study, and what it tells its caller as it goes on: functions that are never empty.
struct RunOptions {
  Effort effort = Effort::quick;
  std::uint64_t seed = 1;
  /// The part to run alone; empty: all.
  std::string only = {};
  Device device = Device::cpu();
  /// How far it is, in [0, 1], and with what.
  std::function<void(double fraction, const std::string& text)> progress = [](double, const std::string&) {};
  /// What people should know beside the result, such as a damaged file. Called by several threads.
  std::function<void(const std::string& text)> note = [](const std::string&) {};
  /// Whether to stop, keeping what is finished. Called by several threads.
  std::function<bool()> stop = [] { return false; };
  /// From now on the folder keeps finished results ("trainings") as files that end in .json.
  std::function<void(const std::string& folder, const std::string& results)> keeps = [](const std::string&,
                                                                                        const std::string&) {};

  bool full() const { return effort == Effort::full; }
  /// Throws Error if the study is to stop.
  void check_stop() const {
    if (stop()) throw Error("the study was stopped");
  }
};

/// A part of a study that can be run alone.
struct Part {
  std::string name;
  double weight = 1;  ///< its share of the time
  std::function<void(Reproduction& result, const RunOptions& options)> run;
};

/// Runs the parts, or the one that `only` names. Throws OptionError if there is none of that name.
void run_parts(const std::vector<Part>& parts, const RunOptions& options, Reproduction& result);

/// An option of one study alone, with the variable that takes its value and has its default.
struct Option {
  std::string name;  ///< "--seeds"
  std::variant<bool*, int*, std::string*, std::vector<std::string>*, std::vector<double>*> value;
  std::string help;
  std::vector<std::string> choices = {};  ///< of texts; empty: any
  /// Of numbers.
  double least = std::numeric_limits<double>::lowest();
  double most = std::numeric_limits<double>::max();
  std::string environment = {};  ///< variable that it is taken from where it is not given
  bool show_default = false;     ///< in the help
};

// Options that several studies have. The variables have the defaults.
/// --data, or RTL_DATA in the environment: the folder of the data sets, or what `help` says of it.
Option data_option(std::string& folder, std::string help = "folder of the data sets");
/// --seeds, 2 to 1000. Without a default of its own (0) `help` says how many there are.
Option seeds_option(int& seeds, std::string help);
/// --state: the folder that keeps finished `results` ("runs").
Option state_option(std::string& folder, const std::string& results);
/// Throws OptionError that begins with `what` if there is no folder of data; `advice` stands behind it.
void require_data(const std::string& folder, const std::string& what, const std::string& advice = "");

/// One run of a study, which has its options.
class Run {
 public:
  Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  virtual ~Run() = default;

  virtual std::vector<Option> options() { return {}; }
  /// Throws OptionError for options that do not fit together, Error if it was stopped, and what the library throws.
  virtual Reproduction run(const RunOptions& options) = 0;
};

struct Study {
  std::string name;                     ///< on the command line
  std::string summary;                  ///< one line
  std::vector<std::string> parts = {};  ///< that can be run alone; none: it has one
  std::string quick;                    ///< what --quick does
  std::string full;                     ///< what --full does
  Effort default_effort = Effort::quick;
  bool takes_seed = true;     ///< of its simulations
  bool takes_device = false;  ///< otherwise it works on the host
  std::function<std::unique_ptr<Run>()> begin;
};

/// Every study, in the order of the names of their folders. Made by CMake from the files.
const std::vector<const Study*>& all();

}  // namespace rtl::studies
