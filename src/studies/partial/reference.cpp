#include "studies/partial/reference.hpp"

#include <cstddef>

namespace rtl::studies::partial {
namespace {

/// One setting for each value of a member.
template <typename Value>
Sweep sweep(std::string name, std::string variable, Setting setting, Value Setting::*member,
            const std::vector<Value>& values, const std::vector<double>& scratch, const std::vector<double>& transfer) {
  Sweep result{std::move(name), std::move(variable), {}, {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    setting.*member = values[i];
    result.at.push_back(static_cast<double>(values[i]));
    result.rows.push_back({setting, scratch[i], {transfer[i]}});
  }
  return result;
}

/// One setting, of which each alpha is a value.
Sweep shares(std::string name, Setting setting, const std::vector<double>& alphas, double scratch,
             const std::vector<double>& transfer) {
  setting.alphas = alphas;
  return {std::move(name), "alpha", alphas, {{setting, scratch, transfer}}};
}

}  // namespace

Sweep heat_map() {
  struct Row {
    double u;
    double scratch[4], transfer[4];
  };
  const Row rows[] = {{0, {.749, .741, .758, .755}, {.737, .701, .696, .692}},
                      {.25, {.754, .749, .762, .761}, {.743, .711, .710, .708}},
                      {.5, {.768, .764, .778, .776}, {.761, .737, .745, .747}},
                      {.75, {.786, .786, .798, .798}, {.797, .778, .797, .803}},
                      {1, {.816, .815, .825, .825}, {.832, .831, .858, .867}},
                      {1.5, {.886, .878, .890, .885}, {.910, .921, .951, .964}},
                      {2, {.941, .936, .942, .943}, {.964, .980, .991, .996}}};
  const std::int64_t samples[] = {25, 100, 400, 1200};
  Sweep result{"heat map", "N1", {}, {}};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < 4; ++i) {
      result.at.push_back(static_cast<double>(samples[i]));
      Expected& expected = result.rows.emplace_back();
      expected.setting.u = row.u, expected.setting.n1 = samples[i];
      expected.scratch = row.scratch[i], expected.transfer = {row.transfer[i]};
    }
  }
  return result;
}

std::vector<Sweep> sweeps() {
  const std::vector<double> noise = {.25, .5, 1, 2, 3, 4};
  const std::vector<std::int64_t> samples = {10, 30, 100, 300};
  return {shares("alpha, u 0.5", {.u = .5}, {.2, .5, .8, 1}, .778, {.771, .745, .731, .749}),
          shares("alpha, u 1.5", {.u = 1.5}, {.2, .5, .8, 1}, .890, {.928, .951, .954, .958}),
          sweep("upstream noise, u 1.5", "sigma_1", {.u = 1.5}, &Setting::deviation1, noise,
                std::vector<double>(6, .890), {.966, .960, .951, .928, .916, .909}),
          sweep("upstream noise, u 0.5", "sigma_1", {.u = .5}, &Setting::deviation1, noise,
                std::vector<double>(6, .778), {.741, .742, .745, .752, .760, .766}),
          sweep("dimension", "d", {.u = 1.5}, &Setting::dimension, {250, 500, 1000, 2000, 4000},
                {.980, .939, .890, .813, .701}, {.995, .980, .951, .920, .838}),
          sweep("target samples, u 1.5", "N2", {.u = 1.5}, &Setting::n2, samples, {.762, .890, .970, .999},
                {.898, .951, .986, .999}),
          sweep("target samples, u 0.4", "N2", {.u = .4}, &Setting::n2, samples, {.658, .772, .872, .955},
                {.605, .729, .834, .928}),
          sweep("private signal", "||v1||", {.u = 1}, &Setting::v1, {0, .75, 1.5, 3, 5}, std::vector<double>(5, .825),
                {.897, .883, .858, .818, .807}),
          sweep("label flips 0.1", "||u||", {.flips = .1}, &Setting::u, {0, .5, .75, 1, 1.5, 2},
                {.670, .683, .701, .718, .768, .817}, {.629, .663, .700, .744, .821, .869}),
          shares("second setting, u 2", {.u = 2, .n2 = 40, .dimension = 2000}, {.1, .2, .4, .6, .8, 1}, .916,
                 {.945, .967, .981, .988, .990, .993}),
          shares("second setting, u 0.3", {.u = .3, .v2 = 2, .n2 = 40, .dimension = 2000}, {.1, .2, .4, .6, .8, 1},
                 .832, {.832, .818, .790, .773, .776, .807})};
}

}  // namespace rtl::studies::partial
