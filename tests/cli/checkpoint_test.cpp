// Commands on checkpoints of other programs: without a head, with other names, of other formats.
#include <gtest/gtest.h>

#include <functional>

#include "cli/program.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"

namespace rtl::test {
namespace {

const std::string glyphs = "glyphs:?classes=3&size=16&train=60&test=30";

/// source.safetensors again as `name`, without its metadata: names by `rename`, empty ones left out.
void write_foreign(const Workplace& place, const std::string& name,
                   const std::function<std::string(const std::string&)>& rename) {
  const io::SafetensorsFile file(place.path("source.safetensors"));
  std::vector<Tensor> tensors;
  std::vector<std::string> names;
  for (const io::TensorEntry& entry : file.tensors()) {
    if (rename(entry.name).empty()) continue;
    tensors.push_back(file.load(entry.name, Device::cpu(1)));
    names.push_back(rename(entry.name));
  }
  tensors.push_back(Tensor::from(std::vector<std::int64_t>{30}, {}, Device::cpu(1)));
  names.emplace_back("epoch");
  std::vector<io::NamedView> views;
  for (std::size_t i = 0; i < names.size(); ++i) views.emplace_back(names[i], tensors[i]);
  io::write_safetensors(place.path(name), views);
}

Outcome transfer(const Workplace& place, const std::string& source, const std::string& strategy) {
  return place.run({"transfer", "--source", source, "--target", glyphs, "--strategy", strategy, "--seeds", "2",
                    "--epochs", "1", "--model", "paper_cnn:4-4-4-8", "--json", "r.json"});
}

TEST(ForeignCheckpoints, HeadlessOnesAreSources) {
  const Workplace place;
  make_source(place);
  write_foreign(place, "trunk.safetensors",
                [](const std::string& name) { return name.starts_with("head.") ? "" : "backbone." + name; });
  const auto outcome = transfer(place, "trunk.safetensors", "probe,refine,fine-tune");
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.errors.find("note: trunk.safetensors: left out: epoch"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find("note: trunk.safetensors: it has no head"), std::string::npos) << outcome.errors;
  const auto predicted = place.run({"predict", "--model", "trunk.safetensors", "--data", glyphs});
  EXPECT_EQ(predicted.code, 1);
  EXPECT_NE(predicted.errors.find("trunk.safetensors: it has no head"), std::string::npos) << predicted.errors;
  const auto inspected = place.run({"inspect", "trunk.safetensors"});
  EXPECT_NE(inspected.output.find("no head"), std::string::npos) << inspected.output;
}

TEST(ForeignCheckpoints, HeadsOfOtherNamesPredict) {
  const Workplace place;
  make_source(place);
  write_foreign(place, "fc.safetensors", [](const std::string& name) {
    return "module._orig_mod." + (name.starts_with("head.") ? "fc" + name.substr(4) : name);
  });
  const auto accuracy = [&](const std::string& model) {
    const auto outcome = place.run({"predict", "--model", model, "--data", glyphs, "--json", "p.json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("p.json").at("accuracy").get<double>();
  };
  EXPECT_EQ(accuracy("fc.safetensors"), accuracy("source.safetensors"));
}

TEST(ForeignCheckpoints, OtherFormatsAreTold) {
  const Workplace place;
  std::string zip = "PK\3\4";
  zip += std::string(26, '\0') + "archive/data.pkl" + std::string(40, '\0');
  for (const char* name : {"model.safetensors", "model.pth"}) {
    place.write(name, zip);
    for (const std::vector<std::string>& words : {std::vector<std::string>{"inspect", name},
                                                  {"predict", "--model", name, "--data", glyphs},
                                                  {"transfer", "--source", name, "--target", glyphs}}) {
      const auto outcome = place.run(words);
      EXPECT_EQ(outcome.code, 1);
      EXPECT_NE(outcome.errors.find(std::string(name) + ": is a zip archive as torch.save"), std::string::npos)
          << outcome.errors;
      EXPECT_NE(outcome.errors.find("save_file("), std::string::npos) << outcome.errors;
    }
  }
}

}  // namespace
}  // namespace rtl::test
