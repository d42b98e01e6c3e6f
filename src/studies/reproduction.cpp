#include "studies/reproduction.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::studies {

namespace {

/// A cell of a CSV file.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

}  // namespace

const char* to_string(Relation relation) noexcept {
  switch (relation) {
    case Relation::within:
      return "within";
    case Relation::at_least:
      return "at least";
    case Relation::at_most:
      return "at most";
  }
  return "";
}

void Series::add(double at, double value) {
  x.push_back(at);
  y.push_back(value);
}

void Series::add(double at, double value, double half_bar) {
  add(at, value);
  error.push_back(half_bar);
}

void Series::add(double at, const theory::Average& average) { add(at, average.mean, 2 * average.error); }

std::vector<double> steps(double first, double last, double step) {
  const auto count = static_cast<std::size_t>(std::floor((last - first) / step + 1e-9)) + 1;
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + step * static_cast<double>(i);
  return values;
}

std::vector<double> logarithmic_steps(double first, double last, double factor) {
  std::vector<double> values = steps(0, std::log(last / first), std::log(factor));
  for (double& value : values) value = first * std::exp(value);
  return values;
}

bool Claim::passed() const noexcept {
  switch (relation) {
    case Relation::within:
      return std::abs(measured - expected) <= tolerance;
    case Relation::at_least:
      return measured >= expected - tolerance;
    case Relation::at_most:
      return measured <= expected + tolerance;
  }
  return false;
}

std::int64_t Reproduction::failed() const {
  return std::count_if(claims.begin(), claims.end(), [](const Claim& claim) { return !claim.passed(); });
}

void claim_average(Reproduction& result, const std::string& name, const std::vector<double>& draws, double formula) {
  const theory::Average mean = theory::average(draws);
  result.claims.push_back({name + ": mean of draws by formula, 1 % and four standard errors", formula, mean.mean,
                           .01 * std::abs(formula) + 4 * mean.error});
}

Json to_json(const Reproduction& reproduction) {
  Json claims = Json::array(), figures = Json::array();
  for (const Claim& claim : reproduction.claims) {
    claims.push_back({{"name", claim.name},
                      {"expected", claim.expected},
                      {"measured", claim.measured},
                      {"tolerance", claim.tolerance},
                      {"relation", to_string(claim.relation)},
                      {"passed", claim.passed()}});
  }
  for (const Figure& figure : reproduction.figures) {
    Json series = Json::array();
    for (const Series& one : figure.series) {
      series.push_back({{"name", one.name},
                        {"kind", one.kind == Series::Kind::line ? "line" : "points"},
                        {"x", one.x},
                        {"y", one.y},
                        {"error", one.error}});
    }
    figures.push_back({{"name", figure.name}, {"title", figure.title}, {"series", series}});
  }
  Json protocol = Json::object();
  for (const auto& [fact, text] : reproduction.protocol) protocol[fact] = text;
  const std::int64_t failed = reproduction.failed();
  Json json = {{"protocol", protocol},
               {"passed", static_cast<std::int64_t>(reproduction.claims.size()) - failed},
               {"failed", failed},
               {"claims", claims},
               {"figures", figures}};
  json.update(reproduction.facts);
  return json;
}

void write_csv(const std::string& folder, const Reproduction& reproduction) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw IoError(folder, "the folder cannot be made: " + error.message());
  std::string claims = "claim,measured,relation,expected,tolerance,passed\n";
  for (const Claim& claim : reproduction.claims) {
    claims += fmt::format("{},{:.17g},{},{:.17g},{:.17g},{}\n", quoted(claim.name), claim.measured,
                          to_string(claim.relation), claim.expected, claim.tolerance, claim.passed());
  }
  io::write_file(folder + "/claims.csv", claims);
  for (const Figure& figure : reproduction.figures) {
    std::string text = "series,x,y,error\n";
    for (const Series& series : figure.series) {
      for (std::size_t i = 0; i < series.x.size(); ++i) {
        text += fmt::format("{},{:.17g},{:.17g},{:.17g}\n", quoted(series.name), series.x[i], series.y[i],
                            series.error.empty() ? 0 : series.error[i]);
      }
    }
    io::write_file(folder + "/" + figure.name + ".csv", text);
  }
}

}  // namespace rtl::studies
