// Other libraries measured beside ours in the same run: a Python program that is kept running and asked, between our
// own repetitions, to do a job once and say how long it took.
#pragma once

#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "measure.hpp"

namespace rtl::bench {

/// What a peer took for one repetition.
struct PeerTiming {
  double seconds = 0;
  double units = 0;
  std::string result;  ///< what it found; empty where that is not compared
};

class Peer {
 public:
  /// Starts RTL_PEERS_PYTHON on each script that it has the libraries for. What did not start, and why, is in
  /// `why_not`.
  static std::vector<Peer> start_all(const Settings& settings, std::string& why_not);
  Peer(Peer&& other) noexcept;
  Peer& operator=(Peer&&) = delete;
  ~Peer();

  /// "torch 1.13.1".
  const std::string& name() const noexcept { return name_; }
  /// The settings that it can do a job with ("nchw", "channels_last", ..); none if it does not know the job.
  std::vector<std::string> settings_of(const std::string& job) const;
  /// One repetition. Throws std::runtime_error if the peer fails.
  PeerTiming run(const std::string& job, const std::string& setting);

 private:
  static std::optional<Peer> start(const Settings& settings, const char* script, std::string& why_not);
  Peer(int process, std::FILE* to, std::FILE* from);
  std::string read_line();

  int process_;
  std::FILE* to_;
  std::FILE* from_;
  std::string name_;
  std::map<std::string, std::vector<std::string>> jobs_;
};

}  // namespace rtl::bench
