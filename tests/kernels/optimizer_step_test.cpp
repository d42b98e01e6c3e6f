#include "rtl/kernels/optimizer_step.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::AdamOptions;
using kernels::OptimizerSlot;
using kernels::SgdOptions;

/// Several parameters of awkward sizes, so that a launch covers tensors of very different lengths.
const std::vector<Shape> parameters = {{1}, {31, 33}, {0}, {33}, {1025}, {3, 3, 5, 7}, {20011}};

/// Gradients and start points as inputs; weights and states as outputs with initial values, `states` a parameter.
KernelCase step_case(std::size_t states, bool positive_second, Random& random, double roundoffs) {
  KernelCase c;
  for (const Shape& shape : parameters) {
    c.inputs.push_back({"gradient", shape, random.normal(shape)});
    c.inputs.push_back({"start", shape, random.normal(shape)});
    c.outputs.push_back({"weight", shape, roundoffs, 0, random.normal(shape)});
    for (std::size_t state = 0; state < states; ++state) {
      const bool positive = positive_second && state == 1;
      c.outputs.push_back(
          {"state", shape, roundoffs, 0, positive ? random.uniform(shape, 0, 2) : random.normal(shape)});
    }
  }
  return c;
}

std::vector<OptimizerSlot> slots_of(const std::vector<View>& in, const std::vector<View>& out, std::size_t states,
                                    bool started) {
  std::vector<OptimizerSlot> slots;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const View* mine = out.data() + p * (1 + states);
    slots.push_back({mine[0], in[2 * p], states > 0 ? mine[1] : View(), states > 1 ? mine[2] : View(),
                     // Every other tensor has no start point, and so no pull.
                     started && p % 2 == 0 ? ConstView(in[2 * p + 1]) : ConstView()});
  }
  return slots;
}

struct Element {
  long double w, g, first, second, start;
  long double scale = 0;  ///< magnitudes that the weight's update adds up
};

/// Applies `update` to every element of every parameter.
template <typename Update>
std::vector<Expected> stepped(const std::vector<Reals>& in, const std::vector<Reals>& initial, std::size_t states,
                              bool started, const Update& update) {
  std::vector<Expected> out(initial.size());
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::size_t at = p * (1 + states);
    for (std::size_t i = 0; i < in[2 * p].size(); ++i) {
      const long double w = initial[at][i];
      Element e{w, in[2 * p][i], states > 0 ? initial[at + 1][i] : 0, states > 1 ? initial[at + 2][i] : 0,
                started && p % 2 == 0 ? in[2 * p + 1][i] : w};
      const long double magnitudes = std::fabs(e.w) + std::fabs(e.g) + std::fabs(e.first) + std::fabs(e.start);
      update(e);
      out[at].value.push_back(e.w);
      out[at].scale.push_back(magnitudes + e.scale);
      const long double values[] = {e.first, e.second};
      for (std::size_t state = 0; state < states; ++state) {
        out[at + 1 + state].value.push_back(values[state]);
        // The second moment adds up squares.
        out[at + 1 + state].scale.push_back(state == 0 ? magnitudes : e.second + magnitudes * magnitudes);
      }
    }
  }
  return out;
}

const bool sgd_registered = register_cases("sgd_step", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const std::string& label, const SgdOptions& o, bool first_step, bool started) {
    const std::size_t states = o.momentum != 0 ? 1 : 0;
    // Five rounded factors, as many products and sums; the scale is the sum of the magnitudes of w, g, v and start.
    KernelCase c = step_case(states, false, random, 8);
    c.label = label;
    // The first step must not read the momentum buffers.
    for (Output& output : c.outputs) {
      if (first_step && output.name == "state") output.initial.clear();
    }
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::sgd_step(device, slots_of(in, out, states, started), o, first_step);
    };
    c.reference = [=](auto& in, auto initial) {
      for (std::size_t p = 0; first_step && states > 0 && p < parameters.size(); ++p) {
        initial[2 * p + 1] = Reals(static_cast<std::size_t>(parameters[p].count()), 0);
      }
      return stepped(in, initial, states, started, [&](Element& e) {
        long double g = e.g + o.weight_decay * e.w + o.l2sp_strength * (e.w - e.start);
        if (o.momentum != 0) {
          e.first = first_step ? g : o.momentum * e.first + g;
          g = o.nesterov ? g + o.momentum * e.first : e.first;
        }
        e.w -= o.learning_rate * g;
      });
    };
    cases.push_back(c);
  };
  add("plain", {.learning_rate = 0.1}, true, false);
  add("momentum_first", {.learning_rate = 0.1, .momentum = 0.9}, true, false);
  add("momentum", {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01}, false, false);
  add("nesterov_first", {.learning_rate = 0.1, .momentum = 0.8, .nesterov = true}, true, false);
  add("nesterov", {.learning_rate = 0.1, .momentum = 0.8, .nesterov = true}, false, false);
  add("l2sp", {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.02, .l2sp_strength = 0.3}, false, true);
  add("l2sp_plain", {.learning_rate = 0.1, .l2sp_strength = 0.3}, false, true);
  return cases;
});

const bool adam_registered = register_cases("adam_step", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const std::string& label, const AdamOptions& o, std::int64_t step, bool started) {
    // As above, with a root and a quotient more.
    KernelCase c = step_case(2, true, random, 12);
    c.label = label;
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::adam_step(device, slots_of(in, out, 2, started), o, step);
    };
    c.reference = [=](auto& in, auto& initial) {
      const auto steps = static_cast<long double>(step);
      const long double correction1 = 1 - std::pow(static_cast<long double>(o.beta1), steps);
      const long double correction2 = 1 - std::pow(static_cast<long double>(o.beta2), steps);
      return stepped(in, initial, 2, started, [&](Element& e) {
        long double g = e.g + o.l2sp_strength * (e.w - e.start);
        if (!o.decoupled) g += o.weight_decay * e.w;
        if (o.decoupled) e.w *= 1 - static_cast<long double>(o.learning_rate) * o.weight_decay;
        e.first = o.beta1 * e.first + (1 - static_cast<long double>(o.beta1)) * g;
        e.second = o.beta2 * e.second + (1 - static_cast<long double>(o.beta2)) * g * g;
        const long double update = e.first / correction1 / (std::sqrt(e.second / correction2) + o.epsilon);
        e.w -= o.learning_rate * update;
        e.scale = o.learning_rate * std::fabs(update);
      });
    };
    cases.push_back(c);
  };
  add("first", {.learning_rate = 0.01}, 1, false);
  add("later", {.learning_rate = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6}, 17, false);
  add("coupled_decay", {.learning_rate = 0.01, .weight_decay = 0.1}, 3, false);
  add("adamw", {.learning_rate = 0.01, .weight_decay = 0.1, .decoupled = true}, 3, false);
  add("adamw_l2sp", {.learning_rate = 0.01, .weight_decay = 0.1, .decoupled = true, .l2sp_strength = 0.5}, 3, true);
  return cases;
});

}  // namespace
}  // namespace rtl::test
