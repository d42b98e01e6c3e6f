// Every option of a training has a flag, and the flag does something.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/program.hpp"
#include "cli/strategy_list.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/transfer/strategies.hpp"
#include "support/documents.hpp"

namespace rtl::test {
namespace {

const std::string points = "csv:points.csv?label=kind";

/// Two classes that a line parts, in columns of scales 1e5 and 1e-3.
void write_points(const Workplace& place) {
  std::string text = "big,small,kind\n";
  for (int i = 0; i < 80; ++i) {
    const int a = i * 37 % 80, b = i * 53 % 80;
    text += std::to_string(100000 * a) + "," + std::to_string(0.001 * b) + "," + (a + b > 79 ? "yes" : "no") + "\n";
  }
  place.write("points.csv", text);
}

/// The flags of the members of a structure: an empty one is set by the command itself, for a stated reason. A new
/// member does not compile before it has its place here.
Words training_flags() {
  const transfer::TrainingOptions options;
  [[maybe_unused]] const auto& [epochs, batch_size, seed, learning_rate, momentum, nesterov, optimizer, weight_decay,
                                l2sp_strength, clip_norm, loss, label_smoothing, mixup, augment, ema, schedule,
                                schedule_epochs, schedule_factor, warmup_epochs, precision, label_flips,
                                flip_each_epoch, flip_seed, checkpoint, checkpoint_interval, resume, progress, notice,
                                stop] = options;
  return {"--epochs",
          "--batch-size",
          "--seed",  // and --first-seed
          "--learning-rate",
          "--momentum",
          "--nesterov",
          "--optimizer",
          "--weight-decay",
          "--l2sp-strength",
          "--clip-norm",
          "--loss",  // and --huber-delta
          "--label-smoothing",
          "--mixup",
          "--augment",
          "--ema",
          "--schedule",
          "--schedule-epochs",
          "--schedule-factor",
          "--warmup-epochs",
          "--precision",
          "--label-flips",
          "--flip-each-epoch",
          "",  // flip_seed: the seed's
          "",  // checkpoint: beside --out, or in --state
          "--checkpoint-interval",
          "--resume",
          "",   // progress: the bar
          "",   // notice: standard error
          ""};  // stop: Ctrl-C
}

Words strategy_flags() {
  const transfer::StrategyOptions options;
  [[maybe_unused]] const auto& [model, normalization, values, source_data, device, cache] = options;
  Words flags{"--model", "--normalize", "--source-data", "--device", "--feature-cache"};
  for (const transfer::Strategy* strategy : transfer::strategies()) {
    for (const transfer::OptionInfo& option : strategy->info().options) flags.push_back(cli::flag_of(option.name));
  }
  return flags;
}

TEST(TrainingFlags, EveryOptionHasOne) {
  const Workplace place;
  for (const std::string command : {"pretrain", "transfer"}) {
    const std::string help = place.run({command, "--help"}).output;
    Words flags = training_flags();
    if (command == "transfer") {
      const Words more = strategy_flags();
      flags.insert(flags.end(), more.begin(), more.end());
      flags[2] = "--first-seed";
    }
    for (const std::string& flag : flags) {
      EXPECT_NE(help.find(flag + (flag.empty() ? "" : " ")), std::string::npos) << command << " " << flag;
    }
  }
}

TEST(TrainingFlags, EachOfPretrainChangesTheResult) {
  const Workplace place;
  write_points(place);
  const auto losses = [&](const Words& more) {
    Words arguments{"pretrain", "--data", points,   "--model", "mlp:4",     "--epochs", "4",
                    "--out",    "m",      "--json", "m.json",  "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = place.run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("m.json").at("losses").get<std::vector<double>>();
  };
  const auto plain = losses({});
  const Words changes[] = {{"--nesterov"},
                           {"--l2sp-strength", "0.5"},
                           {"--schedule", "step", "--schedule-epochs", "1"},
                           {"--schedule", "step", "--schedule-epochs", "1", "--schedule-factor", "0.5"},
                           {"--schedule", "step", "--schedule-epochs", "2"},
                           {"--weight-decay", "0.5"},
                           {"--momentum", "0.5"},
                           {"--optimizer", "adamw"},
                           {"--optimizer", "schedule-free-adamw"},
                           {"--clip-norm", "0.1"},
                           {"--loss", "bce"},
                           {"--loss", "bce", "--label-smoothing", "0.2"},
                           {"--label-smoothing", "0.2"},
                           {"--mixup", "0.4"},
                           {"--warmup-epochs", "2.5"},
                           {"--precision", "bf16"},
                           {"--seed", "9"}};
  std::vector<std::vector<double>> seen{plain};
  for (const Words& change : changes) {
    const auto changed = losses(change);
    for (const auto& other : seen) EXPECT_NE(changed, other) << change[0] << " " << change.back();
    seen.push_back(changed);
  }
  EXPECT_EQ(losses({"--checkpoint-interval", "1", "--weight-decay", "0.5"}), seen[6]);
  const auto written = place.json("m.json").at("training");
  EXPECT_EQ(written.at("weight_decay"), "0.5");
  EXPECT_EQ(written.at("checkpoint_interval"), "1");
  EXPECT_EQ(written.at("nesterov"), "no");
  EXPECT_EQ(written.size(), transfer::describe_options<transfer::TrainingOptions>().size());
  // What an average changes is not the losses of training, but the weights that are kept.
  EXPECT_EQ(losses({"--ema", "0.9"}), plain);
  const std::string averaged = place.read("m");
  EXPECT_EQ(losses({}), plain);
  EXPECT_NE(place.read("m"), averaged);
  const Outcome unknown =
      place.run({"pretrain", "--data", points, "--model", "mlp:4", "--out", "m", "--precision", "f8"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.errors.find("--precision: precision must be one of f32, bf16, not 'f8'"), std::string::npos)
      << unknown.errors;
}

TEST(TrainingFlags, LossesAreForTheirTargets) {
  const Workplace place;
  write_points(place);
  const std::string real = "csv:points.csv?label=small&target=real&drop=kind";
  const auto run = [&](const std::string& data, const Words& more) {
    Words arguments{"pretrain", "--data", data,        "--model", "mlp:4",  "--epochs", "4",
                    "--out",    "m",      "--threads", "1",       "--json", "m.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return place.run(arguments);
  };
  std::vector<std::vector<double>> seen;
  for (const Words& more : {Words{}, Words{"--loss", "huber"}, Words{"--loss", "huber", "--huber-delta", "0.3"}}) {
    const Outcome outcome = run(real, more);
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    seen.push_back(place.json("m.json").at("losses").get<std::vector<double>>());
  }
  EXPECT_NE(seen[0], seen[1]);
  EXPECT_NE(seen[1], seen[2]);
  EXPECT_EQ(place.json("m.json").at("training").at("loss"), "huber");
  EXPECT_EQ(place.json("m.json").at("training").at("huber_delta"), "0.3");
  ASSERT_EQ(run(real, {"--loss", "squared"}).code, 0);
  EXPECT_EQ(place.json("m.json").at("losses").get<std::vector<double>>(), seen[0]);
  const Outcome wrong = run(real, {"--loss", "bce"}), other = run(points, {"--loss", "huber"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.errors.find("has real targets, which take squared or huber"), std::string::npos) << wrong.errors;
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.errors.find("has classes, which take cross-entropy or bce"), std::string::npos) << other.errors;
}

TEST(TrainingFlags, BadValuesAreNamed) {
  const Workplace place;
  write_points(place);
  const std::pair<Words, const char*> faults[] = {
      {{"--clip-norm", "-1"}, "--clip-norm: clip_norm must be a number of at least 0, not '-1'"},
      {{"--label-smoothing", "1"}, "--label-smoothing: label_smoothing must be a number in [0, 1), not '1'"},
      {{"--loss", "hinge"}, "--loss: loss must be one of auto, cross-entropy, bce, squared, huber, not 'hinge'"},
      {{"--huber-delta", "0"}, "--huber-delta: huber_delta must be a number above 0, not '0'"},
      {{"--ema", "x"}, "--ema: ema must be a number in [0, 1), not 'x'"},
      {{"--warmup-epochs", "-1"}, "--warmup-epochs: warmup_epochs must be a number of at least 0, not '-1'"},
      {{"--optimizer", "schedule-free-adamw", "--schedule", "step"}, "schedule-free-adamw needs constant"},
      {{"--optimizer", "schedule-free-adamw", "--ema", "0.9"}, "an average of its own"}};
  for (const auto& [flags, text] : faults) {
    Words arguments{"pretrain", "--data", points, "--model", "mlp:4", "--out", "n"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Outcome outcome = place.run(arguments);
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
  }
}

TEST(TrainingFlags, EachOfTransferChangesTheResult) {
  const Workplace place;
  write_points(place);
  ASSERT_EQ(place.run({"pretrain", "--data", points, "--model", "mlp:4", "--out", "m", "--epochs", "3"}).code, 0);
  const auto losses = [&](const Words& more) {
    Words arguments{"transfer", "--source",   "m",     "--target", points,  "--model",
                    "mlp:4",    "--strategy", "probe", "--seeds",  "1",     "--epochs",
                    "4",        "--threads",  "1",     "--json",   "r.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = place.run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("r.json").at("strategies").at(1).at("losses").get<std::vector<double>>();
  };
  std::vector<std::vector<double>> seen{losses({})};
  for (const Words& change :
       {Words{"--head-start", "pretrained"}, Words{"--probe-dropout", "0.5"}, Words{"--feature-storage", "bf16"},
        Words{"--feature-storage", "f16"}, Words{"--feature-storage", "int8"}, Words{"--precision", "bf16"},
        Words{"--head-start", "pretrained", "--l2sp-strength", "3"}, Words{"--clip-norm", "0.1"},
        Words{"--label-smoothing", "0.2"}, Words{"--mixup", "0.4"}, Words{"--warmup-epochs", "2"},
        Words{"--loss", "bce"}, Words{"--optimizer", "schedule-free-adamw"}}) {
    const auto changed = losses(change);
    for (const auto& other : seen) EXPECT_NE(changed, other) << change[0];
    seen.push_back(changed);
  }
  EXPECT_EQ(losses({"--head-start", "auto"}), seen[1]);
}

TEST(TrainingFlags, L2spActsWhereTheStartIsASourceAlone) {
  const Workplace place;
  write_points(place);
  ASSERT_EQ(place.run({"pretrain", "--data", points, "--model", "mlp:4", "--out", "m", "--epochs", "3"}).code, 0);
  const auto compared = [&](const Words& more) {
    Words arguments{"transfer", "--source", "m",        "--target", points,   "--model", "mlp:4",
                    "--seeds",  "2",        "--epochs", "4",        "--json", "r.json",  "--strategy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = place.run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("r.json");
  };
  const std::string six = "distill,fine-tune,probe,refine,ridge-probe";  // and scratch
  const auto plain = compared({six}), drawn = compared({six, "--l2sp-strength", "3"});
  ASSERT_EQ(plain.at("strategies").size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) {
    const auto& a = plain.at("strategies").at(i);
    const auto& b = drawn.at("strategies").at(i);
    const bool equal = a.at("losses") == b.at("losses") && a.at("accuracy") == b.at("accuracy");
    EXPECT_EQ(equal, a.at("name") != "fine-tune") << a.at("name");
  }
  const auto noted = [](const nlohmann::json& result, const std::string& note) {
    const auto notes = result.at("notes").get<Words>();
    return std::count(notes.begin(), notes.end(), note) == 1;
  };
  EXPECT_TRUE(
      noted(drawn,
            "L2-SP of strength 3 acts on fine-tune alone: scratch, distill, probe, refine, ridge-probe start at drawn "
            "weights, "
            "so there is no source to be drawn to."))
      << drawn.at("notes");
  EXPECT_TRUE(
      noted(compared({"probe", "--l2sp-strength", "3", "--head-start", "pretrained"}),
            "L2-SP of strength 3 acts on probe alone: scratch starts at drawn weights, so there is no source to "
            "be drawn to."));
  EXPECT_TRUE(noted(compared({"probe", "--l2sp-strength", "3"}),
                    "L2-SP of strength 3 acts on nothing here: scratch, probe start at drawn weights, so there is no "
                    "source to be drawn to."));
}

TEST(Standardize, IsTheDefaultOfVectorsAndLiesInTheFile) {
  const Workplace place;
  write_points(place);
  const Outcome made = place.run({"pretrain", "--data", points, "--model", "mlp:8", "--out", "m.safetensors",
                                  "--epochs", "60", "--batch-size", "8", "--json", "m.json"});
  ASSERT_EQ(made.code, 0) << made.errors;
  EXPECT_EQ(place.json("m.json").at("normalization"), "standardize");
  EXPECT_EQ(place.json("m.json").at("warnings"), nlohmann::json::array());
  EXPECT_GT(place.json("m.json").at("test_accuracy").get<double>(), 0.8);
  ASSERT_EQ(place.run({"inspect", "m.safetensors", "--json", "i.json"}).code, 0);
  EXPECT_EQ(place.json("i.json").at("metadata").at("normalization"), "standardize");
  EXPECT_NE(place.json("i.json").at("architecture").get<std::string>().find("mlp:8"), std::string::npos);
  EXPECT_NE(place.run({"inspect", "m.safetensors"}).output.find("input.deviation"), std::string::npos);
  ASSERT_EQ(place.run({"predict", "--model", "m.safetensors", "--data", points, "--json", "p.json"}).code, 0);
  EXPECT_EQ(place.json("p.json").at("accuracy"), place.json("m.json").at("test_accuracy"));
  EXPECT_EQ(place.json("p.json").at("normalization"), "standardize");
  const Words raw{"predict", "--model", "m.safetensors?normalize=none", "--data", points, "--json", "raw.json"};
  ASSERT_EQ(place.run(raw).code, 0);
  EXPECT_LT(place.json("raw.json").at("accuracy").get<double>(), 0.8);
}

TEST(Standardize, WithoutItATrainingThatFailsSaysSo) {
  const Workplace place;
  write_points(place);
  const Outcome outcome = place.run({"pretrain", "--data", points, "--model", "mlp:8", "--out", "m.safetensors",
                                     "--normalize", "none", "--json", "m.json"});
  if (outcome.code == 0) {
    EXPECT_NE(outcome.output.find("warning: "), std::string::npos) << outcome.output;
    EXPECT_FALSE(place.json("m.json").at("warnings").empty());
  } else {
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.errors.find("learning rate"), std::string::npos) << outcome.errors;
    EXPECT_FALSE(place.has("m.safetensors"));
  }
}

TEST(Standardize, ACollapsedTrainingIsWrittenWithItsWarnings) {
  const Workplace place;
  std::string text = "same,kind\n";
  for (int i = 0; i < 40; ++i) text += std::string("1,") + (i % 4 == 0 ? "yes" : "no") + "\n";
  place.write("same.csv", text);
  const Outcome outcome = place.run({"pretrain", "--data", "csv:same.csv?label=kind", "--model", "mlp:4", "--out",
                                     "m.safetensors", "--epochs", "20", "--json", "m.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_TRUE(place.has("m.safetensors"));
  const auto warnings = place.json("m.json").at("warnings").get<Words>();
  EXPECT_TRUE(std::any_of(warnings.begin(), warnings.end(), [](const std::string& warning) {
    return warning.find("the trained model gives all 32 training samples the same class, no") == 0;
  })) << place.read("m.json");
  for (const std::string& warning : warnings) {
    EXPECT_NE(outcome.output.find("warning: " + warning + "\n"), std::string::npos) << outcome.output;
  }
}

TEST(Standardize, AComparisonPassesTheWarningsOn) {
  const Workplace place;
  write_points(place);
  const Words arguments{"transfer", "--target", points, "--model",        "mlp:4", "--strategy", "scratch", "--seeds",
                        "2",        "--epochs", "5",    "--weight-decay", "90",    "--json",     "r.json"};
  const Outcome outcome = place.run(arguments);
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto scratch = place.json("r.json").at("strategies").at(0);
  EXPECT_GE(scratch.at("warned_runs"), 1);
  EXPECT_FALSE(scratch.at("warnings").empty());
  EXPECT_NE(outcome.output.find("of 2 runs have warnings"), std::string::npos) << outcome.output;
}

TEST(Standardize, WhatIsForOtherInputsIsWrongUsage) {
  const Workplace place;
  write_points(place);
  const std::string glyphs = "glyphs:?classes=3&size=16&train=30&test=30";
  ASSERT_EQ(
      place
          .run({"pretrain", "--data", points, "--model", "mlp:4", "--out", "m", "--epochs", "1", "--normalize", "none"})
          .code,
      0);
  const auto refused = [&](const Words& arguments, const std::string& part) {
    const Outcome outcome = place.run(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments.back();
    EXPECT_NE(outcome.errors.find(part), std::string::npos) << outcome.errors;
  };
  refused({"pretrain", "--data", points, "--model", "mlp:4", "--out", "x", "--normalize", "half"},
          "standardize or none");
  refused({"pretrain", "--data", glyphs, "--out", "x", "--normalize", "standardize"}, "has images");
  refused({"transfer", "--target", points, "--normalize", "cifar"}, "--normalize cifar");
  refused({"predict", "--model", "m?normalize=standardize", "--data", points}, "training rows");
  refused({"predict", "--model", "m?normalize=half", "--data", points}, "is for images");
  refused({"transfer", "--target", points, "--head-start", "warm"}, "--head-start");
  refused({"transfer", "--target", points, "--probe-dropout", "1"}, "[0, 1)");
  refused({"transfer", "--target", points, "--feature-storage", "f64"}, "--feature-storage");
  refused({"pretrain", "--data", points, "--out", "x", "--schedule-epochs", "0"}, "schedule_epochs");
  refused({"pretrain", "--data", points, "--out", "x", "--nesterov", "--momentum", "0"}, "momentum");
}

TEST(TrainingFlags, AreATableOfTheDocuments) {
  CLI::App app;
  cli::TrainingArguments arguments;
  arguments.add_to(app);
  cli::Table table({"option of `pretrain` and `transfer`", "default", "what it is"});
  table.align_left(1);
  table.align_left(2);
  std::size_t rows = 0;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() != "Training" && option->get_group() != "Protocol") continue;
    const std::string value = option->get_default_str();
    table.add({"`" + option->get_name() + "`", value.empty() ? "off" : value, option->get_description()});
    ++rows;
  }
  EXPECT_GE(rows, transfer::describe_options<transfer::TrainingOptions>().size() + 3);
  expect_table("docs/cli.md", table.to_markdown());
}

}  // namespace
}  // namespace rtl::test
