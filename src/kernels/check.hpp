// Argument checks of the public kernel functions: made once, where the user calls in. The kernels behind trust them.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string_view>
#include <type_traits>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels::check {

enum class Presence : std::uint8_t { required, optional };

/// A view with the name that error texts use. Only `on_device` looks at the presence; the other checks pass over views
/// that are not given.
struct Named {
  std::string_view name;
  ConstView view;
  Presence presence = Presence::required;
};
constexpr Presence optional = Presence::optional;

/// Every required view is given, and each lives where `device` can work on it. Throws DeviceError.
void on_device(std::string_view call, const Device& device, std::initializer_list<Named> views);

/// All views have the dtype of the first, and it is f32 or f64. Throws DTypeError.
void same_floating(std::string_view call, std::initializer_list<Named> views);

/// on_device and same_floating.
void operands(std::string_view call, const Device& device, std::initializer_list<Named> views);
/// on_device, same_floating and contiguous.
void dense_operands(std::string_view call, const Device& device, std::initializer_list<Named> views);

/// The activations have the dtype of the first, f32, f64 or bf16; the parameters the dtype that goes with it
/// (parameter_dtype). Throws DTypeError.
void activations_and_parameters(std::string_view call, std::initializer_list<Named> activations,
                                std::initializer_list<Named> parameters);

/// on_device and activations_and_parameters.
void layer_operands(std::string_view call, const Device& device, std::initializer_list<Named> activations,
                    std::initializer_list<Named> parameters = {});
/// layer_operands and contiguous.
void dense_layer_operands(std::string_view call, const Device& device, std::initializer_list<Named> activations,
                          std::initializer_list<Named> parameters = {});

void dtype(std::string_view call, const Named& view, DType wanted);

/// Throws ShapeError unless the view has exactly this shape.
void shape(std::string_view call, const Named& view, const Shape& wanted);
void shapes(std::string_view call, std::initializer_list<Named> views, const Shape& wanted);
void rank(std::string_view call, const Named& view, int wanted);
void contiguous(std::string_view call, std::initializer_list<Named> views);

/// Throws ShapeError if an output repeats an element (stride 0).
void writable(std::string_view call, const Named& view);

/// The view repeated to `shape` by NumPy's rules. Throws ShapeError.
ConstView broadcast(std::string_view call, const Named& view, const Shape& shape);

/// For kernels that run several replicas in one launch, whose operands have a leading axis for them, or are shared;
/// `replicas` is 0 where no operand has such an axis. The shape with the axis in front.
Shape replicated(std::int64_t replicas, const Shape& shape);
/// Step counters i64 [4] or, with replicas, [replicas, 4], contiguous (rtl/kernels/step_state.hpp); passes over
/// counters that are not given.
void counters(std::string_view call, const Device& device, ConstView counters, std::int64_t replicas);
/// Row numbers i32 or i64 [count], or with counters at least as many; or [replicas, ...]; contiguous.
void row_numbers(std::string_view call, const Device& device, ConstView rows, ConstView counters, std::int64_t replicas,
                 std::int64_t count);

/// Throws ValueError(call + ": " + fault) unless `holds`.
void value(bool holds, std::string_view call, std::string_view fault);
/// The same with a fault that is only written when it is needed: fault() gives its text.
template <typename Fault>
requires std::is_invocable_v<const Fault&>
void value(bool holds, std::string_view call, const Fault& fault) {
  if (!holds) value(false, call, fault());
}

}  // namespace rtl::kernels::check
