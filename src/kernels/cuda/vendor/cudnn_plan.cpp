#include "kernels/cuda/vendor/cudnn_plan.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "kernels/cuda/vendor/dnn.hpp"

namespace rtl::kernels::cuda::vendor {
namespace {

constexpr std::int64_t most_workspace = std::int64_t{256} << 20;
/// More than the library has: of notes there are 10, of kinds of knobs 46, of settings some 50.
constexpr std::size_t most_notes = 64, most_knobs = 128, most_configs = 256;

/// Tensors are known to the library by numbers; the virtual ones, which exist between operations alone, by those from
/// `first_virtual` on.
enum Name : std::int64_t { name_x = 1, name_w, name_y, name_bias, first_virtual };

using Extents = std::array<std::int64_t, 4>;

/// The library counts channels before rows and columns, wherever they lie.
Extents in_its_order(const Extents& nhwc) { return {nhwc[0], nhwc[3], nhwc[1], nhwc[2]}; }
Extents strides_of(const Extents& nhwc) { return {nhwc[1] * nhwc[2] * nhwc[3], 1, nhwc[2] * nhwc[3], nhwc[3]}; }

/// What the library does not take stops the making of a graph.
struct NotSupported {};

/// The attributes of an operation that differ between the directions.
struct Attributes {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t alpha, beta, convolution, x, w, y;
};

Attributes attributes_of(Direction direction) {
  switch (direction) {
    case Direction::forward:
      break;
    case Direction::backward_data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    case Direction::backward_weights:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
}

}  // namespace

Problem with_the_same_sums(Problem problem) {
  problem.accumulate = false;
  problem.relu = problem.relu && !problem.bias;
  return problem;
}

/// The operations of a problem, one behind the other, and what they are made of. Sums between them are f32.
struct Plan::Graph {
 public:
  Graph(const Target& target, const Problem& problem) : problem_(problem), last_virtual_(first_virtual) {
    int following = (problem.bias ? 1 : 0) + (problem.relu ? 1 : 0);
    const auto result = [&] { return following-- > 0 ? between() : images(name_y, problem_.y); };
    std::size_t sums = convolve(result());
    if (problem.bias) {
      const Extents channels{1, 1, 1, problem.y[3]};
      const std::size_t bias = tensor(name_bias, channels, CUDNN_DATA_FLOAT, false);
      sums = point(CUDNN_POINTWISE_ADD, sums, bias, result());
    }
    if (problem.relu) point(CUDNN_POINTWISE_RELU_FWD, sums, std::nullopt, result());
    if (target.handle != nullptr) whole_.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle);
    whole_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const Descriptor>(operations_));
    if (!whole_.finalize()) throw NotSupported();
  }
  /// Null where the library does not take it.
  static std::shared_ptr<const Graph> make(const Target& target, const Problem& problem) {
    try {
      return std::make_shared<const Graph>(target, problem);
    } catch (const NotSupported&) {
      return nullptr;
    }
  }
  const Descriptor& whole() const { return whole_; }

 private:
  /// Descriptors are named by their places, since the list may move.
  std::size_t keep(Descriptor made) {
    if (!made.finalize()) throw NotSupported();
    parts_.push_back(std::move(made));
    return parts_.size() - 1;
  }
  std::size_t tensor(std::int64_t name, const Extents& nhwc, cudnnDataType_t type, bool is_virtual) {
    Descriptor made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, name);
    made.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    made.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, static_cast<std::int64_t>(dnn_alignment));
    made.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(in_its_order(nhwc)));
    made.set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(strides_of(nhwc)));
    made.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual);
    return keep(std::move(made));
  }
  std::size_t images(std::int64_t name, const Extents& nhwc) {
    return tensor(name, nhwc, problem_.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT, false);
  }
  std::size_t between() { return tensor(last_virtual_++, problem_.y, CUDNN_DATA_FLOAT, true); }

  std::size_t geometry() {
    Descriptor made(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    const std::array<std::int64_t, 2> strides{problem_.stride, problem_.stride};
    const std::array<std::int64_t, 2> dilations{problem_.dilation, problem_.dilation};
    made.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    made.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
    made.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
    made.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::span<const std::int64_t>(strides));
    made.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::span<const std::int64_t>(dilations));
    made.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, std::span<const std::int64_t>(problem_.padding));
    made.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, std::span<const std::int64_t>(problem_.padding));
    return keep(std::move(made));
  }

  std::size_t convolve(std::size_t y) {
    const Attributes names = attributes_of(problem_.direction);
    const std::size_t x = images(name_x, problem_.x), w = images(name_w, problem_.w), how = geometry();
    Descriptor made(names.operation);
    made.set(names.convolution, parts_[how]);
    made.set(names.x, parts_[x]);
    made.set(names.w, parts_[w]);
    made.set(names.y, parts_[y]);
    made.set(names.alpha, 1.0F);
    made.set(names.beta, problem_.accumulate ? 1.0F : 0.0F);
    if (!made.finalize()) throw NotSupported();
    operations_.push_back(std::move(made));
    return y;
  }

  /// Of one tensor, or of two.
  std::size_t point(cudnnPointwiseMode_t mode, std::size_t x, std::optional<std::size_t> other, std::size_t y) {
    Descriptor how(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    how.set(CUDNN_ATTR_POINTWISE_MODE, mode);
    how.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    if (mode == CUDNN_POINTWISE_RELU_FWD) how.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN);
    const std::size_t kept = keep(std::move(how));
    Descriptor made(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, parts_[kept]);
    made.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, parts_[x]);
    if (other) made.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, parts_[*other]);
    made.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, parts_[y]);
    if (!made.finalize()) throw NotSupported();
    operations_.push_back(std::move(made));
    return y;
  }

  Problem problem_;
  std::int64_t last_virtual_;
  std::vector<Descriptor> parts_, operations_;
  Descriptor whole_{CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR};
};

