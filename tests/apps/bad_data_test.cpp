// Data sets with something wrong: said before hours are spent, named, and no work lost to it.
#include <sys/resource.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/annotations/coco_results.h"
#include "data/image/encode.h"
#include "data/image/image.h"
#include "tests/apps/program_fixture.h"
#include "tests/sanitized.h"

namespace tessera {
namespace {

using namespace testing_support;
using nlohmann::json;

class BadData : public Program {
 protected:
  // The set with changes, under another name.
  template <typename Change>
  static std::string changed(const std::string& name, Change&& change) {
    json set = json::parse(file_content(annotations()));
    change(set);
    std::ofstream(path(name)) << set.dump();
    return path(name);
  }
  // A copy of the pictures that a test may spoil.
  static std::string copied_images(const std::string& name) {
    std::filesystem::copy(images(), path(name));
    return path(name);
  }
  static std::string picture(const std::string& folder, int index) {
    return folder + "/scenes_0000" + std::to_string(index) + ".png";
  }
  static void spoil(const std::string& file) { std::ofstream(file) << "<html>not found</html>"; }
  // The checksum of its pixels, before the twelve bytes of the end mark: the picture is complete.
  static void damage(const std::string& file) {
    std::string bytes = file_content(file);
    char& last = bytes.at(bytes.size() - 13);
    last = static_cast<char>(last ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;
  }
  // Arguments without -q.
  static std::vector<std::string> talking(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = training(out, more);
    std::erase(arguments, "-q");
    return arguments;
  }
  static int64_t count_of(const std::string& text, const std::string& part) {
    int64_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
  }
};

TEST_F(BadData, AValidationSetIsLookedAtBeforeTheFirstStep) {
  const std::string other = changed("other_category.json", [](json& set) {
    set["categories"].push_back({{"id", 77}, {"name", "comet"}});
  });
  expect_error(run_program(training(
                   "v1", {"train.iterations=2", "data.val.annotations=" + other, "data.val.images=" + images()})),
               3, "category 77 ('comet')");
  EXPECT_FALSE(std::filesystem::exists(path("v1")));

  const std::string folder = copied_images("val_images");
  std::filesystem::remove(picture(folder, 5));
  expect_error(run_program(training(
                   "v2", {"train.iterations=2", "data.val.annotations=" + annotations(), "data.val.images=" + folder})),
               3, picture(folder, 5));
  EXPECT_FALSE(std::filesystem::exists(path("v2")));
}

TEST_F(BadData, MissingTrainingPicturesCountAgainstTheQuotaBeforeTheFirstStep) {
  const std::string folder = copied_images("train_images");
  std::filesystem::remove(picture(folder, 3));
  std::vector<std::string> arguments = talking("m1", {"train.iterations=8"});
  for (std::string& argument : arguments) {
    if (argument.starts_with("data.train.images=")) argument = "data.train.images=" + folder;
  }
  expect_error(run_program(arguments), 3, "1 of 8 pictures missing: " + picture(folder, 3));
  EXPECT_FALSE(std::filesystem::exists(path("m1")));
  arguments.push_back("data.corrupt_quota=0.2");
  const ProgramResult run = run_program(arguments);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(count_of(run.err, picture(folder, 3)), 1) << run.err;
}

TEST_F(BadData, AFailingEvaluationLosesNoTraining) {
  const std::string folder = copied_images("spoilt_images");
  spoil(picture(folder, 7));
  const ProgramResult run =
      run_program(talking("spoilt", {"train.iterations=4", "evaluate.every=2", "checkpoint.every=2",
                                     "data.val.annotations=" + annotations(), "data.val.images=" + folder}));
  expect_error(run, 3, "final.safetensors: trained and saved, its evaluation failed: " + picture(folder, 7));
  EXPECT_NE(run.err.find("note: no evaluation, training goes on: " + picture(folder, 7)), std::string::npos) << run.err;
  for (const char* file : {"checkpoint_00000002.safetensors", "checkpoint_00000004.safetensors", "final.safetensors",
                           "report.html", "curves.svg"}) {
    EXPECT_TRUE(std::filesystem::exists(path(std::string("spoilt/") + file))) << file;
  }
  EXPECT_EQ(run_program({"eval", path("spoilt/final.safetensors"), "--data", annotations(), "--images", images(), "-q",
                         "--json"})
                .exit_code,
            0);
}

// A signal in the last evaluation: stopped within a picture, and a resume evaluates.
TEST_F(BadData, AStopDuringTheEvaluationIsHeard) {
  const std::string many = changed("many.json", [](json& set) {
    const json pictures = set["images"];
    for (int copy = 1; copy <= 400; ++copy) {
      for (json picture : pictures) {
        picture["id"] = picture["id"].get<int64_t>() + 100 * copy;
        set["images"].push_back(picture);
      }
    }
  });
  const ProgramResult stopped =
      run_program_until(training("heard", {"train.iterations=2", "evaluate.samples=0", "data.val.annotations=" + many,
                                           "data.val.images=" + images()}),
                        path("heard/final.safetensors"));
  EXPECT_EQ(stopped.exit_code, 75) << stopped.err;
  EXPECT_NE(stopped.err.find("tessera train --resume " + path("heard")), std::string::npos) << stopped.err;
  EXPECT_EQ(count_of(file_content(path("heard/log.jsonl")), "\"eval\""), 0);

  json config = json::parse(file_content(path("heard/config.json")));
  config["data"]["val"]["annotations"] = annotations();
  std::ofstream(path("heard/config.json")) << config.dump();
  EXPECT_EQ(run_program({"train", "--resume", path("heard"), "-q"}).exit_code, 0);
  EXPECT_EQ(count_of(file_content(path("heard/log.jsonl")), "\"eval\""), 1);
}

// The evaluation that a stop left out on the way is made up for by the resume.
TEST_F(BadData, AResumeMakesTheEvaluationThatIsMissing) {
  const std::vector<std::string> set = {"data.val.annotations=" + annotations(), "data.val.images=" + images()};
  ASSERT_EQ(
      run_program(training("leg", {"train.iterations=4", "evaluate.every=2", "checkpoint.every=2", set[0], set[1]}))
          .exit_code,
      0);
  std::filesystem::remove(path("leg/checkpoint_00000004.safetensors"));
  std::string kept;
  std::ifstream log(path("leg/log.jsonl"));
  for (std::string line; std::getline(log, line);) {
    if (json::parse(line)["type"] == "train") kept += line + "\n";
  }
  log.close();
  std::ofstream(path("leg/log.jsonl")) << kept;
  ASSERT_EQ(run_program({"train", "--resume", path("leg"), "-q"}).exit_code, 0);
  EXPECT_EQ(count_of(file_content(path("leg/log.jsonl")), "\"eval\""), 2);
}

TEST_F(BadData, RemarksOnPicturesAreMadeOnce) {
  const std::string folder = copied_images("damaged_images");
  damage(picture(folder, 0));
  const std::string note = "note: " + picture(folder, 0) + ": damaged: ";
  std::vector<std::string> arguments =
      talking("damaged", {"train.iterations=12", "data.cache_mb=0", "evaluate.every=4",
                          "data.val.annotations=" + annotations(), "data.val.images=" + folder});
  for (std::string& argument : arguments) {
    if (argument.starts_with("data.train.images=")) argument = "data.train.images=" + folder;
  }
  const ProgramResult run = run_program(arguments);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(count_of(run.err, note), 1) << run.err;
  const ProgramResult eval = run_program({"eval", trained(), "--data", annotations(), "--images", folder});
  EXPECT_EQ(count_of(eval.err, note), 1) << eval.err;
  const ProgramResult predict = run_program({"predict", trained(), folder, "-o", path("damaged_out")});
  EXPECT_EQ(count_of(predict.err, note), 1) << predict.err;
  const ProgramResult quiet = run_program({"predict", trained(), folder, "-o", path("damaged_out"), "-q"});
  EXPECT_EQ(quiet.err, "");
}

TEST_F(BadData, PredictGoesOnWithTheOtherPictures) {
  const std::string folder = path("mixed");
  std::filesystem::create_directories(folder);
  write_png(folder + "/thin.png", Image(5000, 1, {200, 10, 10}));
  std::filesystem::copy(picture(images(), 0), folder + "/good.png");
  spoil(folder + "/page.jpg");
  const ProgramResult predict = run_program({"predict", "configs/gridmask_fcos_tiny_nuclei.json", folder, "-o",
                                             path("mixed_out"), "--weights", "random", "--json"});
  ASSERT_EQ(predict.exit_code, 0) << predict.err;
  EXPECT_EQ(json::parse(predict.out)["pictures"], 2);
  EXPECT_NE(predict.err.find("skipped: " + folder + "/page.jpg"), std::string::npos) << predict.err;
  EXPECT_EQ(json::parse(file_content(path("mixed_out/images.json")))["images"].size(), 2u);
}

// Memory limited as by a user's ulimit.
TEST_F(BadData, PicturesTooLargeForTheMemoryAreNamed) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer takes address space of its own";
  const auto predict = [&](const std::vector<std::string>& inputs) {
    std::vector<std::string> words = {"predict", "configs/gridmask_fcos_tiny_shapes.json"};
    words.insert(words.end(), inputs.begin(), inputs.end());
    words.insert(words.end(), {"-o", path("too_large"), "--weights", "random", "--json", "--size", "5600", "--threads",
                               "1", "--device", "cpu"});
    rlimit before{};
    getrlimit(RLIMIT_AS, &before);
    const rlimit limited{size_t{1} << 29, before.rlim_max};  // the floats of 5600 x 5600 pixels are 376 MB
    setrlimit(RLIMIT_AS, &limited);
    const ProgramResult result = run_program(words);
    setrlimit(RLIMIT_AS, &before);
    return result;
  };
  const std::string first = picture(images(), 0), second = picture(images(), 1);
  expect_error(predict({first}), 7, first + ": 64 x 64 pixels, for the network 5600 x 5600: out of memory");
  const ProgramResult both = predict({first, second});
  EXPECT_EQ(both.exit_code, 7) << both.err;
  for (const std::string& file : {first, second})
    EXPECT_NE(both.err.find("skipped: " + file + ": 64 x 64 pixels"), std::string::npos) << both.err;
  EXPECT_TRUE(std::filesystem::exists(path("too_large/results.json")));
}

TEST_F(BadData, EveryReasonIsAFindingWithAllItsPictures) {
  const std::string folder = copied_images("checked_images");
  for (int index : {0, 2}) std::filesystem::remove(picture(folder, index));
  spoil(picture(folder, 4));
  std::ofstream(picture(folder, 5));  // empty
  write_png(picture(folder, 6), Image(32, 48));
  for (const char* how : {"--json", "--verify"}) {
    const ProgramResult check = run_program({"data", "check", annotations(), "--images", folder, "--json", how});
    EXPECT_EQ(check.exit_code, 3);
    std::map<std::string, std::vector<std::vector<int64_t>>> ids;
    for (const json& finding : json::parse(check.out)) ids[finding["rule"]].push_back(finding["ids"]);
    EXPECT_EQ(ids["picture-missing"], (std::vector<std::vector<int64_t>>{{1, 3}})) << check.out;
    EXPECT_EQ(ids["picture-unreadable"], (std::vector<std::vector<int64_t>>{{5}, {6}})) << check.out;
    EXPECT_EQ(ids["picture-size"], (std::vector<std::vector<int64_t>>{{7}})) << check.out;
  }
  const ProgramResult text = run_program({"data", "check", annotations(), "--images", folder});
  EXPECT_EQ(count_of(text.out, "  try: "), 4) << text.out;
  const ProgramResult absent = run_program({"data", "check", path("absent.json")});
  EXPECT_EQ(absent.exit_code, 3);
  EXPECT_EQ(count_of(absent.out, "  try: "), 1) << absent.out;
  EXPECT_NE(absent.out.find(": 1 error, 0 warnings"), std::string::npos) << absent.out;
}

TEST_F(BadData, CategoriesOfOtherNamesAreNoted) {
  const std::string renamed = changed("renamed.json", [](json& set) { set["categories"][1]["name"] = "nucleus"; });
  const ProgramResult eval = run_program({"eval", trained(), "--data", renamed, "--images", images()});
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_NE(eval.err.find("1 of 5 categories have another name than the model learned: 2 is 'nucleus' here, 'square' "
                          "in the model"),
            std::string::npos)
      << eval.err;
  const ProgramResult same = run_program({"eval", trained(), "--data", annotations(), "--images", images()});
  EXPECT_EQ(same.err.find("another name"), std::string::npos) << same.err;
}

TEST_F(BadData, FileNamesThatLeadOutAreReadWhereTheyAreAllowed) {
  const std::string absolute = changed("absolute.json", [](json& set) {
    for (json& picture : set["images"]) picture["file_name"] = images() + "/" + picture["file_name"].get<std::string>();
  });
  const std::string empty = path("nothing_inside");
  std::filesystem::create_directories(empty);
  const ProgramResult refused = run_program({"data", "check", absolute, "--images", empty});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_NE(refused.out.find("--allow-outside"), std::string::npos) << refused.out;
  EXPECT_EQ(run_program({"data", "check", absolute, "--images", empty, "--allow-outside"}).exit_code, 0);
  EXPECT_EQ(run_program({"eval", trained(), "--data", absolute, "--images", empty, "--allow-outside", "-q"}).exit_code,
            0);
  std::vector<std::string> arguments = training("outside", {"train.iterations=1", "data.allow_outside=true"});
  for (std::string& argument : arguments) {
    if (argument.starts_with("data.train.annotations=")) argument = "data.train.annotations=" + absolute;
    if (argument.starts_with("data.train.images=")) argument = "data.train.images=" + empty;
  }
  EXPECT_EQ(run_program(arguments).exit_code, 0);
}

TEST_F(BadData, TheLimitOfPixelsIsRaisedAsItsMessageSays) {
  const std::string folder = path("large");
  std::filesystem::create_directories(folder);
  write_png(folder + "/a.png", Image(1000, 1200));
  const auto predict = [&](const char* megapixels) {
    return run_program({"predict", "configs/gridmask_fcos_tiny_shapes.json", folder, "-o", path("large_out"),
                        "--weights", "random", "-q", "--max-megapixels", megapixels});
  };
  const ProgramResult refused = predict("1");
  expect_error(refused, 3, "1200 x 1000 pixels, more than the limit of 1 million");
  EXPECT_NE(refused.err.find("try: --max-megapixels 2 "), std::string::npos) << refused.err;
  EXPECT_EQ(predict("2").exit_code, 0);
}

}  // namespace
}  // namespace tessera
