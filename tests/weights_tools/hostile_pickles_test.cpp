// Pickles made to do harm, and every damage of small files: one error each, never a crash, never an allocation that the
// file does not justify.
#include <gtest/gtest.h>

#include <functional>

#include "tests/engine/io/temporary_folder.h"
#include "tests/weights_tools/file_builders.h"
#include "weights_tools/pickle_globals.h"
#include "weights_tools/pickle_machine.h"

namespace tessera {
namespace {

using namespace testing_support;

// What reading complains about; "" when it is fine. Anything but an Error(weights) fails the test.
std::string complaint_of(const std::function<void()>& read) {
  try {
    read();
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::weights) << error.what();
    EXPECT_FALSE(error.hint().empty()) << error.what();
    return error.what();
  }
}

std::string pickle_complaint(const std::string& pickle) {
  return complaint_of([&] {
    PickleContent content;
    read_pickle(pickle, content, "test.pkl");
  });
}

std::string file_complaint(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  const std::filesystem::path path = spill(folder.path() / name, content);
  return complaint_of([&] {
    const std::unique_ptr<ForeignFile> file = open_foreign_file(path);
    for (const ForeignTensor& tensor : file->tensors())
      read_tensor(*file, tensor, static_cast<size_t>(foreign_dtype_bytes(tensor.dtype)));
  });
}

TEST(HostilePickles, FunctionsAreRefusedByNameInEveryProtocol) {
  const std::pair<const char*, const char*> functions[] = {{"os", "system"},
                                                           {"posix", "system"},
                                                           {"nt", "system"},
                                                           {"subprocess", "Popen"},
                                                           {"builtins", "eval"},
                                                           {"builtins", "exec"},
                                                           {"__builtin__", "getattr"},
                                                           {"builtins", "__import__"},
                                                           {"shutil", "rmtree"},
                                                           {"socket", "socket"},
                                                           {"runpy", "run_path"},
                                                           {"importlib", "import_module"},
                                                           {"ctypes.util", "find_library"},
                                                           {"os.path", "join"},
                                                           {"_codecs", "decode"},
                                                           {"pickle", "loads"}};
  for (int protocol = 2; protocol <= 5; ++protocol) {
    for (const auto& [module, name] : functions) {
      const std::string pickle =
          PickleBuilder(protocol).global(module, name).raw("(").text("touch /tmp/x").raw("tR").stop();
      const std::string text = pickle_complaint(pickle);
      EXPECT_NE(text.find(std::string(module) + "." + name), std::string::npos) << text;
      EXPECT_NE(text.find("byte "), std::string::npos) << text;
    }
  }
}

TEST(HostilePickles, UnknownClassesAreDataWithoutEffect) {
  for (int protocol = 2; protocol <= 5; ++protocol) {
    const std::string pickle = PickleBuilder(protocol)
                                   .raw("}(")
                                   .text("args")
                                   .global("argparse", "Namespace")
                                   .raw(")\x81}(")
                                   .text("lr")
                                   .integer(1)
                                   .raw("ub")
                                   .text("list")
                                   .global("torch.nn.modules.conv", "Conv2d")
                                   .raw(")RK\x01")
                                   .raw("au")
                                   .stop();
    EXPECT_EQ(pickle_complaint(pickle), "");
  }
}

TEST(HostilePickles, MalformedOnesAreNamedByByte) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "truncated"},
      {"\x80", "truncated"},
      {"\x80\x02", "truncated"},
      {"\x80\x09.", "protocol 9"},
      {"\x80\x02.", "stack"},
      {"\x80\x02t.", "mark"},
      {"\x80\x02K\x01u.", "mark"},
      {"\x80\x02(K\x01u.", "stack"},
      {"\x80\x02}(K\x01u.", "key without value"},
      {"\x80\x02K\x01K\x02"
       "a.",
       "no list"},
      {"\x80\x02K\x01K\x02K\x03s.", "no dictionary"},
      {"\x80\x02h\x07.", "memo entry 7"},
      {std::string("\x80\x02j\xff\xff\xff\xff.", 8), "memo entry"},
      {"\x80\x02X\xff\xff\xff\xff"
       "a.",
       "truncated"},
      {std::string("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"
                   "a.",
                   13),
       "truncated"},
      {std::string("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                   "a.",
                   13),
       "truncated"},
      {"\x80\x02\x8b\xff\xff\xff\xff"
       "a.",
       "truncated"},
      {"\x80\x02"
       "cos",
       "truncated"},
      {"\x80\x02K\x01)R.", "no function"},
      {"\x80\x02K\x01)\x81.", "without a class"},
      {"\x80\x02K\x01K\x02\x93.", "without a name"},
      {"\x80\x02K\x01Q.", "storage"},
      {"\x80\x02I12\n.", "opcode 0x49"},  // texts of protocol 0 do not occur
      {"\x80\x02"
       "i",
       "opcode"},                       // INST
      {"\x80\x02\x82\x01.", "opcode"},  // extension registry
      {"\x80\x05\x97.", "opcode"},      // out-of-band buffer
  };
  for (const auto& [pickle, reason] : cases) {
    const std::string text = pickle_complaint(pickle);
    EXPECT_NE(text.find(reason), std::string::npos) << text;
    EXPECT_TRUE(text.starts_with("test.pkl: byte ")) << text;
  }
}

