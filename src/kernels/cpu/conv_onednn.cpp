// The oneDNN side of the f32 and bf16 convolutions: descriptors, layouts, cached primitives.
#include "kernels/cpu/conv_onednn.hpp"
#include "kernels/cpu/blas_memory.hpp"

#include <omp.h>

#include <map>
#include <tuple>
#include <vector>

#include "kernels/cpu/lender.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/threads.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl::kernels::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

enum class Pass : std::uint8_t { forward, backward_data, backward_weights };

struct Key {
  Pass pass;
  memory::data_type images;
  bool bias;
  Activation activation;
  bool add_to_y;
  ConvShape shape;
  int threads = omp_get_max_threads();  ///< which a primitive is made for
  auto tied() const {
    return std::tie(threads, pass, images, bias, activation, add_to_y, shape.images, shape.height, shape.width,
                    shape.channels, shape.out_height, shape.out_width, shape.out_channels, shape.kernel_height,
                    shape.kernel_width, shape.stride, shape.dilation, shape.groups, shape.padding_top,
                    shape.padding_left);
  }
  friend bool operator<(const Key& a, const Key& b) { return a.tied() < b.tied(); }
};

/// One convolution with the reorder between the weights' own layout and the one that oneDNN is fastest with, which also
/// rounds them to bf16 for images of bf16. Without a primitive where oneDNN has none that is worth it.
struct Plan {
  dnnl::primitive convolution;
  dnnl::reorder reorder;
  bool reordered = false, reference = false;
  memory images_in, images_out, plain_weights, packed_weights, kept_weights, bias, scratch;
};

/// Descriptors of the operands; weights and their gradient in whatever layout the primitive prefers.
struct Descriptors {
  Descriptors(const ConvShape& s, memory::data_type images)
      : x({s.images, s.channels, s.height, s.width}, images, Tag::nhwc),
        w(weights_of(s), images, Tag::any),
        dw(w.dims(), memory::data_type::f32, Tag::any),
        plain_w(w.dims(), memory::data_type::f32, s.groups == 1 ? Tag::oihw : Tag::goihw),
        y({s.images, s.out_channels, s.out_height, s.out_width}, images, Tag::nhwc),
        bias({s.out_channels}, memory::data_type::f32, Tag::x),
        strides{s.stride, s.stride},
        dilations{s.dilation - 1, s.dilation - 1},
        padding{s.padding_top, s.padding_left},
        padding_end{end(s, s.out_height, s.kernel_height, s.height, s.padding_top),
                    end(s, s.out_width, s.kernel_width, s.width, s.padding_left)} {}
  static memory::dims weights_of(const ConvShape& s) {
    if (s.groups == 1) return {s.out_channels, s.channels, s.kernel_height, s.kernel_width};
    return {s.groups, s.out_channels / s.groups, s.channels / s.groups, s.kernel_height, s.kernel_width};
  }
  /// Padding behind the last row that is used: oneDNN wants the extents to fit exactly.
  static std::int64_t end(const ConvShape& s, std::int64_t out, std::int64_t kernel, std::int64_t in,
                          std::int64_t padding) {
    return (out - 1) * s.stride + (kernel - 1) * s.dilation + 1 - in - padding;
  }
  memory::desc x, w, dw, plain_w, y, bias;
  memory::dims strides, dilations, padding, padding_end;
};

/// oneDNN 2.6's gradients of the weights in bf16 read memory that nobody wrote, and memory behind the images, where
/// outputs are one pixel wide and the stride is not 1. (Found among 4,104 small convolutions with NaN in that memory;
/// no other is wrong, nor is a pass of another kind.)
bool gradient_is_wrong(const Key& key) {
  return key.pass == Pass::backward_weights && key.shape.out_width == 1 && key.shape.stride > 1;
}

/// Primitives of past calls. A plan holds the operands of its call, so each call at a time has plans of its own.
class Plans {
 public:
  explicit Plans(detail::Context&) {}

  Plan& get(const Key& key) {
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    if (plans_.size() >= capacity) plans_.clear();
    return plans_.emplace(key, key.images == memory::data_type::f32 ? make(key) : make_bf16(key)).first->second;
  }
  dnnl::stream& stream() { return onednn_.stream; }

 private:
  /// Batches of many different sizes would otherwise grow the cache for ever.
  static constexpr std::size_t capacity = 512;

