#include "engine/io/jsonl_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <sstream>

#include "engine/core/error.h"
#include "engine/io/json_text.h"
#include "tests/engine/io/temporary_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

std::string slurp(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

TEST(JsonText, NumbersTextsAndObjects) {
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(0.1f), "0.1");
  EXPECT_EQ(json_number(1e-300), "1e-300");
  EXPECT_EQ(std::stod(json_number(0.1 + 0.2)), 0.1 + 0.2);
  EXPECT_EQ(json_number(std::nan("")), "null");
  EXPECT_EQ(json_number(-INFINITY), "null");
  EXPECT_EQ(json_string("a\"\n\xc3\xa9"), "\"a\\\"\\n\xc3\xa9\"");
  EXPECT_EQ(json_string("\xff"), "\"\xef\xbf\xbd\"");
  EXPECT_EQ(JsonObject()
                .add("iteration", 5)
                .add("loss", 0.25)
                .add("ok", true)
                .add("name", "x")
                .add_raw("more", JsonObject().text())
                .text(),
            "{\"iteration\": 5, \"loss\": 0.25, \"ok\": true, \"name\": \"x\", \"more\": {}}");
  EXPECT_EQ(json_strings({"a", "b\"c"}), "[\"a\", \"b\\\"c\"]");
  EXPECT_EQ(parse_json_strings(json_strings({"a", "b\"c"}), "x"), (std::vector<std::string>{"a", "b\"c"}));
  EXPECT_TRUE(parse_json_strings(json_strings({}), "x").empty());
  for (const char* text : {"", "{}", "[1]", "[\"a\"", "5"}) EXPECT_THROW(parse_json_strings(text, "x"), Error);
}

TEST(JsonlLog, AppendsWholeLines) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "log.jsonl";
  {
    JsonlLog log(path);
    EXPECT_TRUE(log.write("{\"iteration\": 0}"));
    EXPECT_EQ(slurp(path), "{\"iteration\": 0}\n");  // on its way at once, not at the end
    EXPECT_TRUE(log.write("{\"iteration\": 1}"));
  }
  JsonlLog again(path);
  again.write("{\"iteration\": 2}");
  EXPECT_EQ(slurp(path), "{\"iteration\": 0}\n{\"iteration\": 1}\n{\"iteration\": 2}\n");
}

TEST(JsonlLog, ResumeRemovesWhatWillBeDoneAgain) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "log.jsonl";
  std::ofstream(path) << "{\"run\": \"start\"}\n{\"iteration\": 9}\n{\"iteration\": 10}\nrubbish\n{\"iteration\": 11}\n"
                         "{\"iteration\": 9, \"type\": \"eval\"}\n{\"iteration\": 1";
  {
    JsonlLog log(path, [](std::string_view, int64_t iteration) { return iteration <= 9; });
  }
  EXPECT_EQ(slurp(path), "{\"run\": \"start\"}\n{\"iteration\": 9}\n{\"iteration\": 9, \"type\": \"eval\"}\n");
  {
    JsonlLog log(path, [](std::string_view type, int64_t) { return type != "eval"; });
  }
  EXPECT_EQ(slurp(path), "{\"run\": \"start\"}\n{\"iteration\": 9}\n");
}

// A limit on the size of files stands for a full disk: the second line is cut in the middle.
TEST(JsonlLog, FullDiskDropsLinesAndGoesOn) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "log.jsonl";
  JsonlLog log(path);
  ::testing::internal::CaptureStderr();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{20, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const bool first = log.write("{\"iteration\": 0}");
  const bool second = log.write("{\"iteration\": 1}");
  const bool third = log.write("{\"iteration\": 2}");
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(::testing::internal::GetCapturedStderr().starts_with("warning: "));  // cut by the limit as well
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  EXPECT_FALSE(third);
  EXPECT_EQ(log.dropped(), 2);
  EXPECT_TRUE(log.write("{\"iteration\": 3}"));
  EXPECT_EQ(slurp(path), "{\"iteration\": 0}\n{\"iteration\": 3}\n");
}

TEST(JsonlLog, MissingFolderIsAnError) {
  const TemporaryFolder folder;
  EXPECT_THROW(JsonlLog(folder.path() / "absent" / "log.jsonl"), Error);
}

}  // namespace
}  // namespace tessera
