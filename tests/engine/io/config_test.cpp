#include "engine/io/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "engine/core/error.h"
#include "tests/engine/io/temporary_folder.h"

namespace tessera {
namespace {

using testing_support::TemporaryFolder;

ConfigTable small_table() {
  return {
      ConfigKey::integer("train.batch", 16, 1, 1024, "pictures per iteration"),
      ConfigKey::integer("train.iterations", 90000, 0, 100000000, "length of the run"),
      ConfigKey::number("train.learning_rate", 0.01, 0, 100, "peak learning rate"),
      ConfigKey::integers("train.steps", {60000, 80000}, 0, 100000000, "iterations of the decay"),
      ConfigKey::boolean("train.flip", true, "mirror half of the pictures"),
      ConfigKey::numbers("model.mean", {0.5, 0.25, 0}, -1000, 1000, "per channel"),
      ConfigKey::choice("model.norm", "gn", {"gn", "bn", "none"}, "norm of the towers"),
      ConfigKey::string("data.train.annotations", "", "COCO file"),
      ConfigKey::strings("model.class_names", {}, "names of the classes"),
      ConfigKey::integer("seed", 1, 0, INT64_MAX, "of all random numbers"),
  };
}

// The message of the Error(usage) that body throws.
template <typename Body>
std::string usage_error(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

std::string json_error(const std::string& text) {
  return usage_error([&] { Config::from_json(small_table(), text, "a.json"); });
}

std::string override_error(const std::string& text) {
  return usage_error([&] { Config(small_table()).merge_override(text); });
}

TEST(Config, DefaultsAndTypes) {
  const Config config(small_table());
  EXPECT_EQ(config.get_int("train.batch"), 16);
  EXPECT_EQ(config.get_number("train.learning_rate"), 0.01);
  EXPECT_EQ(config.get_number("train.batch"), 16.0);
  EXPECT_TRUE(config.get_bool("train.flip"));
  EXPECT_EQ(config.get_ints("train.steps"), (std::vector<int64_t>{60000, 80000}));
  EXPECT_EQ(config.get_numbers("model.mean"), (std::vector<double>{0.5, 0.25, 0}));
  EXPECT_EQ(config.get_string("model.norm"), "gn");
  EXPECT_TRUE(config.get_strings("model.class_names").empty());
  EXPECT_FALSE(config.is_set("seed"));
  EXPECT_THROW(config.get_int("train.bacth"), Error);
  EXPECT_THROW(config.get_int("train.learning_rate"), Error);
}

TEST(Config, FilesNestOrDotAndHoldComments) {
  const Config config = Config::from_json(small_table(), R"(
    // of the small run
    {"train": {"batch": 4, "iterations": 2e4, /* one of each */ "flip": false}, "model.norm": "bn",
     "data": {"train": {"annotations": "a/b.json"}}, "model": {"class_names": ["cell", "nut"], "mean": [1, 2.5]},
     "train.learning_rate": 1})",
                                          "a.json");
  EXPECT_EQ(config.get_int("train.batch"), 4);
  EXPECT_EQ(config.get_int("train.iterations"), 20000);
  EXPECT_FALSE(config.get_bool("train.flip"));
  EXPECT_EQ(config.get_string("model.norm"), "bn");
  EXPECT_EQ(config.get_string("data.train.annotations"), "a/b.json");
  EXPECT_EQ(config.get_strings("model.class_names"), (std::vector<std::string>{"cell", "nut"}));
  EXPECT_EQ(config.get_numbers("model.mean"), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(config.get_number("train.learning_rate"), 1.0);
  EXPECT_TRUE(config.is_set("train.batch"));
  EXPECT_EQ(config.source_of("train.batch"), "a.json");
  EXPECT_FALSE(config.is_set("train.steps"));
}

TEST(Config, MistakesNameFileAndKey) {
  EXPECT_EQ(json_error(R"({"train": {"bacth": 4}})"),
            "a.json: unknown key \"train.bacth\", did you mean \"train.batch\"?");
  EXPECT_EQ(json_error(R"({"batch": 4})"), "a.json: unknown key \"batch\", did you mean \"train.batch\"?");
  EXPECT_EQ(json_error(R"({"lr": {"learning_rate": 4}})"),
            "a.json: unknown key \"lr.learning_rate\", did you mean \"train.learning_rate\"?");
  EXPECT_EQ(json_error(R"({"modle": {"norm": "bn"}})"), "a.json: unknown key \"modle\", did you mean \"model\"?");
  EXPECT_EQ(json_error(R"({"data": {"trian": {"annotations": "a"}}})"),
            "a.json: unknown key \"data.trian\", did you mean \"data.train\"?");
  EXPECT_EQ(json_error(R"({"zzzzzz": {"qqqqqq": 4}})"), "a.json: unknown key \"zzzzzz.qqqqqq\"");
  EXPECT_EQ(json_error(R"({"train": 4})"), "a.json: key \"train\": expected an object of keys, not 4");
  EXPECT_EQ(json_error(R"({"train": {"batch": "4"}})"), "a.json: key \"train.batch\": expected integer, not \"4\"");
  EXPECT_EQ(json_error(R"({"train": {"batch": 4.5}})"), "a.json: key \"train.batch\": expected integer, not 4.5");
  EXPECT_EQ(json_error(R"({"train": {"batch": 0}})"), "a.json: key \"train.batch\": 0 is below the minimum 1");
  EXPECT_EQ(json_error(R"({"train": {"batch": 18446744073709551615}})"),
            "a.json: key \"train.batch\": expected integer, not 18446744073709551615");
  EXPECT_EQ(json_error(R"({"train": {"steps": [1, -2]}})"), "a.json: key \"train.steps\": -2 is below the minimum 0");
  EXPECT_EQ(json_error(R"({"train": {"steps": 7}})"), "a.json: key \"train.steps\": expected list of integers, not 7");
  EXPECT_EQ(json_error(R"({"train": {"flip": 1}})"), "a.json: key \"train.flip\": expected true or false, not 1");
  EXPECT_EQ(json_error(R"({"model": {"norm": "ln"}})"), "a.json: key \"model.norm\": \"ln\" is none of gn, bn, none");
  EXPECT_EQ(json_error(R"({"seed": 1, "seed": 2})"), "a.json: key \"seed\" is given twice");
  EXPECT_EQ(json_error(R"({"train.batch": 1, "train": {"batch": 2}})"), "a.json: key \"train.batch\" is given twice");
  EXPECT_EQ(json_error("[]"), "a.json: not a JSON object");
  EXPECT_EQ(json_error(R"({"base": "b.json"})"), "a.json: key \"base\" is for config files");
  EXPECT_NE(json_error("{\"seed\":\n 1,,}").find("a.json: parse error at line 2, column 4"), std::string::npos);
  EXPECT_NE(json_error("{\"train\": {\"learning_rate\": 1e999}}").find("a.json: "), std::string::npos);
  EXPECT_NE(json_error("").find("a.json: parse error"), std::string::npos);
  EXPECT_NE(json_error(std::string(200000, '[')).find("a.json: parse error"), std::string::npos);
}

TEST(Config, Overrides) {
  Config config(small_table());
  for (const char* text :
       {"train.batch=4", "train.learning_rate=2e-3", "train.steps=10,20", "train.flip=false", "model.mean=[1, 2]",
        "model.norm=bn", "data.train.annotations=a=b.json", "model.class_names=cell,nut"}) {
    config.merge_override(text);
  }
  EXPECT_EQ(config.get_int("train.batch"), 4);
  EXPECT_EQ(config.get_number("train.learning_rate"), 2e-3);
  EXPECT_EQ(config.get_ints("train.steps"), (std::vector<int64_t>{10, 20}));
  EXPECT_FALSE(config.get_bool("train.flip"));
  EXPECT_EQ(config.get_numbers("model.mean"), (std::vector<double>{1, 2}));
  EXPECT_EQ(config.get_string("model.norm"), "bn");
  EXPECT_EQ(config.get_string("data.train.annotations"), "a=b.json");
  EXPECT_EQ(config.get_strings("model.class_names"), (std::vector<std::string>{"cell", "nut"}));
  config.merge_override("train.steps=");
  EXPECT_TRUE(config.get_ints("train.steps").empty());
  config.merge_override("data.train.annotations=\"a b\"");
  EXPECT_EQ(config.get_string("data.train.annotations"), "a b");

  EXPECT_EQ(override_error("train.batch"), "command line: \"train.batch\" is not of the form key=value");
  EXPECT_EQ(override_error("train.batch=many"), "command line: key \"train.batch\": expected integer, not \"many\"");
  EXPECT_EQ(override_error("train.batch="), "command line: key \"train.batch\": expected integer, not \"\"");
  EXPECT_EQ(override_error("train.steps=1,,2"),
            "command line: key \"train.steps\": expected list of integers, not [1,\"\",2]");
  EXPECT_EQ(override_error("train.leraning_rate=1"),
            "command line: unknown key \"train.leraning_rate\", did you mean \"train.learning_rate\"?");
  EXPECT_EQ(override_error("base=x.json"), "command line: unknown key \"base\"");
  EXPECT_EQ(override_error("lr=2"), "command line: unknown key \"lr\", did you mean \"train.learning_rate\"?");
  EXPECT_EQ(override_error("iter=2"), "command line: unknown key \"iter\", did you mean \"train.iterations\"?");
}

// The hint of the error says what would be right.
TEST(Config, MistakesSayWhatToTry) {
  const auto hint_of = [](const std::string& assignment) {
    try {
      Config(small_table()).merge_override(assignment);
    } catch (const Error& error) {
      return error.hint();
    }
    return std::string("no error");
  };
  EXPECT_EQ(hint_of("train.batch=0"),
            "a value for \"train.batch\": pictures per iteration (integer, 1 to 1024; default 16)");
  EXPECT_EQ(hint_of("model.norm=ln"),
            "a value for \"model.norm\": norm of the towers (gn | bn | none; default \"gn\")");
  EXPECT_EQ(hint_of("zzzzzz=1"), "tessera train --help-keys");
  EXPECT_EQ(hint_of("train.bacth=1"), "write \"train.batch\" in place of \"train.bacth\"");
  EXPECT_NE(format_config_table(small_table()).find("(integer, 0 to 100000000; default 90000)"), std::string::npos);
}

TEST(Config, BaseIsMergedFirstAndRelativeToItsFile) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "sub");
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
    return folder.path() / name;
  };
  write("grand.json", R"({"seed": 7, "train": {"batch": 2, "iterations": 10}})");
  write("parent.json", R"({"train": {"batch": 3}, "base": "grand.json"})");
  const auto child = write("sub/child.json", R"({"base": "../parent.json", "train": {"iterations": 30}})");
  const Config config = Config::load(small_table(), child, {"train.iterations=40"});
  EXPECT_EQ(config.get_int("seed"), 7);
  EXPECT_EQ(config.get_int("train.batch"), 3);
  EXPECT_EQ(config.get_int("train.iterations"), 40);
  EXPECT_EQ(config.source_of("train.iterations"), "command line");
  EXPECT_NE(config.source_of("seed").find("grand.json"), std::string::npos);

