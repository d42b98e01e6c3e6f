// The settings of `rtl reproduce partial`, with the accuracies that an independent simulation of the same model gave
// (five seeds, in the second setting four).
#pragma once

#include <string>
#include <vector>

#include "studies/partial/setting.hpp"

namespace rtl::studies::partial {

/// A setting with what is expected of it.
struct Expected {
  Setting setting;
  double scratch = 0;
  std::vector<double> transfer;  ///< one an alpha
};

/// A sweep over one quantity, or over two.
struct Sweep {
  std::string name;
  std::string variable;  ///< what `at` is
  std::vector<double> at;
  std::vector<Expected> rows;
};

/// ||u|| by N1: rows of one ||u|| follow each other, `at` is N1, and then begins again.
Sweep heat_map();
/// The others.
std::vector<Sweep> sweeps();

}  // namespace rtl::studies::partial