  dnnl::convolution_forward::primitive_desc forward_descriptor(const Key& key, const Descriptors& d) const {
    const memory::desc none;
    const dnnl::convolution_forward::desc operation(dnnl::prop_kind::forward, dnnl::algorithm::convolution_direct, d.x,
                                                    d.w, key.bias ? d.bias : none, d.y, d.strides, d.dilations,
                                                    d.padding, d.padding_end);
    dnnl::post_ops after;
    if (key.add_to_y) after.append_sum(1.0F);
    if (key.activation == Activation::relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    if (key.activation == Activation::relu6) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_clip, 0.0F, 6.0F);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return {operation, attributes, onednn_.engine};
  }

  template <typename Descriptor>
  void finish(Plan& plan, const Descriptor& descriptor, const memory::desc& in, const memory::desc& out,
              const memory::desc& packed, const Descriptors& d, bool weights_are_result) const {
    const auto& engine = onednn_.engine;
    plan.images_in = memory(in, engine, DNNL_MEMORY_NONE);
    plan.images_out = memory(out, engine, DNNL_MEMORY_NONE);
    plan.bias = memory(d.bias, engine, DNNL_MEMORY_NONE);
    plan.plain_weights = memory(d.plain_w, engine, DNNL_MEMORY_NONE);
    plan.reordered = packed != d.plain_w;
    plan.packed_weights = plan.reordered ? memory(packed, engine) : plan.plain_weights;
    plan.kept_weights = memory(packed, engine, DNNL_MEMORY_NONE);
    if (plan.reordered) {
      plan.reorder = weights_are_result ? dnnl::reorder(plan.packed_weights, plan.plain_weights)
                                        : dnnl::reorder(plan.plain_weights, plan.packed_weights);
    }
    plan.scratch = memory(descriptor.scratchpad_desc(), engine);
    plan.reference = is_reference(descriptor);
  }

  Plan make_bf16(const Key& key) const {
    if (!multiplies_bf16() || gradient_is_wrong(key)) return {};
    return if_implemented([&] {
      Plan plan = make(key);
      return plan.reference ? Plan() : plan;
    });
  }

  Plan make(const Key& key) const {
    ensure_onednn_memory();
    const Descriptors d(key.shape, key.images);
    const auto forward = forward_descriptor(key, d);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    Plan plan;
    if (key.pass == Pass::forward) {
      plan.convolution = dnnl::convolution_forward(forward);
      finish(plan, forward, d.x, d.y, forward.weights_desc(), d, false);
    } else if (key.pass == Pass::backward_data) {
      const dnnl::convolution_backward_data::desc operation(dnnl::algorithm::convolution_direct, d.x, d.w, d.y,
                                                            d.strides, d.dilations, d.padding, d.padding_end);
      const dnnl::convolution_backward_data::primitive_desc descriptor(operation, attributes, onednn_.engine, forward);
      plan.convolution = dnnl::convolution_backward_data(descriptor);
      finish(plan, descriptor, d.y, d.x, descriptor.weights_desc(), d, false);
    } else {
      const memory::desc none;
      const dnnl::convolution_backward_weights::desc operation(dnnl::algorithm::convolution_direct, d.x, d.dw,
                                                               key.bias ? d.bias : none, d.y, d.strides, d.dilations,
                                                               d.padding, d.padding_end);
      const dnnl::convolution_backward_weights::primitive_desc descriptor(operation, attributes, onednn_.engine,
                                                                          forward);
      plan.convolution = dnnl::convolution_backward_weights(descriptor);
      finish(plan, descriptor, d.x, d.y, descriptor.diff_weights_desc(), d, true);
    }
    return plan;
  }

  OneDnn onednn_;
  std::map<Key, Plan> plans_;
};

void reorder(const dnnl::reorder& primitive, const dnnl::stream& stream, const memory& from, const memory& to) {
  execute(primitive, stream, {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}});
}

/// w in the primitive's layout: from those that are kept, or else packed for this call.
const memory& packed_weights(Plan& plan, const dnnl::stream& stream, const float* w, KeptWeights* kept) {
  plan.plain_weights.set_data_handle(onednn_handle(w));
  if (!plan.reordered) return plan.plain_weights;
  if (kept == nullptr) {
    reorder(plan.reorder, stream, plan.plain_weights, plan.packed_weights);
    return plan.packed_weights;
  }
  plan.kept_weights.set_data_handle(kept->packed(plan.kept_weights.get_desc(), [&](void* to) {
    plan.kept_weights.set_data_handle(to);
    reorder(plan.reorder, stream, plan.plain_weights, plan.kept_weights);
  }));
  return plan.kept_weights;
}

}  // namespace

