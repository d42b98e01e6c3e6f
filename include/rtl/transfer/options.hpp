// Options that are described once. An options struct shows its members to a visitor:
//
//   struct RefineOptions {
//     FeatureScaling feature_scaling = FeatureScaling::raw;
//     double feature_scale = 1;
//     void visit(OptionVisitor& option) {
//       option("feature_scaling", feature_scaling, feature_scaling_choices(), "of the frozen features");
//       option("feature_scale", feature_scale, Range::above(0), "c of balance");
//     }
//   };
//
// Command-line flags, what a file records, checks and documentation are made from that.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace rtl::transfer {

/// Option values as text, by name: what a command line or a file gives.
using OptionValues = std::map<std::string, std::string>;

/// Where a number may lie.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;

  static Range above(double low) { return {.low = low, .low_open = true}; }
  static Range at_least(double low) { return {.low = low}; }
  static Range between(double low, double high) { return {.low = low, .high = high}; }
  static Range from_below(double low, double high) { return {.low = low, .high = high, .high_open = true}; }
  bool contains(double value) const;
  /// "above 0", "in [0, 1)"; empty where every number will do.
  std::string to_string() const;
};

/// One option, for help and documentation.
struct OptionInfo {
  std::string name;
  std::string default_value;
  std::vector<std::string> choices;  ///< of an enumeration or a switch (no, yes); else empty
  std::string range;                 ///< of a number
  std::string help;
};

/// The names of an enumeration's values, in their order.
using Choices = std::vector<std::string>;

/// What `visit` of an options struct calls for each member.
class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;
  void operator()(const char* name, double& value, const Range& range, const char* help);
  void operator()(const char* name, std::int64_t& value, const Range& range, const char* help);
  void operator()(const char* name, bool& value, const char* help);
  void operator()(const char* name, std::string& value, const char* help);
  /// A value with a text of its own form, of which `read` throws ValueError, naming it, for what it cannot be.
  template <typename Value>
  void operator()(const char* name, Value& value, std::string (*write)(const Value&), Value (*read)(const std::string&),
                  const char* help) {
    see({name, write(value), {}, {}, help},
        {[&] { return write(value); }, [&](const std::string& given) { value = read(given); }});
  }
  template <typename Enumeration>
  void operator()(const char* name, Enumeration& value, const Choices& choices, const char* help) {
    auto index = static_cast<std::size_t>(value);
    choose(name, index, choices, help);
    value = static_cast<Enumeration>(index);
  }

 protected:
  /// The value as text, to be looked at or replaced. `check` throws ValueError for what it cannot be.
  struct Access {
    std::function<std::string()> get;
    std::function<void(const std::string&)> set;
  };
  virtual void see(const OptionInfo& info, const Access& access) = 0;

 private:
  void choose(const char* name, std::size_t& index, const Choices& choices, const char* help);
};

namespace detail {
void fill_options(const std::function<void(OptionVisitor&)>& visit, const OptionValues& values);
void check_options(const std::function<void(OptionVisitor&)>& visit);
std::vector<OptionInfo> describe_options(const std::function<void(OptionVisitor&)>& visit);
OptionValues values_of_options(const std::function<void(OptionVisitor&)>& visit);
}  // namespace detail

/// Puts what `values` says into an options struct; names that it does not have are left to others. Throws ValueError,
/// naming option, value and what is possible.
template <typename Options>
void fill_options(Options& options, const OptionValues& values) {
  detail::fill_options([&](OptionVisitor& visitor) { options.visit(visitor); }, values);
}
/// Throws ValueError for a member outside its range, naming option, value and what is possible.
template <typename Options>
void check_options(Options options) {
  detail::check_options([&](OptionVisitor& visitor) { options.visit(visitor); });
}
/// A new options struct with what `values` says of it, as fill_options.
template <typename Options>
Options read_options(const OptionValues& values) {
  Options options;
  fill_options(options, values);
  return options;
}
template <typename Options>
std::vector<OptionInfo> describe_options() {
  Options options;
  return detail::describe_options([&](OptionVisitor& visitor) { options.visit(visitor); });
}
/// All of an options struct, as text: for hashes and files.
template <typename Options>
OptionValues option_values(Options options) {
  return detail::values_of_options([&](OptionVisitor& visitor) { options.visit(visitor); });
}

/// "feature_scale 1, feature_scaling raw", for people and protocols.
std::string to_text(const OptionValues& values);

/// A strategy without options of its own.
struct NoOptions {
  void visit(OptionVisitor&) {}
};

}  // namespace rtl::transfer
