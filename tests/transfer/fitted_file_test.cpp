// Archives of fitted models whose metadata and tensors do not agree.
#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

TEST(FittedFile, MetadataCannotAskForMoreThanTheTensorsAre) {
  const Device device = Device::cpu(1);
  const testing::Folder folder;
  const data::Dataset data = testing::make_vectors(1, 30, 5, 3, 3.0, device);
  const FrozenSource source(testing::make("mlp", "12", {5}, 3, 3, device));
  StrategyOptions options;
  options.model = "mlp:4";
  refine({source}, data, testing::quick(1), options).save(folder / "model");
  const io::SafetensorsFile whole(folder / "model");
  std::vector<Tensor> tensors;
  std::vector<io::NamedView> views;
  for (const io::TensorEntry& entry : whole.tensors()) tensors.push_back(whole.load(entry.name, device));
  for (std::size_t i = 0; i < tensors.size(); ++i) views.emplace_back(whole.tensors()[i].name, tensors[i]);
  const std::string source_part = "model.block0.source.", h = "model.h.";
  const std::pair<std::string, std::string> changes[] = {
      {source_part + "variant", "1048576-1048576"},
      {source_part + "variant", "13"},
      {source_part + "classes", "36028797018963968"},
      {source_part + "classes", "0"},
      {source_part + "architecture", "paper_big_cnn"},
      {source_part + "architecture", "alexnet"},
      {source_part + "input", "1048576"},
      {source_part + "input", "9223372036854775807,9223372036854775807"},
      {source_part + "precision", "f8"},
      {h + "variant", "1048576-1048576"},
      {h + "classes", "99999999999"},
      {h + "input", "6"},
      {"model.outputs", "36028797018963968"},
      {"model.sources", "1000000000000"},
      {"model.sources", "9223372036854775808"},
      {"model.encoders", "0"},
      {"model.predictor", "stack"},
      {"model.predictor", "unknown"},
      {"rtl.task", R"({"kind":"classes","outputs":4,"names":[]})"},
      {"rtl.task", R"({"kind":"classes","outputs":3,"names":["a"]})"},
      {"rtl.task", R"({"kind":"regression","outputs":3,"names":[],"mean":[0,0,0],"deviation":[1,0,1]})"},
      {"rtl.task", "{"},
      {"kind", "rtl predictor 0"}};
  for (const auto& [key, value] : changes) {
    SCOPED_TRACE(key + " = " + value);
    io::Metadata metadata = whole.metadata();
    ASSERT_TRUE(metadata.contains(key));
    metadata[key] = value;
    io::write_safetensors(folder / "changed", views, metadata);
    EXPECT_THROW(Fitted::load(folder / "changed", device), FormatError);
  }
  io::write_safetensors(folder / "same", views, whole.metadata());
  EXPECT_TRUE(testing::same_bytes(Fitted::load(folder / "same", device).outputs(data).to_vector<float>(),
                                  Fitted::load(folder / "model", device).outputs(data).to_vector<float>()));
}

}  // namespace
}  // namespace rtl::transfer
