// oneDNN's engine and stream, and the translation of its exceptions.
#pragma once

#include <fmt/format.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>

#include "rtl/core/device.hpp"
#include "rtl/core/error.hpp"

namespace rtl::kernels::cpu {

struct OneDnn {
  OneDnn() : engine(dnnl::engine::kind::cpu, 0), stream(engine) {}
  dnnl::engine engine;
  dnnl::stream stream;
};

/// Runs `body`, turning a oneDNN failure into an rtl::Error that names the call.
template <typename Body>
void with_onednn(std::string_view call, Body&& body) {
  try {
    body();
  } catch (const dnnl::error& fault) {
    if (fault.status == dnnl_out_of_memory) throw OutOfMemory(fmt::format("{}: oneDNN ran out of memory", call));
    throw Error(fmt::format("{}: oneDNN failed: {}", call, fault.what()));
  }
}

}  // namespace rtl::kernels::cpu
