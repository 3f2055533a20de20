// Double-precision oracle of multi-head attention: the definition, with all scores of a query at once.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tessera::reference {

struct MultiHeadAttentionCase {
  int64_t sequences, queries, keys, channels, heads;

  int64_t width() const { return channels / heads; }
  size_t query_at(int64_t n, int64_t i, int64_t head, int64_t e) const {
    return static_cast<size_t>(((n * queries + i) * heads + head) * width() + e);
  }
  size_t key_at(int64_t n, int64_t j, int64_t head, int64_t e) const {
    return static_cast<size_t>(((n * keys + j) * heads + head) * width() + e);
  }
};

// Of one query and head: its scores, their log-sum-exp, and the softmax.
struct AttentionRow {
  std::vector<double> score, probability;
  double log_sum = 0;
};

inline AttentionRow attention_row(const MultiHeadAttentionCase& of, const std::vector<double>& query,
                                  const std::vector<double>& key, int64_t n, int64_t i, int64_t head) {
  AttentionRow row;
  double largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < of.keys; ++j) {
    double score = 0;
    for (int64_t e = 0; e < of.width(); ++e) score += query[of.query_at(n, i, head, e)] * key[of.key_at(n, j, head, e)];
    row.score.push_back(score / std::sqrt(static_cast<double>(of.width())));
    largest = std::max(largest, row.score.back());
  }
  for (const double score : row.score) sum += std::exp(score - largest);
  row.log_sum = largest + std::log(sum);
  for (const double score : row.score) row.probability.push_back(std::exp(score - largest) / sum);
  return row;
}

// query [N, L, C], key and value [N, T, C]; returns [N, L, C].
inline std::vector<double> multi_head_attention(const MultiHeadAttentionCase& of, const std::vector<double>& query,
                                                const std::vector<double>& key, const std::vector<double>& value) {
  std::vector<double> y(query.size());
  for (int64_t n = 0; n < of.sequences; ++n) {
    for (int64_t head = 0; head < of.heads; ++head) {
      for (int64_t i = 0; i < of.queries; ++i) {
        const AttentionRow row = attention_row(of, query, key, n, i, head);
        for (int64_t e = 0; e < of.width(); ++e) {
          double sum = 0;
          for (int64_t j = 0; j < of.keys; ++j) {
            sum += row.probability[static_cast<size_t>(j)] * value[of.key_at(n, j, head, e)];
          }
          y[of.query_at(n, i, head, e)] = sum;
        }
      }
    }
  }
  return y;
}

}  // namespace tessera::reference