TEST(HostilePickles, BombsStayWithinLimits) {
  std::string deep = "\x80\x02";
  for (size_t i = 0; i <= kMaxPickleStack; ++i) deep += "(";
  for (size_t i = 0; i <= kMaxPickleStack; ++i) deep += "N";
  EXPECT_NE(pickle_complaint(deep + ".").find("stack"), std::string::npos);
  std::string many = "\x80\x02](";
  for (size_t i = 0; i < kMaxPickleValues; ++i) many += "]0"[0];
  EXPECT_NE(pickle_complaint(many + "e.").find("than any checkpoint"), std::string::npos);

  // A list that contains itself, and thirty levels that share ten references each: looked at once.
  const TemporaryFolder folder;
  EXPECT_NE(file_complaint(folder, "self.pkl", "\x80\x02}q\x01(X\x05\x00\x00\x00modelh\x01u."), "");
  std::string shared = "\x80\x02]q";
  shared.push_back(0);
  for (int level = 1; level <= 30; ++level) {
    shared += "}q";
    shared.push_back(static_cast<char>(level));
    shared += "(";
    for (int i = 0; i < 10; ++i) {
      shared += "U\x01";
      shared.push_back(static_cast<char>('a' + i));
      shared += "h";
      shared.push_back(static_cast<char>(level - 1));
    }
    shared += "u";
  }
  EXPECT_NE(file_complaint(folder, "shared.pkl", shared + ".").find("no named tensors"), std::string::npos);
}

TEST(HostilePickles, ViewsMayRepeatElementsButNotWithoutEnd) {
  const TemporaryFolder folder;
  const auto archive = [](const std::vector<int64_t>& shape, const std::vector<int64_t>& stride, int64_t offset = 0,
                          int64_t elements = 4) {
    const std::string pickle =
        PickleBuilder().raw("}").text("w").tensor("FloatStorage", "0", elements, offset, shape, stride).raw("s").stop();
    return zip_archive({{"a/data.pkl", pickle}, {"a/data/0", std::string(16, '\1')}});
  };
  EXPECT_EQ(file_complaint(folder, "expanded.pth", archive({3, 4}, {0, 1})), "");
  EXPECT_NE(file_complaint(folder, "bomb.pth", archive({1 << 20, 1 << 10}, {0, 0})).find("far larger"),
            std::string::npos);
  EXPECT_NE(file_complaint(folder, "over.pth", archive({INT64_MAX / 2, 8}, {0, 0})).find("storage"), std::string::npos);
  EXPECT_NE(file_complaint(folder, "stride.pth", archive({2, 2}, {INT64_MAX, 1})).find("storage"), std::string::npos);
  EXPECT_NE(file_complaint(folder, "offset.pth", archive({2}, {1}, INT64_MAX)).find("storage"), std::string::npos);
  EXPECT_NE(file_complaint(folder, "behind.pth", archive({2}, {1}, 3)).find("storage"), std::string::npos);
  EXPECT_NE(file_complaint(folder, "rank.pth", archive({2, 2}, {1})).find("strides"), std::string::npos);
  EXPECT_NE(file_complaint(folder, "negative.pth", archive({-2}, {1})).find("counts"), std::string::npos);
  EXPECT_NE(file_complaint(folder, "elements.pth", archive({4}, {1}, 0, INT64_MAX)).find("tensor \"w\""),
            std::string::npos);
  EXPECT_EQ(file_complaint(folder, "empty.pth", archive({0, INT64_MAX}, {1, 1})), "");
}

