// What filters are made of while they are trained downstream: signals, memorised noise of either task, and the rest.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/kernels/gemm.hpp"
#include "studies/partial/parts.hpp"

namespace rtl::studies::partial {
namespace {

using kernels::Transpose;

/// Means over some filters.
struct Parts {
  double shared = 0, own1 = 0, own2 = 0;          ///< j <w, u> / ||u|| and so on
  double upstream = 0, downstream = 0, rest = 0;  ///< squared lengths: noise of either task's samples, first weights
};

struct Trace {
  std::vector<double> at;
  std::vector<Parts> inherited, fresh;
  double unexplained = 0;  ///< the largest entry that neither signals nor the parts of the noise have
};

double square_of_row(const Tensor& rows, std::int64_t row) {
  const std::int64_t d = rows.extent(1);
  const double* values = rows.data_as<double>() + row * d;
  double sum = 0;
  for (std::int64_t k = 0; k < d; ++k) sum += values[k] * values[k];
  return sum;
}

/// memorised' noise: [2 m, d].
Tensor noise_of(const Tensor& memorised, const Samples& samples) {
  Tensor parts({memorised.extent(1), samples.noise.extent(1)}, DType::f64, memorised.device());
  kernels::gemm(memorised.device(), Transpose::yes, Transpose::no, 1, memorised, samples.noise, 0, parts);
  return parts;
}

/// The upstream model, and the noise in it.
struct Source {
  Tensor filters, first, memorised;
};

Source train_source(const Setting& setting, std::uint64_t seed, const Device& device) {
  const std::int64_t d = setting.dimension;
  const Task task = setting.first();
  const Samples samples = draw_samples<double>(task, setting.n1, d, seed, 1, device);
  Source source{draw_filters<double>(filters_per_sign, d, .01, seed, 2, device), {}, {}};
  source.first = source.filters.clone();
  descend<double>(source.filters, task, samples,
                  {.observe = [&](int, const Tensor&, const Tensor& now) { source.memorised = now.clone(); }});
  source.memorised = noise_of(source.memorised, samples);
  return source;
}

class Observer {
 public:
  Observer(const Source& source, const Tensor& fresh, const Inheritance& start, const Samples& samples, Trace& trace)
      : source_(source), fresh_(fresh), inherited_(start.inherited), samples_(samples), trace_(trace) {}

  void look(int step, const Tensor& filters, const Tensor& memorised) {
    if (step % 5 != 0) return;
    const Tensor learnt = noise_of(memorised, samples_);
    Parts sums[2];
    double counts[2] = {};
    for (std::int64_t f = 0; f < filters.extent(0); ++f) {
      const bool inherited = inherited_[static_cast<std::size_t>(f)];
      add(f, inherited, filters, learnt, sums[inherited ? 1 : 0]);
      ++counts[inherited ? 1 : 0];
    }
    for (const int group : {0, 1}) {
      for (double Parts::*part :
           {&Parts::shared, &Parts::own1, &Parts::own2, &Parts::upstream, &Parts::downstream, &Parts::rest}) {
        sums[group].*part /= counts[group];
      }
    }
    trace_.at.push_back(step);
    trace_.fresh.push_back(sums[0]);
    trace_.inherited.push_back(sums[1]);
  }

 private:
  void add(std::int64_t f, bool inherited, const Tensor& filters, const Tensor& learnt, Parts& sum) {
    const std::int64_t d = filters.extent(1);
    const double* w = filters.data_as<double>() + f * d;
    const double sign = f < filters_per_sign ? 1 : -1;
    const Tensor& first = inherited ? source_.first : fresh_;
    sum.shared += sign * w[0];
    sum.own1 += sign * w[1];
    sum.own2 += sign * w[2];
    sum.upstream += inherited ? square_of_row(source_.memorised, f) : 0;
    sum.downstream += square_of_row(learnt, f);
    sum.rest += square_of_row(first, f);
    for (std::int64_t k = 3; k < d; ++k) {
      const double parts = first.data_as<double>()[f * d + k] + learnt.data_as<double>()[f * d + k] +
                           (inherited ? source_.memorised.data_as<double>()[f * d + k] : 0);
      trace_.unexplained = std::max(trace_.unexplained, std::abs(w[k] - parts));
    }
  }

