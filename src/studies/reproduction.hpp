// What a study finds: claims that pass or fail, and figures with the formula's curve and the simulated points.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/json.hpp"
#include "rtl/theory/simulation.hpp"

namespace rtl::studies {

using io::Json;

/// How the numbers were made, in the order in which reports show it: {"seeds", "1 to 5"}, ...
using Protocol = std::vector<std::pair<std::string, std::string>>;

enum class Relation : std::uint8_t {
  within,    ///< |measured - expected| <= tolerance
  at_least,  ///< measured >= expected - tolerance
  at_most,   ///< measured <= expected + tolerance
};
/// "within", "at least", "at most".
const char* to_string(Relation relation) noexcept;

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
  std::string name;  ///< series whose names agree up to ':' belong together: a formula and its simulation
  Kind kind = Kind::line;
  std::vector<double> x = {};
  std::vector<double> y = {};
  std::vector<double> error = {};  ///< half the length of the bars; empty: none

  static Series line(std::string name) { return {.name = std::move(name)}; }
  static Series points(std::string name) { return {.name = std::move(name), .kind = Kind::points}; }
  /// A series has errors at all of its points or at none.
  void add(double at, double value);
  void add(double at, double value, double half_bar);
  /// The mean, with two standard errors.
  void add(double at, const theory::Average& average);
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
  std::vector<Series> series = {};
};

/// Text in columns, for people.
struct TextTable {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::size_t> left = {};  ///< columns aligned left, beside the first
  std::vector<std::vector<std::string>> rows = {};
};

struct Reproduction {
  std::string title;
  Protocol protocol = {};
  std::vector<Claim> claims = {};
  std::vector<Figure> figures = {};
  std::vector<TextTable> tables = {};
  Json facts = Json::object();  ///< of this study alone, for its JSON
  std::int64_t failed() const;
};

/// Claims that the mean of draws is what a formula says, within 1 % and four standard errors.
void claim_average(Reproduction& result, const std::string& name, const std::vector<double>& draws, double formula);

/// {"protocol": {FACT: TEXT}, "passed", "failed", "claims": [{"name", "expected", "measured", "tolerance",
/// "relation", "passed"}], "figures": [{"name", "title", "series": [{"name", "kind", "x", "y", "error"}]}]}, then the
/// study's own facts.
Json to_json(const Reproduction& reproduction);
/// claims.csv and one file a figure (series, x, y, error) into the folder, which is made. Throws IoError.
void write_csv(const std::string& folder, const Reproduction& reproduction);

}  // namespace rtl::studies
