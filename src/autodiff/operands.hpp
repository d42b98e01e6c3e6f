// Small helpers that the differentiable operations share.
#pragma once

#include <utility>

#include "rtl/autodiff/variable.hpp"

namespace rtl::autodiff {

/// Uninitialised memory of x's shape, dtype and device.
inline Tensor like(const Variable& x) { return {x.shape(), x.dtype(), x.device()}; }

/// Absent for a variable that is not defined.
inline ConstView view_of(const Variable& x) { return x.defined() ? std::as_const(x.value()).view() : ConstView(); }

}  // namespace rtl::autodiff
