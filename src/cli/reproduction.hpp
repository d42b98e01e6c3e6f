// What `rtl reproduce` produces: claims that pass or fail, and figures with the formula's curve and the simulated
// points.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>
#include "cli/command_line_classes.hpp"

#include "cli/html_page.hpp"
#include "cli/json_report.hpp"

namespace rtl::cli {

enum class Relation : std::uint8_t {
  within,    ///< |measured - expected| <= tolerance
  at_least,  ///< measured >= expected - tolerance
  at_most,   ///< measured <= expected + tolerance
};

struct Claim {
  std::string name;
  double expected = 0;
  double measured = 0;
  double tolerance = 0;
  Relation relation = Relation::within;
  bool passed() const noexcept;
};

struct Series {
  enum class Kind : std::uint8_t { line, points };
  std::string name;
  Kind kind = Kind::line;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> error;  ///< half the length of the bars; empty: none
};

/// first, first + step .. not beyond last; or first, first * factor ..
std::vector<double> steps(double first, double last, double step);
std::vector<double> logarithmic_steps(double first, double last, double factor);

struct Figure {
  std::string name;  ///< of its CSV file, and unique
  std::string title;
  std::string caption;
  std::string x_label;
  std::string y_label;
  bool logarithmic_x = false;
  bool logarithmic_y = false;
  std::vector<Series> series;
};

struct Reproduction {
  std::string paper;
  std::string title;
  Protocol protocol;
  std::vector<Claim> claims;
  std::vector<Figure> figures;
  /// Text with aligned columns, printed before the claims and shown in the page: {title, table}.
  std::vector<std::pair<std::string, std::string>> tables;
  std::int64_t failed() const;
};

/// Claims that the mean of draws is what a formula says, within 1 % and four standard errors.
void claim_average(Reproduction& result, const std::string& name, const std::vector<double>& draws, double formula);

/// How much is to be done.
enum class Effort : std::uint8_t { quick, full };

struct ReproductionOptions {
  Effort effort = Effort::quick;
  std::uint64_t seed = 1;
  /// Only claims and figures whose part has this name; empty: all.
  std::string only;
  std::function<void(double fraction, const std::string& text)> progress;
};

/// A part of a reproduction that can be run alone.
struct ReproductionPart {
  std::string name;
  double weight = 1;  ///< its share of the time, for the progress bar
  std::function<void(Reproduction& result, const ReproductionOptions& options)> run;
};
/// Runs the parts, or the one that `only` names. Throws UsageError if there is none of that name.
void run_parts(const std::vector<ReproductionPart>& parts, const ReproductionOptions& options, Reproduction& result);

/// Adds `rtl reproduce NAME` with the options that every study has: --quick, --full, --seed, --only, --json, --html and
/// --csv. The command prints the claims, writes the files and fails if a claim does. The options of one study alone are
/// added to what is returned.
CLI::App* add_study(CLI::App& reproduce, const std::string& name, const std::string& description,
                    std::function<Reproduction(const ReproductionOptions&)> study);

/// L2-SP transfer ("Source-Optimal Training is Transfer-Suboptimal").
void add_l2sp_study(CLI::App& reproduce);
/// Optimal feature transfer.
void add_optimal_features_study(CLI::App& reproduce);

/// {"rtl", "paper", "protocol": {FACT: TEXT}, "passed", "failed", "claims": [{"name", "expected", "measured",
/// "tolerance", "relation", "passed"}], "figures": [{"name", "title", "series": [{"name", "kind", "x", "y",
/// "error"}]}]}; the command adds "effort", "seed" and "seconds".
Json to_json(const Reproduction& reproduction);
/// check_outputs of what a study writes; to be called before its work.
void check_study_outputs(const std::string& json, const std::string& html, const std::string& csv_folder);
/// claims.csv and one file a figure (series, x, y, error) into the folder, which is made.
void write_csv(const std::string& folder, const Reproduction& reproduction);
/// Tables and claims, on standard output.
void print(const Reproduction& reproduction);
/// One self-contained page: claims, charts, protocol. Says why there are no charts if gnuplot is not there.
std::string html_report(const Reproduction& reproduction);

}  // namespace rtl::cli