// Small files of every format: cut at every length, every bit of every byte turned. Whatever still loads is fine; the
// rest must say so in its own words.
void expect_no_crash(const std::string& name, const std::string& content, int step) {
  const TemporaryFolder folder;
  EXPECT_EQ(file_complaint(folder, name, content), "");
  for (size_t length = 0; length < content.size(); length += static_cast<size_t>(step)) {
    EXPECT_NE(file_complaint(folder, name, content.substr(0, length)), "") << name << " cut at " << length;
  }
  for (size_t at = 0; at < content.size(); at += static_cast<size_t>(step)) {
    for (const int bit : {0, 3, 7}) {
      std::string damaged = content;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      file_complaint(folder, name, damaged);
    }
  }
}

TEST(DamagedFiles, ZipPth) { expect_no_crash("case.pth", zip_pth({{"w", {2, 2}, {1, 2, 3, 4}}}, "model"), 1); }
TEST(DamagedFiles, LegacyPth) { expect_no_crash("case.pth", legacy_pth(), 1); }
TEST(DamagedFiles, NumpyPickle) {
  expect_no_crash("case.pkl", numpy_pickle(2), 1);
  expect_no_crash("case.pkl", numpy_pickle(4), 1);
}

TEST(DamagedFiles, LegacyViewsAreTransposedAsTheirStridesSay) {
  const TemporaryFolder folder;
  const std::unique_ptr<ForeignFile> file = open_foreign_file(spill(folder.path() / "a.pth", legacy_pth()));
  ASSERT_EQ(file->tensors().size(), 1u);
  const std::vector<std::byte> bytes = read_tensor(*file, file->tensors()[0], 4);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), float_bytes({1, 3, 2, 4}));
}

TEST(ForeignFiles, TensorsAreFoundWhereTheyStand) {
  const TemporaryFolder folder;
  for (const char* container : {"", "model", "state_dict", "ema", "blobs"}) {
    const auto path =
        spill(folder.path() / "a.pth", zip_pth({{"module.a", {1}, {1}}, {"module.b", {2}, {2, 3}}}, container));
    const std::unique_ptr<ForeignFile> file = open_foreign_file(path);
    EXPECT_EQ(file->container(), container);
    ASSERT_EQ(file->tensors().size(), 2u);
    EXPECT_EQ(file->tensors()[1].name, "module.b");
  }
  const auto path = spill(folder.path() / "a.pth", zip_pth({{"b", {1}, {1}}}, "student"));
  EXPECT_EQ(open_foreign_file(path)->tensors()[0].name, "student.b");
  EXPECT_EQ(open_foreign_file(path, {.key = "student"})->tensors()[0].name, "b");
  EXPECT_NE(complaint_of([&] { open_foreign_file(path, {.key = "teacher"}); }).find("teacher"), std::string::npos);
}

TEST(ForeignFiles, EntriesOfAnArchiveAreNamed) {
  const TemporaryFolder folder;
  const std::string pickle = PickleBuilder().raw("}").stop();
  const auto complain = [&](const std::vector<std::pair<std::string, std::string>>& entries) {
    const auto path = spill(folder.path() / "a.pth", zip_archive(entries));
    return complaint_of([&] { open_foreign_file(path); });
  };
  EXPECT_NE(complain({{"a/data.pkl", pickle}, {"a/data/0", "1234"}, {"a/data/0", "5678"}})
                .find("zip entry \"a/data/0\": its name comes twice"),
            std::string::npos);
  EXPECT_NE(
      complain({{"a/data.pkl", pickle}, {"/etc/\x1b[2J", "1234"}}).find("zip entry \"/etc/?[2J\": its name leads out"),
      std::string::npos);
}

TEST(ForeignFiles, ChecksumsCanBeIgnored) {
  const TemporaryFolder folder;
  std::string content = zip_pth({{"w", {2}, {1, 2}}});
  content[content.find(float_bytes({1, 2}))] ^= 1;
  const auto path = spill(folder.path() / "a.pth", content);
  const std::unique_ptr<ForeignFile> strict = open_foreign_file(path);
  const std::string text = complaint_of([&] { strict->storage(strict->tensors()[0]); });
  EXPECT_NE(text.find("tensor \"w\""), std::string::npos) << text;
  const std::unique_ptr<ForeignFile> trusting = open_foreign_file(path, {.ignore_checksums = true});
  EXPECT_EQ(trusting->storage(trusting->tensors()[0]).size(), 8u);
}

}  // namespace
}  // namespace tessera
