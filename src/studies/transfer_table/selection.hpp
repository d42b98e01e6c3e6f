// Which strategies a run of the table fits, and which of them it shows setting by setting.
#pragma once

#include <string>
#include <vector>

namespace rtl::studies::transfer_table {

/// The strategies that the table is about first of all: scratch, probes, REFINE, fine-tuning, and `safe` in its forms.
const std::vector<std::string>& main_labels();

struct Selection {
  std::vector<std::string> labels;    ///< of what is fitted: scratch and its rivals, then in the order asked for
  std::vector<std::string> detailed;  ///< those of which tables of groups and of settings, and the figure, tell

  std::vector<std::string> others() const;  ///< labels without those in detail

  /// Of main (main_labels), all (these and every strategy of transfer::strategies() that `all` stands for elsewhere,
  /// with its defaults; main_labels in detail), and labels as transfer::parse_strategy takes them. Throws OptionError
  /// for what is none of these, or nothing.
  static Selection of(const std::vector<std::string>& asked);
};

}  // namespace rtl::studies::transfer_table
