// Batch normalization with a residual sum and an activation: two passes over memory instead of six.
// Sums are float over a strip of rows and double beyond it.

#pragma once

#include "elements.h"

namespace {

// Sums by channel of two quantities; element(i, j, &first, &second) adds those of place i.
template <class Element>
void sums(const Blocks &blocks, int64_t threads, double *first, double *second, Element element) {
    std::vector<double> parts(2 * threads * blocks.channels, 0.0);
    parallel(blocks, threads, [&](int64_t part, int64_t begin, int64_t end) {
        std::vector<float> partial(2 * blocks.width);
        float *a = partial.data(), *b = a + blocks.width;
        double *into = parts.data() + 2 * part * blocks.channels;
        for (int64_t i = begin; i < end; i += STRIP * blocks.width) {
            std::fill(partial.begin(), partial.end(), 0.0f);
            each(blocks, i, std::min(i + STRIP * blocks.width, end),
                 [&](int64_t place, int64_t j) { element(place, j, a[j], b[j]); });
            for (int64_t j = 0; j < blocks.width; j++) {
                into[j % blocks.channels] += a[j];
                into[blocks.channels + j % blocks.channels] += b[j];
            }
        }
    });
    std::fill(first, first + blocks.channels, 0.0);
    std::fill(second, second + blocks.channels, 0.0);
    for (int64_t part = 0; part < threads; part++)
        for (int64_t c = 0; c < blocks.channels; c++) {
            first[c] += parts[2 * part * blocks.channels + c];
            second[c] += parts[(2 * part + 1) * blocks.channels + c];
        }
}

// What a batch leaves behind: running means of its mean and (unbiased) variance, by channel.
struct Running {
    float *mean, *variance;
    float momentum;
};

// Mean and 1 / sqrt(variance + epsilon) by channel, the variance biased, from sums around a value
// that is among the others, for precision's sake: the middle one of three rows.
template <class T>
void statistics(const T *x, int64_t rows, int64_t channels, int64_t threads, float epsilon,
                Running running, float *mean, float *inverse) {
    Blocks blocks(rows, channels);
    std::vector<float> origin(channels);
    for (int64_t c = 0; c < channels; c++) {
        float a = load(x[c]), b = load(x[rows / 2 * channels + c]);
        float d = load(x[(rows - 1) * channels + c]);
        origin[c] = std::max(std::min(a, b), std::min(std::max(a, b), d));
    }
    std::vector<float> repeated = blocks.repeated(origin.data());
    const float *o = repeated.data();
    std::vector<double> sum(channels), squares(channels);
    sums(blocks, threads, sum.data(), squares.data(),
         [=](int64_t i, int64_t j, float &first, float &second) {
             float difference = load(x[i]) - o[j];
             first += difference;
             second += difference * difference;
         });
    for (int64_t c = 0; c < channels; c++) {
        double shift = sum[c] / rows;
        double variance = std::max(squares[c] / rows - shift * shift, 0.0);
        mean[c] = static_cast<float>(origin[c] + shift);
        inverse[c] = static_cast<float>(1 / std::sqrt(variance + epsilon));
        float unbiased = static_cast<float>(variance * rows / (rows - 1));
        running.mean[c] += running.momentum * (mean[c] - running.mean[c]);
        running.variance[c] += running.momentum * (unbiased - running.variance[c]);
    }
}

// x * scale + shift = (x - mean) * inverse * weight + bias, by channel.
struct Affine {
    std::vector<float> scale, shift;

