// Linear models, and what made the features of predictors, in archives.
#include <gtest/gtest.h>

#include <fstream>

#include "rtl/io/file.hpp"
#include "rtl/transfer/strategies.hpp"
#include "support/damage.hpp"
#include "support/random.hpp"
#include "transfer/linear_model.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

Fitted linear_model() {
  const Device device = Device::cpu(1);
  Task task{.regression = true, .outputs = 2, .names = {"a", "b"}, .mean = {0, 0}, .deviation = {1, 1}};
  return {"ridge", task,
          std::make_unique<detail::LinearModel>(
              Tensor::from(std::vector<double>{1, 2, 1.0 / 3, -1, 0.5, 1e-9}, {3, 2}, device),
              Tensor::from(std::vector<double>{10, 1e6}, {2}, device))};
}

data::Dataset rows(const Device& device) {
  data::Dataset data;
  data.inputs = Tensor::from(std::vector<float>{1, 2, 3, 0, -1, 0}, {2, 3}, device);
  data.name = "rows";
  return data;
}

TEST(LinearModel, IsXWPlusB) {
  const Folder folder;
  for (const Device& device : testing::devices()) {
    const Fitted model = linear_model();
    EXPECT_EQ(model.trainable_parameters(), 8);
    model.save(folder / "linear");
    for (const auto& outputs :
         {model.outputs(rows(device)), Fitted::load(folder / "linear", device).outputs(rows(device))}) {
      EXPECT_TRUE(outputs.device() == device);
      const std::vector<float> found = outputs.to_vector<float>();
      const std::vector<double> wanted{1 + 2.0 / 3 + 1.5 + 10, 2 - 2 + 3e-9 + 1e6, -1.0 / 3 + 10, 1 + 1e6};
      for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(found[i], static_cast<float>(wanted[i]));
    }
    data::Dataset sparse = rows(device);
    sparse.sparse = data::SparseRows::of(sparse.inputs);
    sparse.inputs = Tensor();
    EXPECT_TRUE(
        testing::same_bytes(model.outputs(sparse).to_vector<float>(), model.outputs(rows(device)).to_vector<float>()));
    data::Dataset narrow = rows(device);
    narrow.inputs = Tensor::zeros({2, 2}, DType::f32, device);
    EXPECT_THROW(model.outputs(narrow), ShapeError);
  }
  const Tensor w = Tensor::zeros({3, 2}, DType::f64, Device::cpu(1));
  EXPECT_THROW(detail::LinearModel(w, Tensor::zeros({3}, DType::f64, Device::cpu(1))), ShapeError);
  EXPECT_THROW(detail::LinearModel(w, Tensor::zeros({2}, DType::f32, Device::cpu(1))), DTypeError);
}

/// Features of inputs that are not the samples', and what made them.
Fitted probe_of_other_inputs(const Device& device) {
  const data::Dataset seen = testing::make_vectors(1, 30, 4, 2, 1, device),
                      own = testing::make_vectors(2, 30, 3, 2, 1, device);
  const FrozenSource network(testing::make("mlp", "5", {4}, 2, 3, device), {}, "eye");
  FrozenSource source = FrozenSource::of_matrices("eye", {{&own, network.features(seen)}});
  source.set_maker(network, {});
  return fit("probe", {source}, own, quick(1));
}

TEST(Makers, AreKeptWithTheModel) {
  const Folder folder;
  const data::Dataset seen = testing::make_vectors(1, 30, 4, 2, 1, Device::cpu(1));
  for (const Device& device : testing::devices()) {
    const Fitted fitted = probe_of_other_inputs(device);
    fitted.save(folder / "model");
    const Fitted loaded = Fitted::load(folder / "model", device);
    const FrozenSource kept = loaded.sources().front();
    EXPECT_FALSE(kept.has_network());
    ASSERT_NE(kept.maker(), nullptr);
    EXPECT_EQ(kept.maker()->name(), "eye");
    EXPECT_TRUE(testing::same_bytes(kept.maker()->features(seen.to(device)).to_vector<float>(),
                                    fitted.sources().front().maker()->features(seen.to(device)).to_vector<float>()));
    EXPECT_TRUE(kept.maker_inputs().empty());
  }
  const Device device = Device::cpu(1);
  FrozenSource network(testing::make("mlp", "5", {4}, 2, 3, device));
  FrozenSource features = FrozenSource::of_features("f", 6, [](const data::Dataset&) { return Tensor(); });
  EXPECT_THROW(features.set_maker(network, {}), ValueError) << "six features and five";
  EXPECT_THROW(features.set_maker(features, {}), ValueError);
  EXPECT_THROW(network.set_maker(network, {}), ValueError);
  EXPECT_EQ(features.maker(), nullptr);
}

TEST(KeptModels, NoDamageGoesUnnoticed) {
  const Folder folder;
  const std::string path = folder / "model";
  RandomSequence random(test::seed());
  for (const bool linear : {true, false}) {
    (linear ? linear_model() : probe_of_other_inputs(Device::cpu(1))).save(path);
    const io::Bytes bytes = io::read_file(path);
    const std::string whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    int found = 0;
    for (int i = 0; i < test::damages; ++i) {
      const std::string damaged = test::damaged_copy(whole, random);
      std::ofstream(path, std::ios::binary) << damaged;
      try {
        const Fitted model = Fitted::load(path, Device::cpu(1));
        model.save(folder / "again");
        const io::Bytes again = io::read_file(folder / "again");
        EXPECT_TRUE(std::string(reinterpret_cast<const char*>(again.data()), again.size()) == whole);
      } catch (const Error&) {
        ++found;
      }
    }
    EXPECT_GT(found, test::damages / 2);
  }
}

}  // namespace
}  // namespace rtl::transfer
