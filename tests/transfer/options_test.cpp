// Options that are described once: reading, checking, describing, and how strategies are named with them.
#include "rtl/transfer/options.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

enum class Colour : std::uint8_t { red, green };

struct Sample {
  double rate = 0.5;
  std::int64_t count = 3;
  bool loud = false;
  std::string word = "x";
  Colour colour = Colour::red;

  void visit(OptionVisitor& option) {
    option("rate", rate, Range::from_below(0, 1), "a rate");
    option("count", count, Range::at_least(1), "a count");
    option("loud", loud, "a switch");
    option("word", word, "a word");
    option("colour", colour, {"red", "green"}, "a choice");
  }
};

TEST(Options, AreReadFromText) {
  const auto options = read_options<Sample>(
      {{"rate", "0.25"}, {"count", "7"}, {"loud", "yes"}, {"word", "a b"}, {"colour", "green"}, {"another", "1"}});
  EXPECT_EQ(options.rate, 0.25);
  EXPECT_EQ(options.count, 7);
  EXPECT_TRUE(options.loud);
  EXPECT_EQ(options.word, "a b");
  EXPECT_EQ(options.colour, Colour::green);
  EXPECT_EQ(read_options<Sample>({}).rate, 0.5);
}

TEST(Options, TextAndBackIsExact) {
  Sample sample;
  sample.rate = 0.1 + 0.2;
  sample.colour = Colour::green;
  const OptionValues values = option_values(sample);
  EXPECT_EQ(values.size(), 5U);
  EXPECT_EQ(read_options<Sample>(values).rate, sample.rate);
  EXPECT_EQ(option_values(read_options<Sample>(values)), values);
}

TEST(Options, SayWhatIsWrong) {
  const std::pair<OptionValues, const char*> faults[] = {
      {{{"rate", "1"}}, "rate must be a number in [0, 1), not '1'"},
      {{{"rate", "nan"}}, "rate must be a number in [0, 1), not 'nan'"},
      {{{"rate", "0.5x"}}, "rate must be a number in [0, 1), not '0.5x'"},
      {{{"rate", ""}}, "rate must be a number"},
      {{{"count", "0"}}, "count must be a whole number of at least 1, not '0'"},
      {{{"count", "1.5"}}, "count must be a whole number of at least 1, not '1.5'"},
      {{{"count", "99999999999999999999"}}, "count must be a whole number"},
      {{{"loud", "maybe"}}, "loud must be one of no, yes, not 'maybe'"},
      {{{"colour", "blue"}}, "colour must be one of red, green, not 'blue'"}};
  for (const auto& [values, text] : faults) {
    try {
      read_options<Sample>(values);
      ADD_FAILURE() << text;
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  }
}

TEST(Options, AreCheckedWhereTheyStand) {
  Sample sample;
  check_options(sample);
  fill_options(sample, {{"count", "9"}, {"another", "1"}});
  EXPECT_EQ(sample.count, 9);
  EXPECT_EQ(sample.rate, 0.5);
  sample.rate = 1;
  EXPECT_THROW(check_options(sample), ValueError);
  sample.rate = 0;
  sample.colour = static_cast<Colour>(2);
  EXPECT_THROW(check_options(sample), ValueError);
  EXPECT_THROW(option_values(sample), ValueError);
}

TEST(Options, AreDescribed) {
  const std::vector<OptionInfo> all = describe_options<Sample>();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(all[0].name, "rate");
  EXPECT_EQ(all[0].default_value, "0.5");
  EXPECT_EQ(all[0].range, "in [0, 1)");
  EXPECT_EQ(all[0].help, "a rate");
  EXPECT_EQ(all[2].choices, (Choices{"no", "yes"}));
  EXPECT_EQ(all[4].default_value, "red");
  EXPECT_EQ(to_text({{"a", "1"}, {"b", "x"}}), "a 1, b x");
  EXPECT_EQ(to_text({}), "");
}

TEST(StrategyNames, CarryOptions) {
  const StrategyChoice plain = parse_strategy("refine", {{"feature_scale", "3"}, {"temperature", "9"}});
  EXPECT_EQ(plain.values, (OptionValues{{"feature_scale", "3"}}));
  const StrategyChoice chosen = parse_strategy("refine:balance:feature_scale=2", {{"feature_scale", "3"}});
  EXPECT_EQ(chosen.values, (OptionValues{{"feature_scaling", "balance"}, {"feature_scale", "2"}}));
  EXPECT_EQ(chosen.strategy->resolved(chosen.values).at("feature_scale"), "2");
  for (const char* wrong : {"refine:loud", "refine:rank=2", "refine:feature_scale=0", "refine:", "scratch:balance",
                            "nothing", "refine:feature_scaling=loud"}) {
    EXPECT_THROW(parse_strategy(wrong), ValueError) << wrong;
  }
}

TEST(StrategyList, EveryOneIsDescribed) {
  std::set<std::string> names;
  const std::vector<const Strategy*> all = strategies();
  EXPECT_EQ(all.front()->info().name, "scratch");
  for (const Strategy* strategy : all) {
    const StrategyInfo& info = strategy->info();
    SCOPED_TRACE(info.name);
    EXPECT_TRUE(names.insert(info.name).second);
    EXPECT_FALSE(info.summary.empty());
    EXPECT_FALSE(info.reference.empty());
    for (const OptionInfo& option : info.options) {
      EXPECT_FALSE(option.help.empty()) << option.name;
      EXPECT_EQ(option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string::npos);
      // The default is a value that the option can have.
      EXPECT_EQ(strategy->resolved({{option.name, option.default_value}}).at(option.name), option.default_value);
    }
  }
}

/// The program has one flag a name, beside those of a training.
TEST(StrategyList, OptionsOfOneNameTakeTheSameValues) {
  std::map<std::string, std::pair<std::string, OptionInfo>> known;
  for (const OptionInfo& option : describe_options<TrainingOptions>()) known[option.name] = {"every training", option};
  for (const Strategy* strategy : testing::library_strategies()) {
    for (const OptionInfo& option : strategy->info().options) {
      const auto [found, is_new] = known.try_emplace(option.name, strategy->info().name, option);
      if (is_new) continue;
      const auto& [owner, first] = found->second;
      const std::string both = owner + " and " + strategy->info().name + " have an option " + option.name;
      EXPECT_NE(owner, "every training") << both << ", and there is one flag for it";
      EXPECT_EQ(option.choices, first.choices) << both;
      EXPECT_EQ(option.range, first.range) << both;
    }
  }
}

}  // namespace
}  // namespace rtl::transfer
