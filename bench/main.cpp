// rtl_bench: measures jobs and kernels beside the machine's rooflines and the peers that are installed, prints a table
// and writes JSON.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "report.hpp"
#include "rtl/kernels/host_libraries.hpp"

namespace rtl::bench {
namespace {

struct Options {
  Settings settings;
  std::string json_file;
  std::string only;
  bool no_jobs = false;
  bool no_kernels = false;
};

/// A temporary folder for what jobs and peers share.
class DataFolder {
 public:
  DataFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "rtl-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~DataFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void print_job(const nlohmann::json& job) {
  fmt::print("{:<20} {:>9.4g} {:<9} {:>3.0f} % of {:.4g} ({})\n", job["name"].get<std::string>(),
             job["rate"].get<double>(), job["unit"].get<std::string>(),
             100 * job["rate"].get<double>() / job["limit"].get<double>(), job["limit"].get<double>(),
             job["limit_from"].get<std::string>());
  if (job.contains("result")) fmt::print("    found {}\n", job["result"].get<std::string>());
  for (const auto& peer : job["peers"]) {
    fmt::print("    {:<32} {:>9.4g}   ours is {:.2f} times that{}\n", peer["name"].get<std::string>(),
               peer["rate"].get<double>(), peer["ratio"].get<double>(),
               peer.contains("result") ? "; found " + peer["result"].get<std::string>() : std::string());
  }
}

void print_kernel(const nlohmann::json& kernel) {
  fmt::print("{:<30} {:<30} {:>10.1f} us {:>8.1f} GB/s {:>8.1f} GFLOP/s", kernel["name"].get<std::string>(),
             kernel["sizes"].get<std::string>(), kernel["microseconds"].get<double>(), kernel["gb_s"].get<double>(),
             kernel["gflops"].get<double>());
  if (kernel.contains("percent_of_roofline")) {
    fmt::print(" {:>6.1f} % of {}", kernel["percent_of_roofline"].get<double>(),
               kernel["limit_from"].get<std::string>());
  }
  fmt::print("\n");
}

void run(const Options& options) {
  const std::string warning = kernels::host_blas_warning();
  if (!warning.empty()) fmt::print(stderr, "warning: {}\n", warning);
  const Roofline roofline = measure_roofline(options.settings);
  nlohmann::json report{{"machine", describe_machine(options.settings, roofline)},
                        {"jobs", nlohmann::json::array()},
                        {"kernels", nlohmann::json::array()}};
  fmt::print("{}: {:.1f} GFLOP/s in f32, {:.1f} GB/s ({})\n", report["machine"]["device"].get<std::string>(),
             roofline.flops * 1e-9, roofline.bandwidth * 1e-9, clock_name(options.settings));
  if (!options.no_jobs) {
    std::string why_not;
    const DataFolder folder;
    Settings settings = options.settings;
    settings.data_folder = folder.path();
    std::vector<Peer> peers = Peer::start_all(settings, why_not);
    if (!why_not.empty()) fmt::print("{}\n", why_not);
    std::string names;
    for (const Peer& peer : peers) names += (names.empty() ? "" : ", ") + peer.name();
    report["machine"]["peers"] = peers.empty() ? why_not : names;
    if (peers.empty()) settings.data_folder.clear();
    for (const JobMaker& maker : all_jobs()) {
      if (!options.only.empty() && options.only != maker.name) continue;
      if (const std::string missing = maker.missing ? maker.missing() : std::string(); !missing.empty()) {
        fmt::print("{:<20} not measured: {}\n", maker.name, missing);
        continue;
      }
      report["jobs"].push_back(measure_job(settings, roofline, maker.make(settings), peers));
      print_job(report["jobs"].back());
    }
  }
  if (!options.no_kernels) {
    report["kernels"] = measure_kernels(options.settings, roofline, options.only);
    for (const auto& kernel : report["kernels"]) print_kernel(kernel);
  }
  std::ofstream file(options.json_file);
  file << report.dump(2) << "\n";
  file.close();
  if (!file) throw std::runtime_error(options.json_file + " could not be written");
}

}  // namespace
}  // namespace rtl::bench

int main(int argc, char** argv) {
  rtl::bench::Options options;
  CLI::App app("Benchmarks of rtl: jobs and kernels beside rooflines and peers", "bench/run");
  app.add_option("--threads", options.settings.threads, "threads of the host device")->check(CLI::PositiveNumber);
  app.add_option("--device", options.settings.device, "where the kernels run: cpu or cuda:N (and then no jobs)");
  app.add_flag("--quick", options.settings.quick, "few repetitions: to see that everything runs");
  app.add_option("--json", options.json_file, "where the results are written")->required();
  app.add_option("--only", options.only, "one job or kernel function");
  app.add_flag("--no-jobs", options.no_jobs, "kernels only");
  app.add_flag("--no-kernels", options.no_kernels, "jobs only");
  try {
    app.parse(argc, argv);
    options.no_jobs = options.no_jobs || options.settings.device != "cpu";
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? 0 : 2;
  }
  try {
    rtl::bench::run(options);
  } catch (const std::exception& fault) {
    fmt::print(stderr, "bench/run: {}\n", fault.what());
    return 1;
  }
  return 0;
}
