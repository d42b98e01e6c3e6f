#include "studies/transfer_table/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "rtl/transfer/strategy.hpp"
#include "studies/study.hpp"
#include "studies/transfer_table/outcome.hpp"

namespace rtl::studies::transfer_table {
namespace {

void add_new(std::vector<std::string>& labels, const std::string& label) {
  if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(label);
}

void add_new(std::vector<std::string>& labels, const std::vector<std::string>& more) {
  for (const std::string& label : more) add_new(labels, label);
}

std::vector<std::string> library_labels() {
  std::vector<std::string> labels;
  for (const transfer::Strategy* strategy : transfer::strategies()) {
    if (strategy->info().in_all) labels.push_back(strategy->info().name);
  }
  return labels;
}

std::vector<std::string> all_labels() {
  std::vector<std::string> labels = main_labels();
  add_new(labels, library_labels());
  return labels;
}

/// What names more than one strategy.
const std::map<std::string, std::vector<std::string> (*)()>& lists() {
  static const std::map<std::string, std::vector<std::string> (*)()> all{{"main", [] { return main_labels(); }},
                                                                         {"all", all_labels}};
  return all;
}

}  // namespace

const std::vector<std::string>& main_labels() {
  static const std::vector<std::string> labels{"scratch",   "probe", "ridge-probe",   "refine",       "refine:balance",
                                               "fine-tune", "safe",  "safe:fits=two", "safe:fits=one"};
  return labels;
}

std::vector<std::string> Selection::others() const {
  std::vector<std::string> rest;
  std::copy_if(labels.begin(), labels.end(), std::back_inserter(rest), [this](const std::string& label) {
    return std::find(detailed.begin(), detailed.end(), label) == detailed.end();
  });
  return rest;
}

Selection Selection::of(const std::vector<std::string>& asked) {
  if (asked.empty()) throw OptionError("transfer-table: --strategies names none");
  Selection selection{rival_labels(), rival_labels()};
  for (const std::string& one : asked) {
    if (const auto list = lists().find(one); list != lists().end()) {
      add_new(selection.detailed, main_labels());
      add_new(selection.labels, list->second());
      continue;
    }
    try {
      transfer::parse_strategy(one);
    } catch (const ValueError& error) {
      throw OptionError(fmt::format("transfer-table: --strategies: {}; or main, or all", error.what()));
    }
    add_new(selection.labels, one);
    add_new(selection.detailed, one);
  }
  return selection;
}

}  // namespace rtl::studies::transfer_table
