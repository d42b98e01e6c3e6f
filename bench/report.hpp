// Runs jobs and kernels and makes the JSON that bench/run writes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "jobs.hpp"
#include "peers.hpp"
#include "roofline.hpp"

namespace rtl::bench {

/// Processor, libraries, clock and measured rooflines.
nlohmann::json describe_machine(const Settings& settings, const Roofline& roofline);

/// Our repetitions and those of every setting of the peers take turns; rates are of the medians. A setting that takes
/// more than 15 seconds is measured once only.
nlohmann::json measure_job(const Settings& settings, const Roofline& roofline, const Job& job,
                           std::vector<Peer>& peers);

/// All kernel families, as an array. `only` restricts to one function, unless it is empty.
nlohmann::json measure_kernels(const Settings& settings, const Roofline& roofline, const std::string& only);

}  // namespace rtl::bench
