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
  const std::pair<const char*, const char*> changes[] = {{"source0.variant", "1048576-1048576"},
                                                         {"source0.variant", "13"},
                                                         {"source0.classes", "36028797018963968"},
                                                         {"source0.classes", "0"},
                                                         {"source0.architecture", "paper_big_cnn"},
                                                         {"source0.architecture", "alexnet"},
                                                         {"source0.input", "1048576"},
                                                         {"source0.input", "9223372036854775807,9223372036854775807"},
                                                         {"h.variant", "1048576-1048576"},
                                                         {"h.classes", "99999999999"},
                                                         {"h.input", "6"},
                                                         {"classes", "36028797018963968"},
                                                         {"sources", "1000000000000"},
                                                         {"sources", "9223372036854775808"},
                                                         {"strategy", "unknown"}};
  for (const auto& [key, value] : changes) {
    SCOPED_TRACE(std::string(key) + " = " + value);
    io::Metadata metadata = whole.metadata();
    ASSERT_TRUE(metadata.contains(key));
    metadata[key] = value;
    io::write_safetensors(folder / "changed", views, metadata);
    EXPECT_THROW(Fitted::load(folder / "changed", device), FormatError);
  }
  io::write_safetensors(folder / "same", views, whole.metadata());
  EXPECT_TRUE(testing::same_bytes(Fitted::load(folder / "same", device).logits(data).to_vector<float>(),
                                  Fitted::load(folder / "model", device).logits(data).to_vector<float>()));
}

}  // namespace
}  // namespace rtl::transfer