  const auto loop = write("loop.json", R"({"base": "sub/../loop.json"})");
  EXPECT_NE(usage_error([&] { Config::load(small_table(), loop); }).find("inherits from itself"), std::string::npos);
  const auto orphan = write("orphan.json", R"({"base": "nowhere.json"})");
  EXPECT_NE(usage_error([&] { Config::load(small_table(), orphan); }).find("orphan.json names as its \"base\""),
            std::string::npos);
  const auto number = write("number.json", R"({"base": 5})");
  EXPECT_NE(usage_error([&] { Config::load(small_table(), number); }).find("expected a file name"), std::string::npos);
  EXPECT_NE(usage_error([&] { Config::load(small_table(), folder.path()); }).find("cannot read"), std::string::npos);
}

TEST(Config, JsonRoundTripKeepsEveryBit) {
  Config config(small_table());
  config.set("train.learning_rate", 0.1 + 0.2);
  config.set("seed", INT64_MAX);
  config.set("model.class_names", std::vector<std::string>{"a \"b\"", "\xc3\xa9"});
  config.set("train.steps", std::vector<int64_t>{});
  const Config again = Config::from_json(small_table(), config.to_json("", -1), "metadata");
  EXPECT_EQ(again.get_number("train.learning_rate"), 0.1 + 0.2);
  EXPECT_EQ(again.get_int("seed"), INT64_MAX);
  EXPECT_EQ(again.to_json(), config.to_json());
  EXPECT_EQ(config.to_json("model.no", -1), R"({"model":{"norm":"gn"}})");
  EXPECT_NE(config.to_json().find("\"train\": {\n    \"batch\": 16,"), std::string::npos);
}

