// Polygons as masks, by exactly the rule of pycocotools 2.0.11 (maskApi.c, rleFrPoly): corners are rounded to fifths of
// a pixel, edges are drawn on that grid, and the even-odd interior is sampled at pixel centres.
#pragma once

#include <span>
#include <vector>

#include "data/annotations/rle.h"

namespace tessera {

// Coordinates beyond this are refused: time and memory grow with the perimeter in fifths of a pixel.
inline constexpr double kMaxPolygonCoordinate = 1e5;

// Largest absolute value in x0, y0, x1, y1, ...; infinity if any is not finite.
double polygon_extent(std::span<const double> points);

// points: x0, y0, x1, y1, ... in pixels of an image of height x width. Parts outside the image are clipped. An odd last
// number is ignored. Throws Error(data) on a coordinate that is not finite or beyond kMaxPolygonCoordinate.
Rle rle_from_polygon(std::span<const double> points, int height, int width);
// Union of several polygons (one object in several parts).
Rle rle_from_polygons(const std::vector<std::vector<double>>& polygons, int height, int width);
// The rectangle as a polygon.
Rle rle_from_box(const BoxXywh& box, int height, int width);

// Area by the shoelace formula, without sign; tight box of the corners. Both 0 for no points.
double polygon_area(std::span<const double> points);
BoxXywh polygon_box(std::span<const double> points);

}  // namespace tessera