namespace {

/// The settings that the library thinks best, the expected fastest first.
std::vector<Descriptor> configs_of(const Target& target, const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  if (target.properties != nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties);
  if (!heuristics.finalize()) return {};
  return heuristics.read_descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, most_configs);
}

Descriptor engine_of(const Descriptor& config) {
  return std::move(config.read_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1).at(0));
}

std::vector<cudnnBackendNumericalNote_t> notes_of(const Descriptor& config) {
  return engine_of(config).read_list<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, most_notes);
}

Plan::Engine choice_of(const Descriptor& config) {
  Plan::Engine engine{.index = engine_of(config).read<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX), .knobs = {}};
  for (const Descriptor& knob :
       config.read_descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, most_knobs)) {
    engine.knobs.emplace_back(knob.read<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                              knob.read<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  return engine;
}

/// Null where the engine does not know this graph, or these settings.
std::optional<Descriptor> config_of(const Target& target, const Descriptor& graph, const Plan::Engine& choice) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
  engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.index);
  if (target.properties != nullptr) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.properties);
  if (!engine.finalize()) return std::nullopt;
  std::vector<Descriptor> knobs;
  for (const auto& [type, value] : choice.knobs) {
    Descriptor& knob = knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, type);
    knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
    if (!knob.finalize()) return std::nullopt;
  }
  Descriptor config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!knobs.empty()) config.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const Descriptor>(knobs));
  if (!config.finalize()) return std::nullopt;
  return config;
}

bool is_compiled(const Descriptor& config) {
  const auto notes =
      engine_of(config).read_list<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, most_notes);
  return std::find(notes.begin(), notes.end(), CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) == notes.end();
}

bool may_calculate(const Problem& problem, const Descriptor& config) {
  const bool full_precision = problem.dtype == DType::f32 && !problem.tf32;
  const auto notes = notes_of(config);
  return std::none_of(notes.begin(), notes.end(), [&](cudnnBackendNumericalNote_t note) {
    switch (note) {
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        return full_precision;
      case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
        return false;
      default:  // inputs rounded to less, sums in less, not deterministic, FFT, Winograd; and what is not known yet
        return true;
    }
  });
}

}  // namespace

Plan::Plan(const Problem& problem, std::shared_ptr<const Graph> graph, Descriptor config, Descriptor plan)
    : problem_(problem),
      graph_(std::move(graph)),
      config_(std::move(config)),
      plan_(std::move(plan)),
      workspace_bytes_(plan_.read<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)),
      engine_(choice_of(config_)),
      notes_(notes_of(config_)) {}

std::unique_ptr<Plan> Plan::finish(const Target& target, const Problem& problem,
                                   const std::shared_ptr<const Graph>& graph, Descriptor config) {
  if (!is_compiled(config) || !may_calculate(problem, config)) return nullptr;
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.properties != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (!plan.finalize()) return nullptr;
  std::unique_ptr<Plan> made(new Plan(problem, graph, std::move(config), std::move(plan)));
  return made->workspace_bytes() <= most_workspace ? std::move(made) : nullptr;
}

std::unique_ptr<Plan> Plan::make(const Target& target, const Problem& problem) {
  const auto graph = Graph::make(target, problem);
  if (graph == nullptr) return nullptr;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (Descriptor& config : configs_of(target, graph->whole(), mode)) {
      if (auto made = finish(target, problem, graph, std::move(config))) return made;
    }
  }
  return nullptr;
}

std::unique_ptr<Plan> Plan::make(const Target& target, const Problem& problem, const Engine& engine) {
  const auto graph = Graph::make(target, problem);
  if (graph == nullptr) return nullptr;
  auto config = config_of(target, graph->whole(), engine);
  return config ? finish(target, problem, graph, *std::move(config)) : nullptr;
}

Descriptor Plan::bind(const Operands& operands, void* workspace) const {
  const std::array<std::int64_t, 4> names{name_x, name_w, name_y, name_bias};
  const std::array<void*, 4> addresses{operands.x, operands.w, operands.y, operands.bias};
  const std::size_t count = problem_.bias ? 4 : 3;
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const std::int64_t>(names).first(count));
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(addresses).first(count));
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace);
  check_cudnn(cudnnBackendFinalize(pack.get()), "binding addresses to a cuDNN execution plan");
  return pack;
}

bool Plan::run(cudnnHandle_t handle, const Operands& operands, void* workspace) const {
  const Descriptor pack = bind(operands, workspace);
  const cudnnStatus_t status = cudnnBackendExecute(handle, plan_.get(), pack.get());
  // For one of several reasons, each with a status of its own.
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
  check_cudnn(status, "cuDNN convolution");
  return true;
}

}  // namespace rtl::kernels::cuda::vendor
