// A 64-128-10 head on 50,000 cached feature vectors: an epoch of SGD with momentum, rows gathered in a new order.
#include <memory>
#include <vector>

#include "jobs.hpp"
#include "random_values.hpp"
#include "rtl/autodiff/operations.hpp"
#include "rtl/data/sampler.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/optim/optimizer.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t samples = 50000, features = 64, hidden = 128, classes = 10, batch = 512;
constexpr std::int64_t steps = samples / batch;

struct Cached {
  explicit Cached(const Device& device)
      : features(random_values({samples, bench::features}, device, 1)),
        labels(random_integers(samples, classes, device, 2)) {}
  Tensor features, labels;
};

class Head {
 public:
  Head(std::shared_ptr<const Cached> cached, const Device& device, std::uint64_t seed)
      : cached_(std::move(cached)),
        device_(device),
        network_(models::mlp({.inputs = features, .hidden = {hidden}, .classes = classes, .seed = seed}, device)),
        optimizer_(network_->state().parameters, {.learning_rate = 0.1, .momentum = 0.9}),
        labels_({batch}, DType::i32, device),
        sampler_(samples, batch, seed) {}

  void epoch() {
    sampler_.start_epoch(sampler_.epoch() + 1);
    const Tensor order = Tensor::from(sampler_.order(), {samples}, device_);
    for (std::int64_t step = 0; step < steps; ++step) {
      const ConstView rows = order.view().slice(0, step * batch, (step + 1) * batch);
      Tensor x({batch, features}, DType::f32, device_);
      kernels::gather_rows(device_, cached_->features, rows, x);
      kernels::gather_rows(device_, cached_->labels, rows, labels_);
      optimizer_.clear_gradients();
      const autodiff::Variable logits = network_->forward(autodiff::Variable(std::move(x)), {.training = true});
      autodiff::cross_entropy(logits, labels_).backward();
      optimizer_.step();
    }
  }

 private:
  std::shared_ptr<const Cached> cached_;
  Device device_;
  std::unique_ptr<layers::Network> network_;
  optim::Sgd optimizer_;
  Tensor labels_;
  data::BatchSampler sampler_;
};

/// Forward, gradients of both weights, gradient of the hidden layer.
constexpr double flop_of_step = 2.0 * batch * (2 * features * hidden + 3 * hidden * classes);

Job head_job(const char* name, const Settings& settings, int seeds) {
  // One thread for each head: independent heads need no synchronisation.
  const bool several = seeds > 1;
  const Device shared = Device::cpu(several ? 1 : settings.threads);
  const auto cached = std::make_shared<const Cached>(shared);
  auto heads = std::make_shared<std::vector<std::unique_ptr<Head>>>();
  for (int seed = 0; seed < seeds; ++seed) {
    heads->push_back(std::make_unique<Head>(cached, several ? shared.separate() : shared, seed));
  }
  const int threads = several ? settings.threads : 1;
  return {.name = name,
          .unit = "steps/s",
          .units = static_cast<double>(steps * seeds),
          .flop = flop_of_step,
          .arithmetic = "matrix products of a step",
          .run = [heads, threads] {
            const auto count = static_cast<std::int64_t>(heads->size());
#pragma omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1)
            for (std::int64_t i = 0; i < count; ++i) (*heads)[static_cast<std::size_t>(i)]->epoch();
          }};
}

}  // namespace

Job mlp_head(const Settings& settings) { return head_job("mlp_head", settings, 1); }
Job mlp_head_20_seeds(const Settings& settings) { return head_job("mlp_head_20_seeds", settings, 20); }

}  // namespace rtl::bench
