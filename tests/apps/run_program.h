// Runs the program as a user would: its own process, arguments, exit code, both outputs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/engine/io/temporary_folder.h"

namespace tessera::testing_support {

struct ProgramResult {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out, err;
};

// The binary of this build: TESSERA_BINARY, default build/tessera. Tests that need it skip, saying so, where it is
// absent.
std::filesystem::path program();

// stop_after_seconds > 0: sends SIGTERM then.
ProgramResult run_command(const std::filesystem::path& binary, const std::vector<std::string>& arguments,
                          double stop_after_seconds = 0);
ProgramResult run_program(const std::vector<std::string>& arguments, double stop_after_seconds = 0);

// Sends SIGTERM as soon as the file is there.
ProgramResult run_program_until(const std::vector<std::string>& arguments, const std::filesystem::path& file);

std::string file_content(const std::filesystem::path& file);

}  // namespace tessera::testing_support

#define TESSERA_REQUIRE_PROGRAM()                                      \
  if (!std::filesystem::exists(::tessera::testing_support::program())) \
  GTEST_SKIP() << "no program: make all, or set TESSERA_BINARY"
