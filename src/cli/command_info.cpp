// rtl info: devices, libraries, build.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/json_report.hpp"
#include "cli/outputs.hpp"
#include "cli/plot.hpp"
#include "rtl/core/device.hpp"
#include "rtl/kernels/host_libraries.hpp"

namespace rtl::cli {

namespace {

Json describe(const Device& device) {
  return {{"name", device.name()}, {"description", device.description()}, {"threads", device.threads()}};
}

Json collect() {
  Json devices = Json::array({describe(Device::cpu())});
  for (int i = 0; i < Device::cuda_count(); ++i) devices.push_back(describe(Device::cuda(i)));
  const std::string warning = kernels::host_blas_warning();
  return {
      {"rtl", RTL_VERSION},
      {"build",
       {{"type", RTL_BUILD_TYPE}, {"cuda", RTL_CUDA_BUILD}, {"compiler", RTL_COMPILER_NAME " " RTL_COMPILER_VERSION}}},
      {"devices", devices},
      {"preferred_device", Device::preferred().name()},
      {"libraries",
       {{"openblas", kernels::host_blas_configuration()},
        {"openblas_core", kernels::host_blas_core()},
        {"onednn", kernels::host_dnnl_version()},
        {"gnuplot", gnuplot_version()}}},
      {"warnings", warning.empty() ? Json::array() : Json::array({warning})}};
}

void print(const Json& info) {
  const auto text = [](const Json& value) { return value.get<std::string>(); };
  fmt::print("rtl {}: {} build, CUDA {}, {}\n\n", text(info["rtl"]), text(info["build"]["type"]),
             text(info["build"]["cuda"]), text(info["build"]["compiler"]));
  fmt::print("devices\n");
  for (const auto& device : info["devices"]) {
    fmt::print("  {:<8} {}\n", text(device["name"]), text(device["description"]));
  }
  fmt::print("  preferred: {}\n\nlibraries\n", text(info["preferred_device"]));
  const Json& libraries = info["libraries"];
  fmt::print("  OpenBLAS {} (kernels for {})\n  oneDNN {}\n", text(libraries["openblas"]),
             text(libraries["openblas_core"]), text(libraries["onednn"]));
  const std::string gnuplot = text(libraries["gnuplot"]);
  fmt::print("  gnuplot {}\n", gnuplot.empty() ? "not found (reports have no charts; install gnuplot-nox)" : gnuplot);
  for (const auto& warning : info["warnings"]) fmt::print("\nwarning: {}\n", text(warning));
}

}  // namespace

void add_info_command(CLI::App& app) {
  auto* command = app.add_subcommand("info", "Devices, libraries and build");
  auto path = std::make_shared<std::string>();
  command->add_option("--json", *path, "write the same facts to FILE (- is standard output)");
  command->callback([path] {
    check_outputs({{"--json", *path}});
    const Json info = collect();
    if (*path != "-") print(info);
    write_json(*path, info);
  });
}

}  // namespace rtl::cli
