// Max-pooling 2 x 2.

#pragma once

#include "elements.h"

namespace {

// Maps of one image (height, width) and what pooling 2 x 2 makes of them (out_height, out_width);
// the last windows are partly outside where a side is odd and its last pixel counts.
struct Pooling {
    int64_t images, height, width, out_height, out_width, channels;

    // Calls window(out, in, right, below) for each window of [begin, end) output lines of all
    // images: places of its result and of its first pixel, and the distances to the pixels right
    // of it and below, 0 where there is none.
    template <class Window> void each(int64_t begin, int64_t end, Window window) const {
        for (int64_t line = begin; line < end; line++) {
            int64_t image = line / out_height, y = line % out_height;
            int64_t below = 2 * y + 1 < height ? width * channels : 0;
            int64_t in = (image * height + 2 * y) * width * channels;
            int64_t out = line * out_width * channels;
            for (int64_t x = 0; x < out_width; x++) {
                int64_t right = 2 * x + 1 < width ? channels : 0;
                window(out + x * channels, in + 2 * x * channels, right, below);
            }
        }
    }

    // Calls pixel(in) for the pixels that are in no window, where a side is odd and rounded down.
    template <class Pixel> void outside(int64_t begin, int64_t end, Pixel pixel) const {
        int64_t last = height - 1, line_size = width * channels;
        for (int64_t line = begin; line < end; line++) {
            int64_t image = line / out_height, y = line % out_height;
            int64_t corner = image * height * line_size, right = line_size - channels;
            if (2 * out_width < width)
                for (int64_t down = 2 * y; down < std::min(2 * y + 2, height); down++)
                    pixel(corner + down * line_size + right);
            if (2 * out_height < height && y == out_height - 1)
                for (int64_t x = 0; x < line_size; x += channels)
                    pixel(corner + last * line_size + x);
        }
    }

    template <class Lines> void parallel(int64_t threads, Lines lines) const {
        share(images * out_height, threads,
              [&](int64_t, int64_t begin, int64_t end) { lines(begin, end); });
    }
};

Pooling pooling_of(const int64_t *shape) {
    return {shape[0], shape[1], shape[2], shape[3], shape[4], shape[5]};
}

inline float larger(float first, float second) {  // NaN if either is
    float result = second <= first ? first : second;
    return first != first ? first : result;
}

// The largest of each window, and which it is: 0 to 3, right 1, below 2; the first among equals.
// A window with NaN gives NaN. `which` may be null.
template <class T>
void max_pool(const T *x, const Pooling &pooling, int64_t threads, T *out, int32_t *which) {
    pooling.parallel(threads, [=, &pooling](int64_t begin, int64_t end) {
        std::vector<int32_t> unused(which ? 0 : pooling.channels);
        pooling.each(begin, end, [&](int64_t o, int64_t i, int64_t right, int64_t below) {
            const T *a = x + i, *b = a + right, *c = a + below, *d = c + right;
            T *best = out + o;
            int32_t *place = which ? which + o : unused.data();
#pragma GCC ivdep
            for (int64_t j = 0; j < pooling.channels; j++) {  // what is outside repeats the inside
                float p = load(a[j]), q = load(b[j]), r = load(c[j]), s = load(d[j]);
                float upper = larger(p, q), lower = larger(r, s);
                int above = q <= p ? 0 : 1, under = s <= r ? 2 : 3;
                store(larger(upper, lower), best[j]);
                place[j] = (lower <= upper ? above : under);
            }
        });
    });
}

// The gradient of max_pool's input: a window's goes to the pixel that was its largest.
template <class T>
void max_pool_backward(const T *gradient, const int32_t *which, const Pooling &pooling,
                       int64_t threads, T *dx) {
    pooling.parallel(threads, [=, &pooling](int64_t begin, int64_t end) {
        T zero;
        store(0.0f, zero);
        pooling.each(begin, end, [&](int64_t o, int64_t i, int64_t right, int64_t below) {
            const T *from = gradient + o;
            const int32_t *place = which + o;
            T *into = dx + i;
            int64_t distances[] = {0, right, below, right + below};
            for (int k = 0; k < 4; k++) {
                if ((k & 1 && !right) || (k & 2 && !below)) continue;
                T *pixel = into + distances[k];
#pragma GCC ivdep
                for (int64_t j = 0; j < pooling.channels; j++)
                    pixel[j] = place[j] == k ? from[j] : zero;
            }
        });
    });
}

}  // namespace
