// Ctrl-C, SIGTERM and SIGHUP end the program within a second, wherever it is, with exit code 128 + signal and a true
// word on what is kept.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <functional>
#include <string>

namespace rtl::cli {

/// Blocked in every thread from the start of the process (startup.cpp) but in the one that handles them: compiled
/// kernels use the stack pointer as an ordinary register, and the system would write a handler's frame over what it
/// then points at. Children of the process are to be started without this mask.
inline constexpr std::array handled_signals = {SIGINT, SIGTERM, SIGHUP};

/// To be called once, at the start of main. A thread of its own, which computes nothing, then takes signals. Where
/// there is a KeptWork it gives the command 0.6 seconds to stop in order; then, or else at once, it removes unfinished
/// files, says what is kept and ends the process. A second signal ends it without that. SIGHUP stays ignored under
/// nohup. Without a thread, signals end the process without a word.
void install_interrupt_handler();

/// A signal has come: work that can be gone on with should stop and keep its state.
bool interrupted() noexcept;

/// For the end of main: if a signal has come, ends the process as above; else no signal will end it any more.
void end_if_interrupted() noexcept;

/// While it exists, the command keeps its work on the disk as it goes along. `describe` is asked on another thread when
/// the program ends, and says what is kept, as a sentence; empty if there is nothing yet.
class KeptWork {
 public:
  explicit KeptWork(std::function<std::string()> describe);
  KeptWork(const KeptWork&) = delete;
  KeptWork& operator=(const KeptWork&) = delete;
  ~KeptWork();
};

/// A folder that is removed, with its content, by the destructor or when a signal ends the program.
class ScratchFolder {
 public:
  /// Throws IoError.
  ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Files in the folder whose names end so; 0 if it is not there.
std::size_t count_files(const std::string& folder, const std::string& ending) noexcept;

/// "; go on with: rtl .. --resume": the command that was given, with the flag if it was not there.
std::string resume_command(bool with_flag = true);

}  // namespace rtl::cli
