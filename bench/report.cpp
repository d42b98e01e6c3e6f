#include "report.hpp"

#include <fmt/format.h>

#include <ctime>

#include "kernels.hpp"
#include "rtl/kernels/host_libraries.hpp"

namespace rtl::bench {
namespace {

using nlohmann::json;

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

}  // namespace

json describe_machine(const Settings& settings, const Roofline& roofline) {
  return {{"date", today()},
          {"device", Device::parse(settings.device, settings.threads).description()},
          {"threads", settings.threads},
          {"clock", clock_name(settings)},
          {"rtl", RTL_VERSION},
          {"openblas", kernels::host_blas_configuration()},
          {"openblas_core", kernels::host_blas_core()},
          {"openblas_warning", kernels::host_blas_warning()},
          {"onednn", kernels::host_dnnl_version()},
          {"peak_gflops_f32", roofline.flops * 1e-9},
          {"product_gflops_bf16", roofline.flops_bf16 * 1e-9},
          {"bandwidth_gb_s", roofline.bandwidth * 1e-9}};
}

json measure_job(const Settings& settings, const Roofline& roofline, const Job& job, std::vector<Peer>& peers) {
  constexpr double too_long = 15;
  struct Rival {
    Peer* peer;
    std::string setting, result;
    double units = 0;
    Timings timings;
  };
  const int repetitions = settings.quick ? 3 : 11;
  std::vector<Rival> rivals;
  for (Peer& peer : peers) {
    for (const std::string& setting : peer.settings_of(job.name)) rivals.push_back({&peer, setting, "", 0, {}});
  }
  Timings ours;
  job.run();
  for (int i = 0; i < repetitions; ++i) {
    ours.seconds.push_back(time_once(settings, job.run));
    for (Rival& rival : rivals) {
      if (i > 0 && rival.timings.seconds.front() > too_long) continue;
      const PeerTiming timing = rival.peer->run(job.name, rival.setting);
      rival.timings.seconds.push_back(timing.seconds);
      rival.units = timing.units;
      rival.result = timing.result;
    }
  }
  const double rate = job.units / ours.median();
  const Limit limit = limit_of(roofline, job.flop, job.bytes, job.bf16);
  json measured_peers = json::array();
  for (const Rival& rival : rivals) {
    const double their_rate = rival.units / rival.timings.median();
    measured_peers.push_back({{"name", rival.peer->name() + " " + rival.setting},
                              {"rate", their_rate},
                              {"ratio", rate / their_rate},
                              {"repetitions", rival.timings.seconds.size()},
                              {"spread", rival.timings.spread()}});
    if (!rival.result.empty()) measured_peers.back()["result"] = rival.result;
  }
  json measured{{"name", job.name},
                {"threads", settings.threads},
                {"rate", rate},
                {"unit", job.unit},
                {"spread", ours.spread()},
                {"repetitions", repetitions},
                {"limit", limit.rate},
                {"limit_from", limit.from + "; " + job.arithmetic},
                {"peers", measured_peers}};
  if (job.result) measured["result"] = job.result();
  return measured;
}

json measure_kernels(const Settings& settings, const Roofline& roofline, const std::string& only) {
  json results = json::array();
  const Device device = Device::parse(settings.device, settings.threads);
  // A GPU works on its own: it is waited for once after several calls.
  const int calls = device.is_cuda() ? 20 : 1;
  for (const KernelFamily family : all_kernel_families()) {
    KernelCases cases;
    family(device, cases);
    for (const KernelCase& kernel : cases) {
      if (!only.empty() && only != kernel.name) continue;
      const auto run = [&] {
        for (int call = 0; call < calls; ++call) kernel.run();
        device.synchronize();
      };
      const Timings timings = time_repeatedly(settings, run, 3, settings.quick ? 0.005 : 0.1);
      const double seconds = timings.median() / calls;
      const Limit limit = limit_of(roofline, kernel.flop, kernel.bytes);
      results.push_back({{"name", kernel.name},
                         {"sizes", kernel.sizes},
                         {"threads", settings.threads},
                         {"microseconds", seconds * 1e6},
                         {"spread", timings.spread()},
                         {"bytes", kernel.bytes},
                         {"flop", kernel.flop},
                         {"gb_s", kernel.bytes / seconds * 1e-9},
                         {"gflops", kernel.flop / seconds * 1e-9}});
      if (device.is_cuda()) continue;  // the roofline is the host's
      results.back()["percent_of_roofline"] = 100 / (limit.rate * seconds);
      results.back()["limit_from"] = limit.from;
    }
  }
  return results;
}

}  // namespace rtl::bench
