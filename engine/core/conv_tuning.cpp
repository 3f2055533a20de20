#include "engine/core/conv_tuning.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/core/error.h"
#include "engine/core/precision.h"
#include "engine/io/atomic_file.h"

namespace tessera {

namespace {

using Json = nlohmann::json;

constexpr const char* kFormat = "tessera conv choices 2";
constexpr size_t kCandidates = 5;
constexpr int kRounds = 5;  // after one that is not counted
constexpr int kMostSplits = 1 << 16;
constexpr std::array<std::pair<const char*, ConvTile>, 5> kTiles = {{{"128x128", ConvTile::m128n128},
                                                                     {"128x64", ConvTile::m128n64},
                                                                     {"64x64", ConvTile::m64n64},
                                                                     {"128x16", ConvTile::m128n16},
                                                                     {"16x64", ConvTile::m16n64}}};

constexpr std::array<std::pair<const char*, ConvSource>, 3> kSources = {
    {{"own", ConvSource::own}, {"cublas", ConvSource::cublas}, {"cudnn", ConvSource::cudnn}}};

const char* source_name(ConvSource source) {
  return std::find_if(kSources.begin(), kSources.end(), [&](const auto& named) { return named.second == source; })
      ->first;
}

std::optional<ConvSource> find_source(const Json& name) {
  if (name.is_null()) return ConvSource::own;
  for (const auto& [known, source] : kSources) {
    if (name == known) return source;
  }
  return std::nullopt;
}

// Ours that the model likes best, and the libraries'.
std::vector<ConvChoice> candidates_of(const ConvWork& work, size_t most) {
  std::vector<ConvChoice> candidates = conv_candidates(work, most);
  for (const ConvSource source : work.libraries) {
    candidates.push_back({candidates.front().tile, candidates.front().splits, source});
  }
  return candidates;
}

const char* tile_name(ConvTile tile) {
  return std::find_if(kTiles.begin(), kTiles.end(), [&](const auto& named) { return named.second == tile; })->first;
}

std::optional<ConvTile> find_tile(const std::string& name) {
  for (const auto& [known, tile] : kTiles) {
    if (name == known) return tile;
  }
  return std::nullopt;
}

// Everything that decides what a candidate takes and which are offered: the data gradient of a layer is the forward
// pass of another in all sizes of the product, but a library has other kernels for it, and none where the norm is
// folded in.
std::string name_of(const ConvWork& work) {
  constexpr const char* kPasses[] = {"forward", "data", "weight"};
  const Conv2dWindow& window = work.window;
  std::string maps;
  for (const Conv2dMap& map : work.maps) {
    maps += fmt::format("{}{}x{}x{}", maps.empty() ? "" : "+", map.images, map.height, map.width);
  }
  return fmt::format("{} {} {}->{} {}x{} stride {} padding {} groups {} of {} branches {}{}",
                     kPasses[static_cast<size_t>(work.pass)], precision_name(work.math), window.in_channels,
                     window.out_channels, window.height, window.width, window.stride, window.padding, window.groups,
                     maps, work.branches, work.epilogue ? " epilogue" : "");
}

}  // namespace

ConvTuningFile::ConvTuningFile(std::filesystem::path file, std::string device)
    : file_(std::move(file)), device_(std::move(device)), entries_(read(file_)[device_]) {}

ConvTuningFile::Devices ConvTuningFile::read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {};
  const auto fail = [&](const std::string& what) -> Error {
    return {ExitCode::usage, file.string() + ": not a file of measured convolutions: " + what,
            "another --tuning file, or remove this one"};
  };
  const Json json = Json::parse(std::string(std::istreambuf_iterator<char>(stream), {}), nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != kFormat) throw fail(fmt::format("no \"{}\"", kFormat));
  Devices devices;
  for (const auto& [device, calls] : json.items()) {
    if (device == "format") continue;
    if (!calls.is_object()) throw fail(device);
    for (const auto& [call, entry] : calls.items()) {
      if (!entry.is_object()) throw fail(call);
      const Json name = entry.value("tile", Json()), splits = entry.value("splits", Json());
      const Json time = entry.value("microseconds", Json());
      const auto tile = name.is_string() ? find_tile(name.get<std::string>()) : std::nullopt;
      const auto source = find_source(entry.value("source", Json()));
      if (!tile || !source || !splits.is_number_integer() || splits < 1 || splits > kMostSplits || !time.is_number()) {
        throw fail(call);
      }
      devices[device][call] = {{*tile, splits.get<int>(), *source}, 1e-6 * time.get<double>()};
    }
  }
  return devices;
}

void ConvTuningFile::write() const {
  Devices devices = read(file_);  // another process may have added to it
  for (const auto& [call, entry] : entries_) devices[device_][call] = entry;
  Json json = {{"format", kFormat}};
  for (const auto& [device, calls] : devices) {
    for (const auto& [call, entry] : calls) {
      json[device][call] = {{"tile", tile_name(entry.choice.tile)},
                            {"splits", entry.choice.splits},
                            {"microseconds", 1e6 * entry.seconds}};
      if (entry.choice.source != ConvSource::own) json[device][call]["source"] = source_name(entry.choice.source);
    }
  }
  write_file_atomic(file_, json.dump(1) + "\n", Durability::in_cache);
}

ConvChoice ConvTuningFile::choose(const ConvWork& work, const std::function<double(const ConvChoice&)>& measure) {
  const std::lock_guard lock(mutex_);
  const std::string call = name_of(work);
  if (const auto known = entries_.find(call); known != entries_.end()) {
    // A choice that this program does not offer for the shape is measured again.
    const std::vector<ConvChoice> offered = candidates_of(work, std::numeric_limits<size_t>::max());
    if (std::find(offered.begin(), offered.end(), known->second.choice) != offered.end()) return known->second.choice;
  }
  if (!measure) return choose_conv(work);
  // In rounds, so that what slows the GPU for a while slows all candidates; the median of each.
  const std::vector<ConvChoice> candidates = candidates_of(work, kCandidates);
  std::vector<std::vector<double>> seconds(candidates.size());
  for (int round = 0; round <= kRounds; ++round) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      const double time = measure(candidates[i]);
      if (round > 0) seconds[i].push_back(time);
    }
  }
  std::optional<Entry> best;
  for (size_t i = 0; i < candidates.size(); ++i) {
    std::nth_element(seconds[i].begin(), seconds[i].begin() + kRounds / 2, seconds[i].end());
    const double median = seconds[i][kRounds / 2];
    if (!best || median < best->seconds) best = {candidates[i], median};
  }
  entries_[call] = *best;
  write();
  return best->choice;
}

}  // namespace tessera
