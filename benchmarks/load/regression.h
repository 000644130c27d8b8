#pragma once
// A straight line through measured points, by least squares.

#include <cmath>
#include <vector>

namespace parlance::benchmarks {

struct Line {
  double slope = 0;
  double intercept = 0;
  double r_squared = 0;  // 1: the points are on the line
};

/// Needs at least two points with different x; else all is 0. `xs` and `ys` are of the same size.
inline Line fit_line(const std::vector<double>& xs, const std::vector<double>& ys) {
  const auto n = static_cast<double>(xs.size());
  double mean_x = 0;
  double mean_y = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    mean_x += xs[i] / n;
    mean_y += ys[i] / n;
  }
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    xx += (xs[i] - mean_x) * (xs[i] - mean_x);
    xy += (xs[i] - mean_x) * (ys[i] - mean_y);
    yy += (ys[i] - mean_y) * (ys[i] - mean_y);
  }
  if (xx == 0) return {};
  Line line;
  line.slope = xy / xx;
  line.intercept = mean_y - line.slope * mean_x;
  line.r_squared = yy == 0 ? 1 : xy * xy / (xx * yy);
  return line;
}

}  // namespace parlance::benchmarks
