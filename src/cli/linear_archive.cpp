#include "cli/linear_archive.hpp"

#include <fmt/format.h>

#include <utility>

#include "cli/commands.hpp"
#include "rtl/transfer/predictor.hpp"
#include "transfer/linear_model.hpp"

namespace rtl::cli {

void check_model_file(const std::string& option, const std::string& path) {
  if (path.empty() || path.ends_with(".safetensors")) return;
  throw UsageError(fmt::format("{}: '{}' does not end in .safetensors", option, path));
}

void write_linear_model(const std::string& path, const std::string& command, const FittedRows& fitted,
                        const Tensor& coefficients, const Tensor& intercept) {
  transfer::Task task{.regression = fitted.classes.empty(), .outputs = fitted.outputs, .names = fitted.classes};
  if (task.regression) {
    // The model predicts in the target's own units.
    task.mean.assign(static_cast<std::size_t>(task.outputs), 0);
    task.deviation.assign(static_cast<std::size_t>(task.outputs), 1);
  }
  transfer::Fitted model(command, std::move(task),
                         std::make_unique<transfer::detail::LinearModel>(coefficients, intercept));
  model.set_inputs({.columns = fitted.preprocessing});
  model.save(path);
}

}  // namespace rtl::cli
