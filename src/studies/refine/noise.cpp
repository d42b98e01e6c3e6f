// Label flips in the source's training: table 2 of the paper.
#include "studies/refine/noise.hpp"

#include <fmt/format.h>

#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

std::string name_of(double flips) { return fmt::format("flips {:g}", flips); }

/// NoTrans, LinearProbe, Adapter, Distillation, full fine-tuning, REFINE of the paper's code (CIFAR-10, 4000 images).
std::vector<std::optional<Published>> published_for(double flips) {
  if (flips == 0) return {{{56.05, .53}}, {{65.45, .37}}, {{65.16, .16}}, {{59.62, .31}}, {}, {{65.57, .08}}};
  if (flips == .4) return {{{56.05, .64}}, {{65.54, .06}}, {{65.78, .19}}, {{57.01, .58}}, {}, {{66.23, .32}}};
  if (flips == .8) {
    return {{{56.57, .64}}, {{19.46, .75}}, {{18.49, .46}}, {{53.51, .79}}, {{52.50, 1.33}}, {{56.58, .33}}};
  }
  return {};
}

Figure figure_of(const Trials& trials, const std::vector<double>& levels) {
  Figure figure{.name = "noise",
                .title = "Accuracy by the share of the source's labels that are flipped",
                .caption = "CIFAR-10. Means over seeds with two standard errors.",
                .x_label = "share of labels flipped",
                .y_label = "test accuracy, %"};
  for (const Method& method : methods()) {
    Series series = Series::points(method.name);
    for (const double flips : levels) {
      const bool alone = std::string(method.label) == "scratch";
      series.add(flips, theory::average(trials.points(alone ? "scratch" : score_name(name_of(flips), method.label))));
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

}  // namespace

Stressed with_flips(double flips) {
  return {.name = name_of(flips),
          .images = [](const data::Dataset& images, std::uint64_t) { return images.clone(); },
          .change =
              [flips](transfer::TrainingOptions& training) {
                training.label_flips = flips;
                training.flip_each_epoch = true;
              },
          .published = published_for(flips)};
}

void claim_flips(Reproduction& result, const std::string& prefix, const Trials& trials,
                 const std::vector<double>& levels) {
  const auto difference = [&](double flips, const std::string& label, const std::string& other) {
    return trials.difference(score_name(name_of(flips), label),
                             other == "scratch" ? other : score_name(name_of(flips), other));
  };
  const std::string probe = methods()[1].label, adapter = methods()[2].label;
  claim_above(result, prefix + "80 % flips: REFINE minus Adapter", difference(.8, "refine", adapter));
  claim_above(result, prefix + "no flips: LinearProbe minus NoTrans", difference(0, probe, "scratch"));
  claim_above(result, prefix + "no flips: REFINE minus NoTrans", difference(0, "refine", "scratch"));
  for (const double flips : levels) {
    claim_no_worse(result, fmt::format("{}{:g} % flips: REFINE minus NoTrans", prefix, 100 * flips),
                   difference(flips, "refine", "scratch"));
  }
  claim_no_worse(result, prefix + "no flips: REFINE minus LinearProbe", difference(0, "refine", probe));
}

void claim_useless(Reproduction& result, const std::string& prefix, const Trials& trials) {
  const std::string probe = score_name(name_of(.8), methods()[1].label);
  claim_above(result, prefix + "80 % flips: NoTrans minus LinearProbe", trials.difference("scratch", probe));
  claim_above(result, prefix + "80 % flips: REFINE minus LinearProbe",
              trials.difference(score_name(name_of(.8), "refine"), probe));
}

void noise(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const std::vector<double> levels = options.full() ? std::vector{0.0, .4, .8} : std::vector{0.0, .8};
  std::vector<Stressed> sources;
  for (const double flips : levels) sources.push_back(with_flips(flips));
  const Trials trials = run_stressed(result, "noise", sources, runs, options);
  result.figures.push_back(figure_of(trials, levels));
  claim_useless(result, "", trials);
  if (options.full()) claim_flips(result, "", trials, levels);  // a few hundred images and three seeds say no more
}

}  // namespace rtl::studies::refine
