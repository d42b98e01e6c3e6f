#include "cli/stress_arguments.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include "cli/commands.hpp"
#include "cli/number_checks.hpp"
#include "rtl/transfer/useless_source.hpp"

namespace rtl::cli {
namespace {

/// What a text says that cannot be; the kind's form is said by the caller.
struct BadValue {};

double number(const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) throw BadValue();
  return value;
}

double probability(const std::string& text) {
  const double value = number(text);
  if (value < 0 || value > 1) throw BadValue();
  return value;
}

double not_negative(const std::string& text) {
  const double value = number(text);
  if (value < 0) throw BadValue();
  return value;
}

std::int64_t whole(const std::string& text, double least) {
  const double value = number(text);
  if (value < least || value > 1e12 || value != std::floor(value)) throw BadValue();
  return static_cast<std::int64_t>(value);
}

std::vector<std::string> cut(const std::string& text, char at) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

void set_confusion(Stresses& all, const std::string& value) {
  const std::vector<std::string> parts = cut(value, ',');
  if (parts.size() != 2) throw BadValue();
  all.training_rows.confusion = probability(parts[0]);
  all.training_rows.input_noise = std::hypot(all.training_rows.input_noise, not_negative(parts[1]));
}

void set_imbalance(Stresses& all, const std::string& value) {
  all.training_rows.imbalance = true;
  if (value == "published") return;
  for (const std::string& count : cut(value, '-')) all.training_rows.class_counts.push_back(whole(count, 0));
}

struct Kind {
  const char* name;
  const char* form;
  const char* help;
  void (*set)(Stresses& all, const std::string& value);
};

/// In the order in which they act.
constexpr Kind kinds[] = {
    {"imbalance", "published|N0-N1-..",
     "so many training rows of each class, drawn again and again where there are too few; published: REFINE's, of 10 "
     "or 100 classes, in proportion to the rows",
     set_imbalance},
    {"few", "N", "N training rows, of each class its share",
     [](Stresses& all, const std::string& value) { all.training_rows.few = whole(value, 1); }},
    {"confusion", "P,S",
     "with probability P the label of a class becomes its partner's (of 10 and 100 classes the pairs of REFINE, else "
     "0-1, 2-3 ..), and inputs get the noise of shift=S",
     set_confusion},
    {"shift", "S",
     "normal noise on the training inputs, not on the test's: of S deviations of the column, or on images scaled to "
     "[-1, 1] of deviation S",
     [](Stresses& all, const std::string& value) {
       all.training_rows.input_noise = std::hypot(all.training_rows.input_noise, not_negative(value));
     }},
    {"label-flips", "P", "as --label-flips P",
     [](Stresses& all, const std::string& value) { all.label_flips = probability(value); }},
    {"useless-source", "permuted|noise:WIDTH|scaled:FACTOR",
     "instead of each source features alone: its own with the rows of each part in a random order, WIDTH numbers "
     "max(0, z), z normal, or its own times a factor",
     [](Stresses& all, const std::string& value) { all.sources = value; }},
};

constexpr const char* of_sources = "useless-source";

std::string forms(bool takes_sources, bool with_help) {
  std::vector<std::string> all;
  for (const Kind& kind : kinds) {
    if (kind.name == std::string(of_sources) && !takes_sources) continue;
    all.push_back(fmt::format("{}={}", kind.name, kind.form));
    if (with_help) all.back() += fmt::format(" ({})", kind.help);
  }
  return fmt::format("{}", fmt::join(all, with_help ? "; " : ", "));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> stress_forms() {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Kind& kind : kinds) all.emplace_back(fmt::format("{}={}", kind.name, kind.form), kind.help);
  return all;
}

data::Dataset Stresses::apply(data::Dataset train) const {
  return training_rows.any() ? data::stressed(train, training_rows) : std::move(train);
}

std::vector<transfer::FrozenSource> Stresses::apply(std::vector<transfer::FrozenSource> all) const {
  if (sources.empty()) return all;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = transfer::useless_source(all[i], sources, training_rows.seed + i);
  }
  return all;
}

std::string StressArguments::text() const {
  return texts.empty() ? "" : fmt::format("{} (seed {})", fmt::join(texts, ", "), seed);
}

void StressArguments::add_to(CLI::App& command, bool takes_sources) {
  takes_sources_ = takes_sources;
  command
      .add_option("--stress", texts,
                  "make the training rows " + std::string(takes_sources ? "or the sources " : "") +
                      "worse, drawn once by --stress-seed; several may be given: " + forms(takes_sources, true))
      ->allow_extra_args(false)
      ->group("Protocol");
  command.add_option("--stress-seed", seed, "draws what --stress does")
      ->check(at_least(0))
      ->capture_default_str()
      ->group("Protocol");
}

Stresses StressArguments::parse() const {
  Stresses all;
  all.training_rows.seed = seed;
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    const std::size_t equal = std::min(text.find('='), text.size());
    const std::string name = text.substr(0, equal);
    const auto* const kind = std::find_if(std::begin(kinds), std::end(kinds), [&](const Kind& one) {
      return name == one.name && (takes_sources_ || name != of_sources);
    });
    if (kind == std::end(kinds) || equal == text.size()) {
      throw UsageError(fmt::format("--stress: '{}' is none of {}", text, forms(takes_sources_, false)));
    }
    if (!seen.insert(name).second) throw UsageError(fmt::format("--stress: {} is given twice", name));
    try {
      kind->set(all, text.substr(equal + 1));
      if (name == of_sources) all.apply({transfer::noise_source(1, 0)});
    } catch (const BadValue&) {
      throw UsageError(fmt::format("--stress: '{}' is not {}={}", text, kind->name, kind->form));
    } catch (const ValueError&) {
      throw UsageError(fmt::format("--stress: '{}' is not {}={}", text, kind->name, kind->form));
    }
  }
  return all;
}

Stresses StressArguments::parse(transfer::TrainingOptions& training) const {
  const Stresses all = parse();
  if (all.label_flips > 0 && training.label_flips > 0) {
    throw UsageError("--stress label-flips and --label-flips are the same; give one");
  }
  if (all.label_flips > 0) training.label_flips = all.label_flips;
  return all;
}

}  // namespace rtl::cli
