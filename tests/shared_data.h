// Pictures, annotations and goldens that are not part of the repository. Tests that use them take the folder from
// TESSERA_DATA (default ../shared/data where that exists) and skip, saying so, where it is absent.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tessera::testing_support {

// The folder, or an empty path.
inline std::filesystem::path shared_data() {
  if (const char* folder = std::getenv("TESSERA_DATA")) return folder;
  const std::filesystem::path beside = "../shared/data";
  return std::filesystem::is_directory(beside) ? beside : std::filesystem::path{};
}

}  // namespace tessera::testing_support

// First line of a test that needs a file or folder of the shared data.
#define TESSERA_REQUIRE_SHARED_DATA()                    \
  if (::tessera::testing_support::shared_data().empty()) \
  GTEST_SKIP() << "no shared data: set TESSERA_DATA to its folder"