template <typename T>
bool onednn_forward(const Device& device, const ConvShape& shape, const T* x, const float* w, const float* bias,
                    Activation activation, bool add_to_y, T* y, KeptWeights* kept) {
  return with_onednn("conv2d_forward", [&] {
    const ThreadScope threads(threads_worth(shape.operations()));
    const auto plans = Lender<Plans>::lend(device);
    Plan& plan = plans->get({Pass::forward, onednn_type<T>(), bias != nullptr, activation, add_to_y, shape});
    if (!plan.convolution) return false;
    const memory& weights = packed_weights(plan, plans->stream(), w, kept);
    plan.images_in.set_data_handle(onednn_handle(x));
    plan.images_out.set_data_handle(y);
    if (bias != nullptr) plan.bias.set_data_handle(onednn_handle(bias));
    execute(plan.convolution, plans->stream(),
            {{DNNL_ARG_SRC, plan.images_in.get()},
             {DNNL_ARG_WEIGHTS, weights.get()},
             {DNNL_ARG_BIAS, plan.bias.get()},
             {DNNL_ARG_DST, plan.images_out.get()},
             {DNNL_ARG_SCRATCHPAD, plan.scratch.get()}});
    return true;
  });
}

template <typename T>
bool onednn_backward_data(const Device& device, const ConvShape& shape, const T* dy, const float* w, T* dx) {
  return with_onednn("conv2d_backward_data", [&] {
    const ThreadScope threads(threads_worth(shape.operations()));
    const auto plans = Lender<Plans>::lend(device);
    Plan& plan = plans->get({Pass::backward_data, onednn_type<T>(), false, Activation::none, false, shape});
    if (!plan.convolution) return false;
    const memory& weights = packed_weights(plan, plans->stream(), w, nullptr);
    plan.images_in.set_data_handle(onednn_handle(dy));
    plan.images_out.set_data_handle(dx);
    execute(plan.convolution, plans->stream(),
            {{DNNL_ARG_DIFF_DST, plan.images_in.get()},
             {DNNL_ARG_WEIGHTS, weights.get()},
             {DNNL_ARG_DIFF_SRC, plan.images_out.get()},
             {DNNL_ARG_SCRATCHPAD, plan.scratch.get()}});
    return true;
  });
}

template <typename T>
bool onednn_backward_weights(const Device& device, const ConvShape& shape, const T* x, const T* dy, float* dw,
                             float* dbias) {
  return with_onednn("conv2d_backward_weights", [&] {
    const ThreadScope threads(threads_worth(shape.operations()));
    const auto plans = Lender<Plans>::lend(device);
    Plan& plan =
        plans->get({Pass::backward_weights, onednn_type<T>(), dbias != nullptr, Activation::none, false, shape});
    if (!plan.convolution) return false;
    plan.images_in.set_data_handle(onednn_handle(x));
    plan.images_out.set_data_handle(onednn_handle(dy));
    plan.plain_weights.set_data_handle(dw);
    if (dbias != nullptr) plan.bias.set_data_handle(dbias);
    execute(plan.convolution, plans->stream(),
            {{DNNL_ARG_SRC, plan.images_in.get()},
             {DNNL_ARG_DIFF_DST, plan.images_out.get()},
             {DNNL_ARG_DIFF_WEIGHTS, plan.packed_weights.get()},
             {DNNL_ARG_DIFF_BIAS, plan.bias.get()},
             {DNNL_ARG_SCRATCHPAD, plan.scratch.get()}});
    if (plan.reordered) reorder(plan.reorder, plans->stream(), plan.packed_weights, plan.plain_weights);
    return true;
  });
}

template bool onednn_forward(const Device&, const ConvShape&, const float*, const float*, const float*, Activation,
                             bool, float*, KeptWeights*);
template bool onednn_forward(const Device&, const ConvShape&, const bfloat16*, const float*, const float*, Activation,
                             bool, bfloat16*, KeptWeights*);
template bool onednn_backward_data(const Device&, const ConvShape&, const float*, const float*, float*);
template bool onednn_backward_data(const Device&, const ConvShape&, const bfloat16*, const float*, bfloat16*);
template bool onednn_backward_weights(const Device&, const ConvShape&, const float*, const float*, float*, float*);
template bool onednn_backward_weights(const Device&, const ConvShape&, const bfloat16*, const bfloat16*, float*,
                                      float*);

}  // namespace rtl::kernels::cpu
