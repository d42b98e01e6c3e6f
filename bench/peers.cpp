#include "peers.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace rtl::bench {

std::vector<Peer> Peer::start_all(const Settings& settings, std::string& why_not) {
  const char* python = std::getenv("RTL_PEERS_PYTHON");
  std::vector<Peer> peers;
  if (python == nullptr || *python == '\0') {
    why_not = "RTL_PEERS_PYTHON is not set: no peers are measured";
    return peers;
  }
  for (const char* script : {"torch_peer.py", "inference_peer.py", "text_peer.py", "ridge_peer.py"}) {
    if (std::optional<Peer> peer = start(settings, script, why_not)) peers.push_back(std::move(*peer));
  }
  return peers;
}

std::optional<Peer> Peer::start(const Settings& settings, const char* script_name, std::string& why_not) {
  const char* python = std::getenv("RTL_PEERS_PYTHON");
  const char* folder = std::getenv("RTL_PEERS");
  const std::string script = std::string(folder != nullptr ? folder : RTL_PEERS_DIRECTORY) + "/" + script_name;
  std::array<int, 2> down{};
  std::array<int, 2> up{};
  // Closed on exec, or the next peer would keep this one's input open.
  if (pipe2(down.data(), O_CLOEXEC) != 0 || pipe2(up.data(), O_CLOEXEC) != 0)
    throw std::runtime_error("peers: no pipes");
  const int process = fork();
  if (process < 0) throw std::runtime_error("peers: no process");
  if (process == 0) {
    dup2(down[0], STDIN_FILENO);
    dup2(up[1], STDOUT_FILENO);
    for (const int end : {down[0], down[1], up[0], up[1]}) close(end);
    const std::string threads = std::to_string(settings.threads);
    execlp(python, python, script.c_str(), threads.c_str(), settings.data_folder.c_str(), nullptr);
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  Peer peer(process, fdopen(down[1], "w"), fdopen(up[0], "r"));
  const auto greeting = nlohmann::json::parse(peer.read_line(), nullptr, false);
  if (greeting.is_discarded()) {
    why_not += fmt::format("{} {} did not start: its peers are not measured. ", python, script);
    return std::nullopt;
  }
  peer.name_ = greeting.at("name").get<std::string>();
  peer.jobs_ = greeting.at("jobs").get<std::map<std::string, std::vector<std::string>>>();
  return peer;
}

Peer::Peer(int process, std::FILE* to, std::FILE* from) : process_(process), to_(to), from_(from) {}

Peer::Peer(Peer&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      to_(std::exchange(other.to_, nullptr)),
      from_(std::exchange(other.from_, nullptr)),
      name_(std::move(other.name_)),
      jobs_(std::move(other.jobs_)) {}

Peer::~Peer() {
  if (to_ != nullptr) std::fclose(to_);
  if (from_ != nullptr) std::fclose(from_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
}

std::vector<std::string> Peer::settings_of(const std::string& job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? std::vector<std::string>{} : found->second;
}

std::string Peer::read_line() {
  std::string line;
  for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_)) line.push_back(static_cast<char>(c));
  return line;
}

PeerTiming Peer::run(const std::string& job, const std::string& setting) {
  fmt::print(to_, "{} {}\n", job, setting);
  std::fflush(to_);
  const auto answer = nlohmann::json::parse(read_line(), nullptr, false);
  if (answer.is_discarded() || !answer.contains("seconds")) {
    throw std::runtime_error(fmt::format("{} failed in job {} with {}", name_, job, setting));
  }
  return {answer.at("seconds").get<double>(), answer.at("units").get<double>(), answer.value("result", std::string())};
}

}  // namespace rtl::bench
