// oneDNN's engine and stream, what it is asked of the processor, and the translation of its exceptions.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
#include <type_traits>

#include "rtl/core/device.hpp"
#include "rtl/core/dtype.hpp"
#include "rtl/core/error.hpp"

namespace rtl::kernels::cpu {

struct OneDnn {
  OneDnn() : engine(dnnl::engine::kind::cpu, 0), stream(engine) {}
  dnnl::engine engine;
  dnnl::stream stream;
};

/// Whether oneDNN has instructions that `isa` names.
inline bool has(dnnl::cpu_isa isa) {
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & static_cast<unsigned>(isa)) ==
         static_cast<unsigned>(isa);
}

/// Whether the processor multiplies bf16. Elsewhere oneDNN has no bf16, or emulates it at a third of its speed in f32.
inline bool multiplies_bf16() {
  static const bool does = has(dnnl::cpu_isa::avx512_core_bf16);
  return does;
}

/// Whether oneDNN's convolutions add what y holds to the finished sum. Below AVX-512 their sums begin with it.
inline bool adds_to_finished_sums() {
  static const bool does = has(dnnl::cpu_isa::avx512_core);
  return does;
}

/// Whether it multiplies tiles of bf16 (AMX), many times faster than f32.
inline bool multiplies_tiles() {
  static const bool does = dnnl::get_effective_cpu_isa() == dnnl::cpu_isa::avx512_core_amx;
  return does;
}

template <typename T>
constexpr dnnl::memory::data_type onednn_type() {
  return std::is_same_v<T, bfloat16> ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

/// oneDNN's handles are not const, also for what it only reads.
inline void* onednn_handle(const void* values) { return const_cast<void*>(values); }

/// The C++ interface would make two containers for each call.
inline void execute(const dnnl::primitive& primitive, const dnnl::stream& stream,
                    std::initializer_list<dnnl_exec_arg_t> arguments) {
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(arguments.size()), arguments.begin()),
      "could not execute a primitive");
}

/// Whether a primitive would be computed by oneDNN's reference, which is slower than any other way.
template <typename Descriptor>
bool is_reference(const Descriptor& descriptor) {
  return std::string_view(descriptor.impl_info_str()).starts_with("ref");
}

/// make(), or nothing where oneDNN does not do what it asks for.
template <typename Make>
auto if_implemented(Make&& make) -> decltype(make()) {
  try {
    return make();
  } catch (const dnnl::error& fault) {
    if (fault.status != dnnl_unimplemented) throw;
    return {};
  }
}

/// body(), turning a oneDNN failure into an rtl::Error that names the call.
template <typename Body>
auto with_onednn(std::string_view call, Body&& body) {
  try {
    return body();
  } catch (const dnnl::error& fault) {
    if (fault.status == dnnl_out_of_memory) throw OutOfMemory(fmt::format("{}: oneDNN ran out of memory", call));
    throw Error(fmt::format("{}: oneDNN failed: {}", call, fault.what()));
  }
}

}  // namespace rtl::kernels::cpu