TEST(Config, SetChecksRangesAndTypes) {
  Config config(small_table());
  EXPECT_EQ(usage_error([&] { config.set("train.batch", int64_t{0}, "loader"); }),
            "loader: key \"train.batch\": 0 is below the minimum 1");
  EXPECT_THROW(config.set("train.batch", 2.0), Error);
  EXPECT_EQ(usage_error([&] { config.set("train.learning_rate", std::nan("")); }),
            "program: key \"train.learning_rate\": nan is not finite");
}

TEST(ConfigTable, IsValidated) {
  const auto keys = [](std::vector<std::string> names) {
    ConfigTable table;
    for (std::string& name : names) table.push_back(ConfigKey::integer(std::move(name), 1, 0, 2, ""));
    return table;
  };
  EXPECT_NO_THROW(validate_config_table(keys({"a.b", "a.c", "ab"})));
  EXPECT_THROW(validate_config_table(keys({"a.b", "a.b"})), Error);
  EXPECT_THROW(validate_config_table(keys({"a.b", "a"})), Error);
  EXPECT_THROW(validate_config_table(keys({"base"})), Error);
  EXPECT_THROW(validate_config_table({ConfigKey::integer("a", 3, 0, 2, "")}), Error);
  EXPECT_THROW(validate_config_table({ConfigKey::choice("a", "x", {"y"}, "")}), Error);
  EXPECT_EQ(join({keys({"a"}), keys({"b", "c"})}).size(), 3u);
}

TEST(ConfigTable, IsReadable) {
  EXPECT_EQ(format_config_table({ConfigKey::integer("train.batch", 16, 1, 1024, "pictures per iteration"),
                                 ConfigKey::choice("norm", "gn", {"gn", "bn"}, "of the towers"),
                                 ConfigKey::numbers("mean", {0.5, 1}, -9, 9, "per channel")}),
            "  train.batch  pictures per iteration (integer, 1 to 1024; default 16)\n"
            "  norm         of the towers (gn | bn; default \"gn\")\n"
            "  mean         per channel (list of numbers, -9 to 9; default [0.5, 1])\n");
}

}  // namespace
}  // namespace tessera
