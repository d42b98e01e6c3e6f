#include "rtl/transfer/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"

namespace rtl::transfer {
namespace {

template <typename Number>
Number parse_number(const char* name, const std::string& text, const Range& range, const char* kind) {
  Number value{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = error == std::errc() && rest == text.data() + text.size();
  if (number && range.contains(static_cast<double>(value))) return value;
  const std::string where = range.to_string();
  throw ValueError(fmt::format("{} must be {}{}{}, not '{}'", name, kind, where.empty() ? "" : " ", where, text));
}

class Filler final : public OptionVisitor {
 public:
  explicit Filler(const OptionValues& values) : values_(values) {}

 private:
  void see(const OptionInfo& info, const Access& access) override {
    const auto found = values_.find(info.name);
    if (found != values_.end()) access.set(found->second);
  }
  const OptionValues& values_;
};

/// A value is possible if it could have been read.
class Checker final : public OptionVisitor {
  void see(const OptionInfo& /*info*/, const Access& access) override { access.set(access.get()); }
};

class Describer final : public OptionVisitor {
 public:
  std::vector<OptionInfo> all;

 private:
  void see(const OptionInfo& info, const Access& /*access*/) override { all.push_back(info); }
};

class Collector final : public OptionVisitor {
 public:
  OptionValues all;

 private:
  void see(const OptionInfo& info, const Access& access) override { all[info.name] = access.get(); }
};

}  // namespace

bool Range::contains(double value) const {
  return std::isfinite(value) && (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::to_string() const {
  const bool bounded_below = std::isfinite(low), bounded_above = std::isfinite(high);
  if (bounded_below && bounded_above) {
    return fmt::format("in {}{}, {}{}", low_open ? "(" : "[", low, high, high_open ? ")" : "]");
  }
  if (bounded_below) return fmt::format("{} {}", low_open ? "above" : "of at least", low);
  if (bounded_above) return fmt::format("{} {}", high_open ? "below" : "of at most", high);
  return {};
}

void OptionVisitor::operator()(const char* name, double& value, const Range& range, const char* help) {
  const auto text = [&] { return fmt::format("{}", value); };
  see({name, text(), {}, range.to_string(), help},
      {text, [&](const std::string& given) { value = parse_number<double>(name, given, range, "a number"); }});
}

void OptionVisitor::operator()(const char* name, std::int64_t& value, const Range& range, const char* help) {
  const auto text = [&] { return fmt::format("{}", value); };
  see({name, text(), {}, range.to_string(), help},
      {text,
       [&](const std::string& given) { value = parse_number<std::int64_t>(name, given, range, "a whole number"); }});
}

void OptionVisitor::operator()(const char* name, bool& value, const char* help) {
  auto index = static_cast<std::size_t>(value);
  choose(name, index, {"no", "yes"}, help);
  value = index == 1;
}

void OptionVisitor::operator()(const char* name, std::string& value, const char* help) {
  see({name, value, {}, {}, help}, {[&] { return value; }, [&](const std::string& given) { value = given; }});
}

void OptionVisitor::choose(const char* name, std::size_t& index, const Choices& choices, const char* help) {
  if (index >= choices.size()) {
    throw ValueError(fmt::format("{} must be one of {}, not value {}", name, joined(choices, ", "), index));
  }
  const auto set = [&](const std::string& given) {
    const auto found = std::find(choices.begin(), choices.end(), given);
    if (found == choices.end()) {
      throw ValueError(fmt::format("{} must be one of {}, not '{}'", name, joined(choices, ", "), given));
    }
    index = static_cast<std::size_t>(found - choices.begin());
  };
  see({name, choices.at(index), choices, {}, help}, {[&] { return choices.at(index); }, set});
}

std::string to_text(const OptionValues& values) {
  std::string text;
  for (const auto& [name, value] : values) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  return text;
}

namespace detail {

void fill_options(const std::function<void(OptionVisitor&)>& visit, const OptionValues& values) {
  Filler filler(values);
  visit(filler);
}

void check_options(const std::function<void(OptionVisitor&)>& visit) {
  Checker checker;
  visit(checker);
}

std::vector<OptionInfo> describe_options(const std::function<void(OptionVisitor&)>& visit) {
  Describer describer;
  visit(describer);
  return std::move(describer.all);
}

OptionValues values_of_options(const std::function<void(OptionVisitor&)>& visit) {
  Collector collector;
  visit(collector);
  return std::move(collector.all);
}

}  // namespace detail
}  // namespace rtl::transfer