  const Source& source_;
  const Tensor& fresh_;
  const std::vector<bool>& inherited_;
  const Samples& samples_;
  Trace& trace_;
};

Trace trace(const Setting& setting, std::uint64_t seed) {
  const Device device = Device::cpu(1);
  const std::int64_t d = setting.dimension;
  const Source source = train_source(setting, seed, device);
  const Task task = setting.second();
  const Samples samples = draw_samples<double>(task, setting.n2, d, seed, 3, device);
  const Tensor fresh = draw_filters<double>(filters_per_sign, d, .01, seed, 4, device);
  Inheritance start = inherit(source.filters, fresh, setting.alphas[0], seed);
  Trace result;
  Observer observer(source, fresh, start, samples, result);
  descend<double>(start.filters, task, samples,
                  {.observe = [&](int step, const Tensor& filters, const Tensor& memorised) {
                    observer.look(step, filters, memorised);
                  }});
  return result;
}

Figure figure_of(const Setting& setting, const Trace& trace) {
  Figure figure{.name = fmt::format("decomposition_u{}", setting.u),
                .title = fmt::format("What filters are made of, ||u|| = {}", setting.u),
                .caption =
                    "Half of the filters inherited from 400 upstream samples. Along the signals: means over "
                    "filters, by their sign; noise: root of the mean squared length of what a filter has "
                    "memorised of the samples of either task.",
                .x_label = "steps downstream",
                .y_label = "length"};
  const auto add = [&](const std::string& name, const std::vector<Parts>& parts, double Parts::*part, bool root) {
    Series series = Series::line(name);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const double value = parts[i].*part;
      series.add(trace.at[i], root ? std::sqrt(value) : value);
    }
    figure.series.push_back(series);
  };
  for (const bool inherited : {true, false}) {
    const std::string group = inherited ? "inherited, " : "fresh, ";
    const std::vector<Parts>& parts = inherited ? trace.inherited : trace.fresh;
    add(group + "u", parts, &Parts::shared, false);
    if (inherited) add(group + "v1", parts, &Parts::own1, false);
    add(group + "v2", parts, &Parts::own2, false);
    if (inherited) add(group + "upstream noise", parts, &Parts::upstream, true);
    add(group + "downstream noise", parts, &Parts::downstream, true);
  }
  return figure;
}

}  // namespace

void decomposition(Reproduction& result, const RunOptions& options) {
  TextTable table{.title = "What filters are made of",
                  .header = {"||u||", "filters", "step", "along u", "along v1", "along v2", "upstream noise",
                             "downstream noise", "first weights"},
                  .left = {1}};
  for (const double u : {.5, 1.5}) {
    options.check_stop();
    const Setting setting{.u = u};
    const Trace one = trace(setting, options.seed);
    const std::string at = fmt::format("decomposition, ||u|| {}: ", u);
    result.claims.push_back({at + "largest entry of a filter beside signals, memorised noise and first weights", 0,
                             one.unexplained, 1e-12});
    const Parts &start = one.inherited.front(), &end = one.inherited.back(), &fresh = one.fresh.back();
    result.claims.push_back({at + "the shared signal grows in inherited filters, too", 0, end.shared - start.shared, 0,
                             Relation::at_least});
    result.claims.push_back({at + "the shared signal of inherited filters, over that of fresh ones", 1,
                             end.shared / fresh.shared, 0, Relation::at_least});
    result.claims.push_back(
        {at + "what is left of the first task's own signal at the end", 1, end.own1 / start.own1, .1});
    for (const bool inherited : {true, false}) {
      for (const bool last : {false, true}) {
        const auto& parts = inherited ? one.inherited : one.fresh;
        const Parts& now = last ? parts.back() : parts.front();
        table.rows.push_back({fmt::format("{}", u), inherited ? "inherited" : "fresh",
                              fmt::format("{}", last ? one.at.back() : one.at.front()),
                              fmt::format("{:.3f}", now.shared), fmt::format("{:.3f}", now.own1),
                              fmt::format("{:.3f}", now.own2), fmt::format("{:.3f}", std::sqrt(now.upstream)),
                              fmt::format("{:.3f}", std::sqrt(now.downstream)),
                              fmt::format("{:.3f}", std::sqrt(now.rest))});
      }
    }
    result.figures.push_back(figure_of(setting, one));
  }
  result.tables.push_back(table);
}

}  // namespace rtl::studies::partial
