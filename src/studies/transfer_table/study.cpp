// The transfer table: the library's strategies on real data, from sources that help, do not help, or do harm.
#include "studies/study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "studies/transfer_table/report.hpp"
#include "studies/transfer_table/runs.hpp"
#include "studies/transfer_table/selection.hpp"

namespace rtl::studies::transfer_table {
namespace {

class TransferTableRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {data_option(data_),
            {.name = "--minilm",
             .value = &minilm_,
             .help = "folder of all-MiniLM-L6-v2, which scripts/fetch-minilm fetches; without it, settings with this "
                     "source are left out",
             .environment = "RTL_MINILM"},
            {.name = "--part",
             .value = &part_,
             .help = "settings to run: visible, or the third that is kept aside (kept), or all",
             .choices = {"visible", "kept", "all"},
             .show_default = true},
            {.name = "--group",
             .value = &groups_,
             .help = fmt::format("{} (default: all)", fmt::join(groups(), ", ")),
             .choices = groups()},
            {.name = "--strategies",
             .value = &strategies_,
             .help = fmt::format("all that rtl strategies lists, as far as a setting allows them (default), main ({}), "
                                 "or names with options as in rtl transfer, with commas between; scratch and what "
                                 "hindsight chooses among are always run",
                                 fmt::join(main_labels(), ", "))},
            seeds_option(seeds_, "paired seeds; at most 3 with --quick"),
            state_option(state_, "settings")};
  }

  Reproduction run(const RunOptions& options) override {
    require_data(data_, "transfer-table");
    const Selection selection = Selection::of(strategies_);
    std::vector<Setting> wanted = settings(!options.full());
    std::erase_if(wanted, [&](const Setting& setting) { return !is_wanted(setting); });
    if (wanted.empty()) throw OptionError("transfer-table: no setting is in this part and these groups");
    const int seeds = options.full() ? seeds_ : std::min(seeds_, 3);
    Reproduction result{.title = "The transfer table"};
    const OutcomeStore store(state_, options);
    const std::vector<Outcome> outcomes =
        run_settings(wanted, selection.labels, {data_, minilm_}, store, seeds, options);
    result.protocol = {
        {"seeds", fmt::format("1 to {}, paired: the same rows, initial values and order of batches", seeds)},
        {"scores",
         "accuracy, or R^2 of real targets, -1 where it is below or the run diverged; diverged runs with classes score "
         "the most frequent class; gains, differences and regret in points (hundredths)"},
        {"worse and better",
         "settings whose 95 % t-interval of paired differences lies beyond zero; 2.5 % do so on each side by chance "
         "where nothing differs"},
        {"parts",
         "a third of the pairs of source and target is kept aside (kept) for rules that are made on the others "
         "(visible)"},
        {"strategies",
         "with their defaults but for what stands behind a colon; one that cannot do what a setting asks is left out "
         "there, as by rtl transfer --strategy all, and compared with scratch in the others"},
        {"samples of the source",
         "the rows that mlp:128-64 was trained on, with the same labels; none of published sources, nor where a "
         "source's features are permuted or noise"},
        {"the best", "of scratch, probe, ridge-probe and refine in each setting, with hindsight"},
        {"transferability scores",
         "of the source's features, and its head's logits, on the training rows of seed 1. Spearman's rank correlation "
         "with what the better of probe and ridge-probe (by its mean) gains over scratch, and with its accuracy or "
         "R^2: "
         "within targets, over the sources of a target and number of rows with at least three of them, then the mean; "
         "and over all settings, in which scores of different targets are set side by side"},
        {"training",
         "SGD, momentum 0.9, step size 0.05, batches of 32, weight decay 1e-4, 250, 350 or 600 steps for up to "
         "100, up to 400, or more rows; h and scratch are mlp:128-64"},
        {"sources",
         "mlp:128-64, one a source domain for all seeds; ResNets of CIFAR-10, "
         "EfficientNet-Lite0 (images of 96 x 96), MiniLM and stories260K (texts of up to 64 tokens) as published"},
        {"inputs of h",
         "the target's columns, standardised by the training rows; of amazon and office 64 "
         "principal components of all its rows, of pretrained-images and cifar100 those of the pixels, of texts mean "
         "GloVe "
         "vectors, of cortex other columns"}};
    if (minilm_.empty()) result.protocol.push_back({"left out", "settings with MiniLM: no --minilm"});
    report(outcomes, selection, result);
    result.facts["seeds"] = seeds;
    return result;
  }

 private:
  bool is_wanted(const Setting& setting) const {
    const bool of_part = part_ == "all" || setting.kept == (part_ == "kept");
    if (minilm_.empty() && setting.source == "MiniLM") return false;
    return of_part && (groups_.empty() || std::find(groups_.begin(), groups_.end(), setting.group()) != groups_.end());
  }

  std::string data_, minilm_, part_ = "all", state_;
  std::vector<std::string> groups_, strategies_{"all"};
  int seeds_ = 10;
};

}  // namespace

const Study& study() {
  static const Study one{.name = "transfer-table",
                         .summary = "Strategies on real data: what they gain over scratch, and where they do harm",
                         .quick = "a few settings of small tables, three seeds",
                         .full = "every setting",
                         .default_effort = Effort::full,
                         .takes_seed = false,
                         .begin = [] { return std::make_unique<TransferTableRun>(); }};
  return one;
}

}  // namespace rtl::studies::transfer_table
