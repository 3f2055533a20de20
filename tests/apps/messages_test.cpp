// What the program says when something is not as it should be: the reason, and a try line that works.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/io/safetensors.h"
#include "tests/apps/program_fixture.h"

namespace tessera {
namespace {

using namespace testing_support;
using nlohmann::json;

class Messages : public Program {
 protected:
  static std::string hint_of(const ProgramResult& result) {
    const size_t at = result.err.rfind("  try: ");
    return at == std::string::npos ? "" : result.err.substr(at + 7, result.err.find('\n', at) - at - 7);
  }
  static std::vector<std::string> words(const std::string& command) {
    std::istringstream stream(command);
    std::vector<std::string> list;
    for (std::string word; stream >> word;) list.push_back(word);
    return list;
  }
};

TEST_F(Messages, UnknownKeysNameTheNearestOrTheListOfAll) {
  std::ofstream(path("misspelt.json")) << R"({"modle": {"classes": 3}})";
  expect_error(run_program({"train", path("misspelt.json"), "--out", path("x")}), 2,
               "unknown key \"modle\", did you mean \"model\"?");
  expect_error(run_program(training("x", {"lr=2"})), 2, "did you mean \"train.learning_rate\"?");
  EXPECT_EQ(hint_of(run_program(training("x", {"zzzzzz=2"}))), "tessera train --help-keys");
  EXPECT_EQ(hint_of(run_program(training("x", {"train.batch=0"}))),
            "a value for \"train.batch\": pictures per step (integer, 1 to 4096; default 16)");
  const ProgramResult keys = run_program({"train", "--help-keys"});
  EXPECT_EQ(keys.exit_code, 0);
  EXPECT_EQ(keys.out.find("e+"), std::string::npos) << keys.out;
}

TEST_F(Messages, FilesThatAreNotThereAreNamed) {
  expect_error(run_program({"predict", trained(), path("missing.jpg"), "-o", path("x")}), 3,
               path("missing.jpg") + ": no such file or folder");
  std::filesystem::create_directories(path("hollow"));
  expect_error(run_program({"predict", trained(), path("hollow"), "-o", path("x")}), 3, "a folder without pictures");
  expect_error(run_program({"predict", trained(), path("hollow/*.jpg"), "-o", path("x")}), 3, "no file matches");
  expect_error(run_program({"train", "--resume", path("nix")}), 2, path("nix") + ": no run to resume");
  expect_error(run_program({"bench", "infer", path("nix.json")}), 4, path("nix.json") + ": no such file");
  expect_error(run_program({"bench", "infer", trained(), "--size", "32x32", "--compare", path("nix.json")}), 2,
               path("nix.json") + ": not the --json output");
  std::ofstream(path("orphan.json")) << R"({"base": "nix.json"})";
  expect_error(run_program({"train", path("orphan.json"), "--out", path("x")}), 2,
               "which " + path("orphan.json") + " names as its \"base\"");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(Messages, PlacesThatCannotBeWrittenAreMistakesOfUsage) {
  std::ofstream(path("occupied")) << "a file";
  expect_error(run_program({"predict", trained(), images(), "-o", path("occupied")}), 2, path("occupied") + ": ");
  expect_error(run_program({"data", "show", annotations(), "--images", images(), "-o", path("s.txt")}), 2,
               "a picture's name ends in .png or .jpg");
}

TEST_F(Messages, OtherFilesGivenAsWeightsAreNamedByTheirContent) {
  const std::string picture = images() + "/scenes_00000.png";
  expect_error(run_program({"predict", picture, trained(), "-o", path("x")}), 4, picture + ": a picture");
  const std::string pth = path("net.pth");
  std::ofstream(pth, std::ios::binary) << std::string("PK\x03\x04\0\0\x08\x08\0\0\0\0", 12);
  for (const std::vector<std::string>& command : {std::vector<std::string>{"predict", pth, images(), "-o", path("x")},
                                                  {"eval", pth, "--data", annotations(), "--images", images()},
                                                  {"model", "info", pth},
                                                  training("x", {"--init", pth})}) {
    const ProgramResult run = run_program(command);
    expect_error(run, 4, pth + ": a zip archive");
    EXPECT_EQ(hint_of(run), "tessera convert " + pth + " " + path("net.safetensors"));
  }
}

TEST_F(Messages, ModelInfoListsForeignTensorsAndCountsThoseOfParts) {
  const std::vector<float> values(6, 0.5f);
  write_safetensors(path("foreign.safetensors"),
                    {{"layer.weight", {2, 3}, values.data()}, {"layer.bias", {2}, values.data()}}, {});
  const ProgramResult list = run_program({"model", "info", path("foreign.safetensors")});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_NE(list.out.find("2 tensors, 8 elements"), std::string::npos) << list.out;
  EXPECT_NE(list.out.find("[2, 3]"), std::string::npos) << list.out;
  const ProgramResult machine = run_program({"model", "info", path("foreign.safetensors"), "--json"});
  EXPECT_EQ(json::parse(machine.out)["tensors"].size(), 2u);
  expect_error(run_program({"predict", path("foreign.safetensors"), images(), "-o", path("x")}), 4,
               "not a weight file of this program");

  const json whole = json::parse(run_program({"model", "info", trained(), "--json", "--size", "64x64"}).out);
  EXPECT_EQ(whole["tensors_in_file"], whole["tensors_of_model"]);
  const SafetensorsFile file(trained());
  const SafetensorsEntry& entry = file.entries().front();
  const std::vector<float> part = file.read_f32(entry);
  write_safetensors(path("part.safetensors"), {{entry.name, entry.shape, part.data()}}, file.metadata());
  const ProgramResult partial = run_program({"model", "info", path("part.safetensors"), "--size", "64x64"});
  EXPECT_EQ(partial.exit_code, 0) << partial.err;
  EXPECT_NE(partial.out.find("partial: 1 of " + std::to_string(whole["tensors_of_model"].get<int64_t>()) + " tensors"),
            std::string::npos)
      << partial.out;
}

// The command it names runs: a new run from the newest checkpoint, for a resume would only diverge again.
TEST_F(Messages, ADivergedRunNamesACommandThatWorks) {
  const ProgramResult run = run_program(training("diverged", {"train.iterations=40", "train.learning_rate=100",
                                                              "train.clip=0", "train.warmup=0", "checkpoint.every=1"}));
  ASSERT_EQ(run.exit_code, 5) << run.err;
  std::vector<std::string> command = words(hint_of(run));
  ASSERT_GT(command.size(), 5u) << run.err;
  EXPECT_EQ(command[0], "tessera");
  EXPECT_NE(hint_of(run).find("train.learning_rate=25 "), std::string::npos) << run.err;
  command.erase(command.begin());
  for (const char* more : {"train.iterations=1", "train.learning_rate=0.0001"}) command.emplace_back(more);
  const ProgramResult again = run_program(command);
  // The weights of the last step before may be of a size at which any step fails.
  EXPECT_TRUE(again.exit_code == 0 || again.exit_code == 5) << again.err;
}

TEST_F(Messages, ResultsOfOtherPicturesNameTheirFile) {
  std::ofstream(path("results.json")) << R"([{"image_id": 999, "category_id": 1, "score": 0.5, "bbox": [1, 1, 5, 5]}])";
  expect_error(run_program({"eval", "--results", path("results.json"), "--data", annotations(), "--iou", "bbox"}), 3,
               path("results.json") + ": result 0 of the list is of image_id 999");
}

TEST_F(Messages, FrozenLayersWithoutTrainedWeightsAreNoted) {
  std::vector<std::string> frozen =
      training("frozen", {"train.iterations=1", "model.backbone.norm=frozen_bn", "model.backbone.freeze_at=2"});
  std::erase(frozen, "-q");
  const ProgramResult run = run_program(frozen);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.err.find("frozen tensors (backbone.bottom_up.stem.conv1.weight, ...) keep what they start with"),
            std::string::npos)
      << run.err;
  EXPECT_NE(run.err.find("--init"), std::string::npos) << run.err;
  std::vector<std::string> begun =
      training("thawed", {"train.iterations=1", "model.backbone.norm=frozen_bn", "model.backbone.freeze_at=2", "--init",
                          path("frozen/final.safetensors")});
  std::erase(begun, "-q");
  const ProgramResult second = run_program(begun);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.err.find("keep what they start with"), std::string::npos) << second.err;
}

// Loss, learning rate, memory and the share of time spent waiting for data; the first line comes after two seconds.
TEST_F(Messages, TheProgressOfATrainingHasItsFields) {
  std::vector<std::string> endless = training("endless", {"train.iterations=1000000", "log.every=1000"});
  std::erase(endless, "-q");
  const ProgramResult run = run_program(endless, 5);
  EXPECT_EQ(run.exit_code, 75) << run.err;
  const size_t line = run.err.find("training    0%  ");
  ASSERT_NE(line, std::string::npos) << run.err;
  for (const char* field : {" pictures/s", "loss ", "lr ", "iB  ", "% waiting for data"})
    EXPECT_NE(run.err.find(field, line), std::string::npos) << field << "\n" << run.err;
}

TEST_F(Messages, AResumeKeepsTheCommandThatBeganTheRun) {
  ASSERT_EQ(run_program(training("kept", {"train.iterations=1"})).exit_code, 0);
  ASSERT_EQ(run_program({"train", "--resume", path("kept"), "-q"}).exit_code, 0);
  const std::string report = file_content(path("kept/report.html"));
  EXPECT_NE(report.find("tessera train configs/gridmask_fcos_tiny_shapes.json data.train.annotations"),
            std::string::npos);
  EXPECT_NE(report.find("tessera train --resume"), std::string::npos);
}

TEST_F(Messages, VersionAndHelpSayWhatItIs) {
  EXPECT_EQ(run_program({"--version"}).out, "tessera 1.0.0\n");
  EXPECT_NE(run_program({"--help"}).out.find("YOLACTR"), std::string::npos);
}

}  // namespace
}  // namespace tessera
