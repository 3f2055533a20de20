#include "apps/run_log.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/core/error.h"

namespace tessera {

namespace {

using Json = nlohmann::ordered_json;  // keeps the order of the loss parts

double number(const Json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_number() ? value->get<double>() : kNotLogged;
}

std::array<double, 12> metrics(const Json& line, const char* kind) {
  std::array<double, 12> values;
  values.fill(kNotLogged);
  const auto object = line.find(kind);
  if (object == line.end() || !object->is_object()) return values;
  for (size_t i = 0; i < values.size(); ++i) values[i] = number(*object, kCocoMetricNames[i]);
  return values;
}

template <typename Point>
void append(std::vector<Point>& points, Point point) {
  while (!points.empty() && points.back().iteration >= point.iteration) points.pop_back();
  points.push_back(std::move(point));
}

TrainPoint train_point(const Json& line, int64_t iteration, std::vector<std::string>& names) {
  TrainPoint point;
  point.iteration = iteration;
  point.loss = number(line, "loss");
  point.learning_rate = number(line, "learning_rate");
  point.gradient_norm = number(line, "gradient_norm");
  point.images_per_second = number(line, "images_per_second");
  point.data_wait = number(line, "data_wait");
  point.seconds = number(line, "seconds");
  const auto parts = line.find("losses");
  if (parts == line.end() || !parts->is_object()) return point;
  for (const auto& [name, value] : parts->items()) {
    const auto place = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (place == names.size()) names.push_back(name);
    if (point.losses.size() <= place) point.losses.resize(place + 1, kNotLogged);
    if (value.is_number()) point.losses[place] = value.get<double>();
  }
  return point;
}

// false: the line says nothing that a curve could show.
bool read_line(std::string_view text, RunLog& log) {
  const Json line = Json::parse(text, nullptr, false);
  if (!line.is_object()) return false;
  const auto iteration = line.find("iteration");
  const auto type = line.find("type");
  if (iteration == line.end() || !iteration->is_number_integer() || type == line.end()) return false;
  const auto at = iteration->get<int64_t>();
  if (*type == "train") {
    append(log.train, train_point(line, at, log.loss_names));
  } else if (*type == "eval") {
    append(log.eval, {at, metrics(line, "segm"), metrics(line, "bbox"), number(line, "seconds")});
  } else {
    return false;
  }
  return true;
}

}  // namespace

RunLog parse_run_log(std::string_view text) {
  RunLog log;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!read_line(line, log)) ++log.skipped;
  }
  return log;
}

RunLog read_run_log(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream && stream.peek() != std::ifstream::traits_type::eof()) text << stream.rdbuf();
  if (!stream.is_open() || stream.bad() || !text) {
    throw Error(ExitCode::usage, fmt::format("{}: cannot read the log of the run", file.string()),
                "name the folder that a training run left");
  }
  return parse_run_log(text.str());
}

}  // namespace tessera