    Affine(const float *weight, const float *bias, const float *mean, const float *inverse,
           int64_t channels)
        : scale(channels), shift(channels) {
        for (int64_t c = 0; c < channels; c++) {
            scale[c] = weight[c] * inverse[c];
            shift[c] = bias[c] - mean[c] * scale[c];
        }
    }
};

// out = activation(affine(x) + residual)
template <class T, int A>
void apply(const T *x, const T *residual, const Affine &affine, int64_t rows, int64_t channels,
           int64_t threads, T *out) {
    Blocks blocks(rows, channels);
    std::vector<float> scales = blocks.repeated(affine.scale.data());
    std::vector<float> shifts = blocks.repeated(affine.shift.data());
    const float *a = scales.data(), *b = shifts.data();
    parallel(blocks, threads, [&](int64_t, int64_t begin, int64_t end) {
        if (residual)
            each(blocks, begin, end, [=](int64_t i, int64_t j) {
                store(activate<A>(load(x[i]) * a[j] + b[j] + load(residual[i])), out[i]);
            });
        else
            each(blocks, begin, end, [=](int64_t i, int64_t j) {
                store(activate<A>(load(x[i]) * a[j] + b[j]), out[i]);
            });
    });
}

// How dx follows from g, the gradient before the activation, by channel:
// dx = g * scale + (x - mean) * tilt + shift.
struct Slopes {
    std::vector<float> scale, tilt, shift;
};

// Also gives the gradients of weight and bias.
template <class T, int A>
Slopes slopes(const Blocks &blocks, const T *gradient, const T *x, const T *out,
              const float *weight, const float *mean, const float *inverse, int64_t rows,
              int64_t threads, float *dweight, float *dbias) {
    int64_t channels = blocks.channels;
    std::vector<float> means = blocks.repeated(mean);
    const float *m = means.data();
    std::vector<double> sum(channels), product(channels);
    sums(blocks, threads, sum.data(), product.data(),
         [=](int64_t i, int64_t j, float &first, float &second) {
             float g = load(gradient[i]) * slope<A>(load(out[i]));
             first += g;
             second += g * (load(x[i]) - m[j]);
         });
    Slopes found{std::vector<float>(channels), std::vector<float>(channels),
                 std::vector<float>(channels)};
    for (int64_t c = 0; c < channels; c++) {
        dbias[c] = static_cast<float>(sum[c]);
        dweight[c] = static_cast<float>(product[c] * inverse[c]);
        found.scale[c] = weight[c] * inverse[c];
        found.tilt[c] = -found.scale[c] * inverse[c] * dweight[c] / rows;
        found.shift[c] = -found.scale[c] * dbias[c] / rows;
    }
    return found;
}

// The gradients of out = activation((x - mean) * inverse * weight + bias + residual), where mean
// and inverse (1 / standard deviation) are those of x itself. `dresidual` may be null.
template <class T, int A>
void backward(const T *gradient, const T *x, const T *out, const float *weight, const float *mean,
              const float *inverse, int64_t rows, int64_t channels, int64_t threads, T *dx,
              T *dresidual, float *dweight, float *dbias) {
    Blocks blocks(rows, channels);
    std::vector<float> means = blocks.repeated(mean);
    const float *m = means.data();
    Slopes to = slopes<T, A>(blocks, gradient, x, out, weight, mean, inverse, rows, threads,
                             dweight, dbias);
    std::vector<float> scales = blocks.repeated(to.scale.data());
    std::vector<float> tilts = blocks.repeated(to.tilt.data());
    std::vector<float> shifts = blocks.repeated(to.shift.data());
    const float *a = scales.data(), *t = tilts.data(), *s = shifts.data();
    parallel(blocks, threads, [&](int64_t, int64_t begin, int64_t end) {
        if (dresidual)
            each(blocks, begin, end, [=](int64_t i, int64_t j) {
                float g = load(gradient[i]) * slope<A>(load(out[i]));
                store(g, dresidual[i]);
                store(g * a[j] + (load(x[i]) - m[j]) * t[j] + s[j], dx[i]);
            });
        else
            each(blocks, begin, end, [=](int64_t i, int64_t j) {
                float g = load(gradient[i]) * slope<A>(load(out[i]));
                store(g * a[j] + (load(x[i]) - m[j]) * t[j] + s[j], dx[i]);
            });
    });
}

}  // namespace
