// Sums of entries that go to the same row, without atomics on floats and without comparing all pairs: the backward pass
// of the gathers. Every row gets the list of its entries, in ascending order:
//   count     entries per row, by integer atomics; an entry keeps the number of those that came before it
//   reserve   the first of a row takes as many places as the row has entries: where they lie is of no consequence
//   place     entries into the places of their row, in the order of their coming
//   sort      an entry counts the smaller ones of its row: that is its place in the sorted list
//   sum       a warp per row: lanes along the channels, entries in order
// Linear in entries and rows, but for the sort, which is the sum of squares of the lengths of the lists: with all
// entries in one row, a thread of each looks at all. The same bits in every run, since the sorted lists are.
// Bytes: about 50 per entry and 4 per row, and per channel 4 read per entry and 4 written per row that has any.
#pragma once

#include "kernels/cuda/warp.h"

namespace tessera {
inline namespace TESSERA_PORT {

inline constexpr int kListThreads = 256, kListWarps = 4;

struct RowLists {
  int32_t* lengths;   // [rows]
  int32_t* begins;    // [rows] of rows with entries
  int32_t* arrivals;  // [entries] how many of the row came before, -1: belongs to no row
  int32_t* placed;    // [entries]
  int32_t* sorted;    // [entries]
  int32_t* reserved;  // [1]
};

// key.row(entry): 0 ... rows - 1, or less than 0 for none.
template <typename Key>
static __global__ void __launch_bounds__(kListThreads) count_rows(Key key, int64_t entries, RowLists lists) {
  for_each_element(entries, [&](int64_t entry) {
    const int64_t row = key.row(entry);
    lists.arrivals[entry] = row >= 0 ? atomicAdd(lists.lengths + row, 1) : -1;
  });
}

template <typename Key>
static __global__ void __launch_bounds__(kListThreads) reserve_places(Key key, int64_t entries, RowLists lists) {
  for_each_element(entries, [&](int64_t entry) {
    if (lists.arrivals[entry] != 0) return;
    const int64_t row = key.row(entry);
    lists.begins[row] = atomicAdd(lists.reserved, lists.lengths[row]);
  });
}

template <typename Key>
static __global__ void __launch_bounds__(kListThreads) place_entries(Key key, int64_t entries, RowLists lists) {
  for_each_element(entries, [&](int64_t entry) {
    if (lists.arrivals[entry] < 0) return;
    lists.placed[lists.begins[key.row(entry)] + lists.arrivals[entry]] = static_cast<int32_t>(entry);
  });
}

template <typename Key>
static __global__ void __launch_bounds__(kListThreads) sort_entries(Key key, int64_t entries, RowLists lists) {
  for_each_element(entries, [&](int64_t entry) {
    if (lists.arrivals[entry] < 0) return;
    const int64_t row = key.row(entry);
    const int32_t begin = lists.begins[row], length = lists.lengths[row];
    int32_t smaller = 0;
    for (int32_t i = 0; i < length; ++i) smaller += lists.placed[begin + i] < entry ? 1 : 0;
    lists.sorted[begin + smaller] = static_cast<int32_t>(entry);
  });
}

template <typename Key>
static __global__ void __launch_bounds__(32 * kListWarps)
    sum_lists(Key key, int64_t entries, RowLists lists, const float* from, float* to, int64_t channels) {
  const int64_t entry = int64_t{blockIdx.x} * kListWarps + warp_of_block();
  if (entry >= entries || lists.arrivals[entry] != 0) return;  // the same for a warp
  const int64_t row = key.row(entry);
  const int32_t begin = lists.begins[row], length = lists.lengths[row];
  for (int64_t c = lane_of_warp(); c < channels; c += 32) {
    float sum = 0.0f;
    for (int32_t i = 0; i < length; ++i) sum += from[int64_t{lists.sorted[begin + i]} * channels + c];
    to[row * channels + c] = sum;
  }
}

// to[r] = sum of from[e] over the entries e of row r, in ascending order; rows without entries are not written.
// from [entries, channels], to [rows, channels].
template <typename Key>
void sum_rows(DeviceContext& context, const Key& key, int64_t entries, int64_t rows, const float* from, float* to,
              int64_t channels) {
  if (entries == 0 || rows == 0 || channels == 0) return;
  const auto of_entries = static_cast<size_t>(entries), of_rows = static_cast<size_t>(rows);
  Scratch<int32_t> lengths(context, of_rows + 1), begins(context, of_rows), arrivals(context, of_entries),
      placed(context, of_entries), sorted(context, of_entries);
  const RowLists lists{lengths.data(), begins.data(), arrivals.data(),
                       placed.data(),  sorted.data(), lengths.data() + rows};
  memory_zero(context, lengths.data(), (of_rows + 1) * sizeof(int32_t));
  const unsigned grid = grid_for(entries, kListThreads);
  launch(count_rows<Key>, grid, kListThreads, 0, context, key, entries, lists);
  launch(reserve_places<Key>, grid, kListThreads, 0, context, key, entries, lists);
  launch(place_entries<Key>, grid, kListThreads, 0, context, key, entries, lists);
  launch(sort_entries<Key>, grid, kListThreads, 0, context, key, entries, lists);
  launch(sum_lists<Key>, static_cast<unsigned>(ceil_div(entries, kListWarps)), 32 * kListWarps, 0, context, key,
         entries, lists, from, to, channels);
}

}  // namespace TESSERA_PORT
}  // namespace tessera
