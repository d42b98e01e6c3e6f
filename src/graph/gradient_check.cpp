#include "rtl/graph/gradient_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"

namespace rtl::graph {
namespace {

/// sum of r * value, r standard normal.
Value random_projection(const Value& value, RandomSequence& random, const std::string& name) {
  std::vector<double> weights(static_cast<std::size_t>(value.shape().count()));
  for (double& weight : weights) weight = random.normal();
  Graph& graph = value.graph();
  return sum(multiply(value, graph.constant(name, Tensor::from(weights, value.shape(), graph.device()))));
}

class Check {
 public:
  Check(const RecordFunction& function, std::vector<Storage> inputs, const GradientCheckOptions& options, bool second)
      : inputs_(std::move(inputs)), options_(options), random_(options.seed) {
    if (inputs_.empty()) throw ValueError("gradient_check: there are no inputs");
    for (const Storage& input : inputs_) {
      if (input.dtype() != DType::f64) {
        throw DTypeError(fmt::format("gradient_check: an input is {}; f64 is needed", name_of(input.dtype())));
      }
    }
    auto graph = std::make_shared<Graph>(inputs_.front().device());
    std::vector<Value> variables;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      variables.push_back(graph->variable(fmt::format("input {}", i), inputs_[i]));
    }
    loss_ = random_projection(function(*graph, variables), random_, "weights");
    if (second) loss_ = directional_derivative(variables);
    gradients_ = gradients(loss_, variables);
    std::vector<Value> results{loss_};
    for (const Value& gradient : gradients_) {
      if (gradient.defined()) results.push_back(gradient);
    }
    execution_.emplace(std::make_shared<const Plan>(graph, results));
  }

  GradientCheck run() {
    execution_->run();
    std::vector<std::vector<double>> analytic;
    for (const Value& gradient : gradients_) {
      analytic.push_back(gradient.defined() ? host_values(execution_->view(gradient)) : std::vector<double>());
    }
    for (std::size_t i = 0; i < inputs_.size(); ++i) check_input(i, analytic[i]);
    return check_;
  }

 private:
  Value directional_derivative(std::span<const Value> variables) {
    const std::vector<Value> first = gradients(loss_, variables);
    Value total;
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (!first[i].defined()) continue;
      const Value term = random_projection(first[i], random_, fmt::format("direction {}", i));
      total = total.defined() ? add(total, term) : term;
    }
    return total;
  }

  static std::vector<double> host_values(ConstView view) {
    Tensor host(view.shape(), DType::f64, view.device().host());
    copy_bytes(view, host);
    return host.to_vector<double>();
  }

  double loss_at(Tensor& input, std::vector<double>& values, std::size_t entry, double value) {
    const double before = std::exchange(values[entry], value);
    copy_bytes(Tensor::from(values, input.shape(), input.device()), input);
    execution_->run();
    values[entry] = before;
    return host_values(execution_->view(loss_)).front();
  }

  void check_input(std::size_t index, const std::vector<double>& analytic) {
    Tensor& input = inputs_[index].tensor();
    std::vector<double> values = input.to_vector<double>();
    std::vector<std::size_t> entries(values.size());
    std::iota(entries.begin(), entries.end(), std::size_t{0});
    if (options_.entries > 0 && std::cmp_less(options_.entries, entries.size())) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(options_.entries); ++i) {
        const auto rest = static_cast<std::int64_t>(entries.size() - i);
        std::swap(entries[i], entries[i + static_cast<std::size_t>(random_.below(static_cast<std::uint64_t>(rest)))]);
      }
      entries.resize(static_cast<std::size_t>(options_.entries));
    }
    for (const std::size_t entry : entries) {
      const double above = loss_at(input, values, entry, values[entry] + options_.step);
      const double below = loss_at(input, values, entry, values[entry] - options_.step);
      compare(index, entry, analytic.empty() ? 0.0 : analytic[entry], (above - below) / (2 * options_.step));
    }
    copy_bytes(Tensor::from(values, input.shape(), input.device()), input);
  }

  void compare(std::size_t index, std::size_t entry, double analytic, double numeric) {
    ++check_.entries;
    const double error = std::abs(analytic - numeric) / std::max({1.0, std::abs(analytic), std::abs(numeric)});
    if (error <= check_.largest_error || std::isnan(check_.largest_error)) return;
    check_.largest_error = error;
    check_.where =
        fmt::format("input {}, entry {}: the gradient is {}, differences give {}", index, entry, analytic, numeric);
  }

  std::vector<Storage> inputs_;
  GradientCheckOptions options_;
  RandomSequence random_;
  Value loss_;
  std::vector<Value> gradients_;
  std::optional<Execution> execution_;
  GradientCheck check_;
};

}  // namespace

GradientCheck gradient_check(const RecordFunction& function, std::vector<Storage> inputs,
                             const GradientCheckOptions& options) {
  return Check(function, std::move(inputs), options, false).run();
}

GradientCheck second_gradient_check(const RecordFunction& function, std::vector<Storage> inputs,
                                    const GradientCheckOptions& options) {
  return Check(function, std::move(inputs), options, true).run();
}

}  // namespace rtl::graph
