// Max-pooling of what norm_act.h computes, in the same passes: the activation is computed of the
// largest value of a window alone, and no tensor of the full size is written but the gradient.

#pragma once

#include "norm_act.h"
#include "pooling.h"

namespace {

// out = the largest of activation(affine(x) + residual) in each window, as `max_pool` finds it;
// `largest` is x there and `which` its place. Both may be null, `residual` too. C is the number of
// channels where the compiler is to know it, else 0.
template <class T, int A, int C>
void apply_windows(const T *x, const T *residual, const Affine &affine, const Pooling &pooling,
                   int64_t threads, T *out, T *largest, int32_t *which) {
    const float *scale = affine.scale.data(), *shift = affine.shift.data();
    pooling.parallel(threads, [=, &pooling](int64_t begin, int64_t end) {
        const int64_t channels = C ? C : pooling.channels;
        std::vector<int32_t> no_place(which ? 0 : channels);
        std::vector<T> no_value(largest ? 0 : channels);
        pooling.each(begin, end, [&](int64_t o, int64_t i, int64_t right, int64_t below) {
            const T *x0 = x + i, *x1 = x0 + right, *x2 = x0 + below, *x3 = x2 + right;
            int32_t *place = which ? which + o : no_place.data();
            T *value = largest ? largest + o : no_value.data(), *best = out + o;
            auto windows = [&](auto sum) {
#pragma GCC ivdep
                for (int64_t j = 0; j < channels; j++) {
                    float p = sum(0, j), q = sum(right, j);
                    float r = sum(below, j), s = sum(below + right, j);
                    float upper = larger(p, q), lower = larger(r, s);
                    bool second = !(q <= p), fourth = !(s <= r), under = !(lower <= upper);
                    store(activate<A>(larger(upper, lower)), best[j]);
                    float above = second ? load(x1[j]) : load(x0[j]);
                    store(under ? (fourth ? load(x3[j]) : load(x2[j])) : above, value[j]);
                    place[j] = under ? (fourth ? 3 : 2) : (second ? 1 : 0);
                }
            };
            if (residual)
                windows([&](int64_t at, int64_t j) {
                    return load(x0[at + j]) * scale[j] + shift[j] + load(residual[i + at + j]);
                });
            else
                windows([&](int64_t at, int64_t j) {
                    return load(x0[at + j]) * scale[j] + shift[j];
                });
        });
    });
}

template <class T, int A>
void apply_pool(const T *x, const T *residual, const Affine &affine, const Pooling &pooling,
                int64_t threads, T *out, T *largest, int32_t *which) {
    auto apply = pooling.channels == 8    ? apply_windows<T, A, 8>
                 : pooling.channels == 16 ? apply_windows<T, A, 16>
                                          : apply_windows<T, A, 0>;
    apply(x, residual, affine, pooling, threads, out, largest, which);
}

// The second half of the backward pass: dx, and the residual's gradient, from that of `out`.
template <class T, int A, int C>
void spread_windows(const T *gradient, const T *x, const T *out, const int32_t *which,
                    const float *m, const Slopes &to, const Pooling &pooling, int64_t threads,
                    T *dx, T *dresidual) {
    const float *a = to.scale.data(), *t = to.tilt.data(), *s = to.shift.data();
    pooling.parallel(threads, [=, &pooling](int64_t begin, int64_t end) {
        const int64_t channels = C ? C : pooling.channels;
        std::vector<float> before(channels);
        float *g = before.data();
        pooling.each(begin, end, [&](int64_t o, int64_t i, int64_t right, int64_t below) {
#pragma GCC ivdep
            for (int64_t j = 0; j < channels; j++)
                g[j] = load(gradient[o + j]) * slope<A>(load(out[o + j]));
            int64_t distances[] = {0, right, below, right + below};
            for (int k = 0; k < 4; k++) {
                if ((k & 1 && !right) || (k & 2 && !below)) continue;
                int64_t at = i + distances[k];
#pragma GCC ivdep
                for (int64_t j = 0; j < channels; j++) {
                    float here = which[o + j] == k ? g[j] : 0.0f;
                    store(here * a[j] + (load(x[at + j]) - m[j]) * t[j] + s[j], dx[at + j]);
                }
                if (!dresidual) continue;
#pragma GCC ivdep
                for (int64_t j = 0; j < channels; j++)
                    store(which[o + j] == k ? g[j] : 0.0f, dresidual[at + j]);
            }
        });
        pooling.outside(begin, end, [&](int64_t at) {
            for (int64_t j = 0; j < channels; j++) {
                store((load(x[at + j]) - m[j]) * t[j] + s[j], dx[at + j]);
                if (dresidual) store(0.0f, dresidual[at + j]);
            }
        });
    });
}

// The gradients of what `apply_pool` gave, from the gradient of `out`; see `backward`.
template <class T, int A>
void backward_pool(const T *gradient, const T *x, const T *out, const T *largest,
                   const int32_t *which, const float *weight, const float *mean,
                   const float *inverse, const Pooling &pooling, int64_t threads, T *dx,
                   T *dresidual, float *dweight, float *dbias) {
    int64_t channels = pooling.channels;
    Blocks blocks(pooling.images * pooling.out_height * pooling.out_width, channels);
    int64_t rows = pooling.images * pooling.height * pooling.width;
    Slopes to = slopes<T, A>(blocks, gradient, largest, out, weight, mean, inverse, rows, threads,
                             dweight, dbias);
    auto spread = channels == 8    ? spread_windows<T, A, 8>
                  : channels == 16 ? spread_windows<T, A, 16>
                                   : spread_windows<T, A, 0>;
    spread(gradient, x, out, which, mean, to, pooling, threads, dx, dresidual);
}

}  // namespace
