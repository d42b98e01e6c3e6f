// The oneDNN side of the f32 convolutions: descriptors, layouts, cached primitives.
#include "kernels/cpu/conv_onednn.hpp"

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
  bool bias, relu, add_to_y;
  ConvShape shape;
  int threads = omp_get_max_threads();  ///< which a primitive is made for
  auto tied() const {
    return std::tie(threads, pass, bias, relu, add_to_y, shape.images, shape.height, shape.width, shape.channels,
                    shape.out_height, shape.out_width, shape.out_channels, shape.kernel_height, shape.kernel_width,
                    shape.stride, shape.padding);
  }
  friend bool operator<(const Key& a, const Key& b) { return a.tied() < b.tied(); }
};

/// One convolution with the reorder between the weights' own layout and the one that oneDNN is fastest with.
struct Plan {
  dnnl::primitive convolution;
  dnnl::reorder reorder;
  bool reordered = false;
  memory images_in, images_out, plain_weights, packed_weights, bias, scratch;
};

/// Descriptors of the four operands; weights in whatever layout the primitive prefers.
struct Descriptors {
  explicit Descriptors(const ConvShape& s)
      : x({s.images, s.channels, s.height, s.width}, memory::data_type::f32, Tag::nhwc),
        w({s.out_channels, s.channels, s.kernel_height, s.kernel_width}, memory::data_type::f32, Tag::any),
        plain_w(w.dims(), memory::data_type::f32, Tag::oihw),
        y({s.images, s.out_channels, s.out_height, s.out_width}, memory::data_type::f32, Tag::nhwc),
        bias({s.out_channels}, memory::data_type::f32, Tag::x),
        strides{s.stride, s.stride},
        padding{s.padding, s.padding},
        padding_end{end(s.out_height, s.stride, s.kernel_height, s.height, s.padding),
                    end(s.out_width, s.stride, s.kernel_width, s.width, s.padding)} {}
  /// Padding behind the last row that is used: oneDNN wants the extents to fit exactly.
  static std::int64_t end(std::int64_t out, std::int64_t stride, std::int64_t kernel, std::int64_t in,
                          std::int64_t padding) {
    return (out - 1) * stride + kernel - in - padding;
  }
  memory::desc x, w, plain_w, y, bias;
  memory::dims strides, padding, padding_end;
};

/// Primitives of past calls. A plan holds the operands of its call, so each call at a time has plans of its own.
class Plans {
 public:
  explicit Plans(detail::Context&) {}

  Plan& get(const Key& key) {
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    if (plans_.size() >= capacity) plans_.clear();
    return plans_.emplace(key, make(key)).first->second;
  }
  dnnl::stream& stream() { return onednn_.stream; }

 private:
  /// Batches of many different sizes would otherwise grow the cache for ever.
  static constexpr std::size_t capacity = 512;

  dnnl::convolution_forward::primitive_desc forward_descriptor(const Key& key, const Descriptors& d) const {
    const memory::desc none;
    const dnnl::convolution_forward::desc operation(dnnl::prop_kind::forward, dnnl::algorithm::convolution_direct, d.x,
                                                    d.w, key.bias ? d.bias : none, d.y, d.strides, d.padding,
                                                    d.padding_end);
    dnnl::post_ops after;
    if (key.add_to_y) after.append_sum(1.0F);
    if (key.relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
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
    if (plan.reordered) {
      plan.reorder = weights_are_result ? dnnl::reorder(plan.packed_weights, plan.plain_weights)
                                        : dnnl::reorder(plan.plain_weights, plan.packed_weights);
    }
    plan.scratch = memory(descriptor.scratchpad_desc(), engine);
  }

  Plan make(const Key& key) const {
    const Descriptors d(key.shape);
    const auto forward = forward_descriptor(key, d);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    Plan plan;
    if (key.pass == Pass::forward) {
      plan.convolution = dnnl::convolution_forward(forward);
      finish(plan, forward, d.x, d.y, forward.weights_desc(), d, false);
    } else if (key.pass == Pass::backward_data) {
      const dnnl::convolution_backward_data::desc operation(dnnl::algorithm::convolution_direct, d.x, d.w, d.y,
                                                            d.strides, d.padding, d.padding_end);
      const dnnl::convolution_backward_data::primitive_desc descriptor(operation, attributes, onednn_.engine, forward);
      plan.convolution = dnnl::convolution_backward_data(descriptor);
      finish(plan, descriptor, d.y, d.x, descriptor.weights_desc(), d, false);
    } else {
      const memory::desc none;
      const dnnl::convolution_backward_weights::desc operation(dnnl::algorithm::convolution_direct, d.x, d.w,
                                                               key.bias ? d.bias : none, d.y, d.strides, d.padding,
                                                               d.padding_end);
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

/// oneDNN's handles are not const, also for what it only reads.
void* handle(const float* values) { return const_cast<float*>(values); }

/// The C++ interface would make two containers for each call.
void execute(const dnnl::primitive& primitive, const dnnl::stream& stream,
             std::initializer_list<dnnl_exec_arg_t> arguments) {
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(arguments.size()), arguments.begin()),
      "could not execute a primitive");
}

void reorder(const dnnl::reorder& primitive, const dnnl::stream& stream, const memory& from, const memory& to) {
  execute(primitive, stream, {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}});
}

}  // namespace

