// The commands of the program. Each function adds one subcommand; parsing it runs it.
#pragma once

#include <stdexcept>
#include "cli/command_line_classes.hpp"

namespace rtl::cli {

/// The command line asks for something that cannot be asked for: exit code 2, as for an unknown option.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

void add_decide_command(CLI::App& app);
void add_features_command(CLI::App& app);
void add_info_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_pretrain_command(CLI::App& app);
void add_predict_command(CLI::App& app);
void add_reproduce_command(CLI::App& app);
void add_scores_command(CLI::App& app);
void add_strategies_command(CLI::App& app);
void add_transfer_command(CLI::App& app);
void add_ridge_command(CLI::App& app);

}  // namespace rtl::cli
