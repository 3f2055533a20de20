#include "tests/apps/run_program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

namespace tessera::testing_support {

std::filesystem::path program() {
  const char* named = std::getenv("TESSERA_BINARY");
  return named != nullptr ? named : "build/tessera";
}

std::string file_content(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

namespace {

// beside: called with the running program.
ProgramResult run(const std::filesystem::path& binary, const std::vector<std::string>& arguments,
                  const std::function<void(pid_t)>& beside) {
  const TemporaryFolder folder;
  const std::string out = folder.path() / "out", err = folder.path() / "err";
  std::vector<char*> values = {const_cast<char*>(binary.c_str())};
  for (const std::string& argument : arguments) values.push_back(const_cast<char*>(argument.c_str()));
  values.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(open(out.c_str(), O_CREAT | O_WRONLY, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
    execv(binary.c_str(), values.data());
    _exit(127);
  }
  if (beside) beside(child);
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), file_content(out), file_content(err)};
}

}  // namespace

ProgramResult run_command(const std::filesystem::path& binary, const std::vector<std::string>& arguments,
                          double stop_after_seconds) {
  if (stop_after_seconds <= 0) return run(binary, arguments, {});
  return run(binary, arguments, [=](pid_t child) {
    std::this_thread::sleep_for(std::chrono::duration<double>(stop_after_seconds));
    kill(child, SIGTERM);
  });
}

ProgramResult run_program(const std::vector<std::string>& arguments, double stop_after_seconds) {
  return run_command(program(), arguments, stop_after_seconds);
}

ProgramResult run_program_until(const std::vector<std::string>& arguments, const std::filesystem::path& file) {
  return run(program(), arguments, [&](pid_t child) {
    const auto ended = [&] {
      siginfo_t info{};
      return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
    };
    while (!std::filesystem::exists(file) && !ended()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    kill(child, SIGTERM);
  });
}

}  // namespace tessera::testing_support