void onednn_forward(const Device& device, const ConvShape& shape, const float* x, const float* w, const float* bias,
                    bool relu, bool add_to_y, float* y) {
  with_onednn("conv2d_forward", [&] {
    const ThreadScope threads(threads_worth(shape.operations()));
    const auto plans = Lender<Plans>::lend(device);
    Plan& plan = plans->get({Pass::forward, bias != nullptr, relu, add_to_y, shape});
    plan.plain_weights.set_data_handle(handle(w));
    if (plan.reordered) reorder(plan.reorder, plans->stream(), plan.plain_weights, plan.packed_weights);
    plan.images_in.set_data_handle(handle(x));
    plan.images_out.set_data_handle(y);
    if (bias != nullptr) plan.bias.set_data_handle(handle(bias));
    execute(plan.convolution, plans->stream(),
            {{DNNL_ARG_SRC, plan.images_in.get()},
             {DNNL_ARG_WEIGHTS, plan.packed_weights.get()},
             {DNNL_ARG_BIAS, plan.bias.get()},
             {DNNL_ARG_DST, plan.images_out.get()},
             {DNNL_ARG_SCRATCHPAD, plan.scratch.get()}});
  });
}

void onednn_backward_data(const Device& device, const ConvShape& shape, const float* dy, const float* w, float* dx) {
  with_onednn("conv2d_backward_data", [&] {
    const ThreadScope threads(threads_worth(shape.operations()));
    const auto plans = Lender<Plans>::lend(device);
    Plan& plan = plans->get({Pass::backward_data, false, false, false, shape});
    plan.plain_weights.set_data_handle(handle(w));
    if (plan.reordered) reorder(plan.reorder, plans->stream(), plan.plain_weights, plan.packed_weights);
    plan.images_in.set_data_handle(handle(dy));
    plan.images_out.set_data_handle(dx);
    execute(plan.convolution, plans->stream(),
            {{DNNL_ARG_DIFF_DST, plan.images_in.get()},
             {DNNL_ARG_WEIGHTS, plan.packed_weights.get()},
             {DNNL_ARG_DIFF_SRC, plan.images_out.get()},
             {DNNL_ARG_SCRATCHPAD, plan.scratch.get()}});
  });
}

void onednn_backward_weights(const Device& device, const ConvShape& shape, const float* x, const float* dy, float* dw,
                             float* dbias) {
  with_onednn("conv2d_backward_weights", [&] {
    const ThreadScope threads(threads_worth(shape.operations()));
    const auto plans = Lender<Plans>::lend(device);
    Plan& plan = plans->get({Pass::backward_weights, dbias != nullptr, false, false, shape});
    plan.images_in.set_data_handle(handle(x));
    plan.images_out.set_data_handle(handle(dy));
    plan.plain_weights.set_data_handle(dw);
    if (dbias != nullptr) plan.bias.set_data_handle(dbias);
    execute(plan.convolution, plans->stream(),
            {{DNNL_ARG_SRC, plan.images_in.get()},
             {DNNL_ARG_DIFF_DST, plan.images_out.get()},
             {DNNL_ARG_DIFF_WEIGHTS, plan.packed_weights.get()},
             {DNNL_ARG_DIFF_BIAS, plan.bias.get()},
             {DNNL_ARG_SCRATCHPAD, plan.scratch.get()}});
    if (plan.reordered) reorder(plan.reorder, plans->stream(), plan.packed_weights, plan.plain_weights);
  });
}

}  // namespace rtl::kernels::cpu
