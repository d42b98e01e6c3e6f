#include "studies/transfer_table/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "studies/real_domains.hpp"

namespace rtl::studies::transfer_table {
namespace {

constexpr int kept_seed = 20261129;

/// Domains that share columns: each to each other.
struct Plan {
  const char* family;
  std::vector<std::string> domains;
  std::vector<std::int64_t> rows;
  std::map<std::string, std::vector<std::int64_t>> rows_of = {};  ///< targets with numbers of their own
  bool regression = false;
};

const std::vector<Plan>& plans() {
  static const std::vector<Plan> all{
      {"wine-classes", {"red", "white"}, {50, 200, 600}},
      {"wine", {"red", "white"}, {50, 200, 600}, {}, true},
      // Of 123 patients in switzerland 8 are healthy.
      {"heart", {"cleveland", "hungarian", "switzerland", "va"}, {30, 60}, {{"switzerland", {60}}}},
      {"amazon", {"books", "dvd", "electronics", "kitchen"}, {50, 400}},
      {"sentences", {"amazon", "imdb", "yelp"}, {60, 300}},
      {"office", {"amazon", "caltech", "dslr", "webcam"}, {70, 300}, {{"dslr", {70}}, {"webcam", {70, 140}}}},
      {"digits", {"mnist", "usps", "fashion"}, {50, 400}},
      {"housing", {"<1H OCEAN", "INLAND", "NEAR BAY", "NEAR OCEAN"}, {100}, {}, true},
  };
  return all;
}

void add_pairs(std::vector<Setting>& all, const Plan& plan) {
  for (const std::string& source : plan.domains) {
    for (const std::string& target : plan.domains) {
      if (source == target) continue;
      const auto own = plan.rows_of.find(target);
      for (const std::int64_t rows : own == plan.rows_of.end() ? plan.rows : own->second) {
        all.push_back({plan.family, source, target, rows, plan.regression});
      }
    }
  }
}

void add_networks(std::vector<Setting>& all) {
  for (const char* source : {"ResNet-20", "ResNet-56"}) {
    for (const std::int64_t rows : {300, 1000}) all.push_back({"cifar100", source, "coarse", rows});
    all.push_back({"cifar100", source, "fine", 1000});
    for (const char* target : {"vehicles", "people"}) all.push_back({"cifar100", source, target, 100});
  }
  for (const char* target : {"region from neighbours", "region from other genes"}) {
    for (const std::int64_t rows : {100, 400}) all.push_back({"cortex", "cell type", target, rows});
  }
}

struct Target {
  const char* name;
  std::vector<std::int64_t> rows;
};

/// Larger networks that others have trained.
void add_pretrained(std::vector<Setting>& all) {
  static const std::vector<Target> images{{"cifar10", {50, 200, 1000, 4000}},
                                          {"coarse", {300, 1000, 4000}},
                                          {"fine", {1000, 4000}},
                                          {"vehicles", {100}},
                                          {"people", {100}},
                                          {"fashion", {50, 400}}};
  static const std::vector<Target> texts{
      {"sst2", {50, 200, 1000, 4000}}, {"trec", {100, 500, 2000}}, {"spam", {100, 400}},
      {"amazon", {60, 300}},           {"imdb", {60, 300}},        {"yelp", {60, 300}}};
  const auto add = [&](const char* family, const char* source, const std::vector<Target>& targets) {
    for (const Target& target : targets) {
      for (const std::int64_t rows : target.rows) all.push_back({family, source, target.name, rows});
    }
  };
  add("pretrained-images", "EfficientNet-Lite0", images);
  add("pretrained-texts", "MiniLM", texts);
  add("pretrained-texts", "stories260K", texts);
}

void add_useless(std::vector<Setting>& all) {
  const std::vector<Setting> targets{{"heart", "cleveland", "hungarian", 60}, {"wine-classes", "red", "white", 200},
                                     {"amazon", "books", "dvd", 400},         {"sentences", "imdb", "yelp", 300},
                                     {"digits", "usps", "mnist", 400},        {"wine", "red", "white", 200, true}};
  for (Setting setting : targets) {
    for (const Stress stress :
         {Stress::random_labels, Stress::permuted, Stress::noise_512, Stress::noise_2560, Stress::times_100}) {
      setting.stress = stress;
      all.push_back(setting);
    }
  }
}

void hold_out(std::vector<Setting>& all) {
  for (const std::string& group : groups()) {
    std::vector<std::string> pairs;
    for (const Setting& setting : all) {
      if (setting.group() == group && (pairs.empty() || pairs.back() != setting.pair())) {
        pairs.push_back(setting.pair());
      }
    }
    const std::vector<bool> kept = held_out(pairs, kept_seed);
    for (Setting& setting : all) {
      const auto at = std::find(pairs.begin(), pairs.end(), setting.pair());
      if (at != pairs.end()) setting.kept = kept[static_cast<std::size_t>(at - pairs.begin())];
    }
  }
}

/// Both directions of small tables, a regression and three useless sources.
bool is_quick(const Setting& setting) {
  const bool heart = setting.family == "heart";
  if (setting.stress != Stress::none) return heart && setting.stress != Stress::noise_2560;
  const bool first = setting.source < "i" && setting.target < "i";
  return setting.rows <= 60 &&
         (setting.group().starts_with("wine") || (heart && first) || setting.family == "sentences");
}

}  // namespace

std::string to_string(Stress stress) {
  switch (stress) {
    case Stress::none:
      return "";
    case Stress::random_labels:
      return "random labels";
    case Stress::permuted:
      return "rows permuted";
    case Stress::noise_512:
      return "noise of width 512";
    case Stress::noise_2560:
      return "noise of width 2560";
    case Stress::times_100:
      return "times 100";
  }
  return "";
}

std::string Setting::pair() const {
  return fmt::format("{}, {} to {}{}", family, source, target,
                     stress == Stress::none ? "" : ", source: " + to_string(stress));
}

std::string Setting::name() const { return fmt::format("{}, {} rows", pair(), rows); }

std::vector<std::string> groups() {
  std::vector<std::string> names;
  for (const Plan& plan : plans()) names.emplace_back(plan.family);
  for (const char* name : {"cifar100", "cortex", "pretrained-images", "pretrained-texts", "useless"})
    names.emplace_back(name);
  return names;
}

std::vector<Setting> settings(bool quick) {
  std::vector<Setting> all;
  for (const Plan& plan : plans()) add_pairs(all, plan);
  add_networks(all);
  add_pretrained(all);
  add_useless(all);
  hold_out(all);
  if (quick) std::erase_if(all, [](const Setting& setting) { return !is_quick(setting); });
  return all;
}

}  // namespace rtl::studies::transfer_table
