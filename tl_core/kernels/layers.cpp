// Layers of channels-last image tensors that pass over memory as few times as can be: batch
// normalization with a residual sum and an activation (two passes instead of six), max-pooling.
//
// An image tensor is a matrix of `rows` (pixels of all images) by `channels`. T is float or bf16;
// sums are float over a strip of rows and double beyond it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

struct bf16 {
    uint16_t bits;
};

inline float load(float value) { return value; }

inline float load(bf16 value) {
    uint32_t wide = static_cast<uint32_t>(value.bits) << 16;
    float result;
    std::memcpy(&result, &wide, 4);
    return result;
}

inline void store(float value, float &place) { place = value; }

inline void store(float value, bf16 &place) {  // to nearest, ties to even
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    place.bits = static_cast<uint16_t>((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16);
}

// e^x for x <= 0 to float precision: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
inline float exp_negative(float x) {
    x = std::max(x, -87.0f);
    float n = std::floor(x * 1.44269504f + 0.5f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    int32_t power = (static_cast<int32_t>(n) + 127) << 23;
    float scale;
    std::memcpy(&scale, &power, 4);
    return p * scale;
}

enum Activation { IDENTITY, RELU, RELU6, ELU };  // comparisons are such that NaN stays NaN

template <int A> inline float activate(float y) {
    if (A == RELU) return y < 0 ? 0.0f : y;
    if (A == RELU6) return y < 0 ? 0.0f : y > 6 ? 6.0f : y;
    if (A == ELU) return y > 0 ? y : exp_negative(std::min(y, 0.0f)) - 1.0f;
    return y;
}

// The derivative, from what `activate` gave.
template <int A> inline float slope(float out) {
    if (A == RELU) return out > 0 ? 1.0f : 0.0f;
    if (A == RELU6) return out > 0 && out < 6 ? 1.0f : 0.0f;
    if (A == ELU) return std::min(out + 1.0f, 1.0f);
    return 1.0f;
}

// A matrix seen as blocks of a few rows, so that the inner loop is long whatever the channels are.
struct Blocks {
    int64_t rows, channels, size, width;

    Blocks(int64_t rows, int64_t channels)
        : rows(rows), channels(channels), size(rows * channels),
          width(std::max<int64_t>(1, 256 / channels) * channels) {}

    std::vector<float> repeated(const float *values) const {
        std::vector<float> all(width);
        for (int64_t j = 0; j < width; j++) all[j] = values[j % channels];
        return all;
    }
};

const int64_t STRIP = 64;  // blocks

// Calls work(part, begin, end) for parts of the matrix, each on a thread of its own.
template <class Work> void parallel(const Blocks &blocks, int64_t threads, Work work) {
    int64_t strip = STRIP * blocks.width;
    int64_t strips = (blocks.size + strip - 1) / strip;
    int64_t share = (strips + threads - 1) / threads * strip;
    std::vector<std::thread> others;
    for (int64_t part = 1; part * share < blocks.size; part++)
        others.emplace_back(
            [=] { work(part, part * share, std::min((part + 1) * share, blocks.size)); });
    work(0, 0, std::min(share, blocks.size));
    for (auto &thread : others) thread.join();
}

// Calls element(i, j) for every place i of [begin, end); j is the place in the block.
template <class Element>
inline void each(const Blocks &blocks, int64_t begin, int64_t end, Element element) {
    for (int64_t i = begin; i < end; i += blocks.width) {
        int64_t width = std::min(blocks.width, end - i);
#pragma GCC ivdep
        for (int64_t j = 0; j < width; j++) element(i + j, j);
    }
}

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

// Mean and (biased) variance by channel, from sums around a value that is among the others, for
// precision's sake: the middle one of three rows.
template <class T>
void moments(const T *x, int64_t rows, int64_t channels, int64_t threads, float *mean,
             float *variance) {
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
        mean[c] = static_cast<float>(origin[c] + shift);
        variance[c] = static_cast<float>(std::max(squares[c] / rows - shift * shift, 0.0));
    }
}

// out = activation(x * scale + shift + residual)
template <class T, int A>
void apply(const T *x, const T *residual, const float *scale, const float *shift, int64_t rows,
           int64_t channels, int64_t threads, T *out) {
    Blocks blocks(rows, channels);
    std::vector<float> scales = blocks.repeated(scale), shifts = blocks.repeated(shift);
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

// The gradients of out = activation((x - mean) * inverse * weight + bias + residual), where mean
// and inverse (1 / standard deviation) are those of x itself. `dresidual` may be null.
template <class T, int A>
void backward(const T *gradient, const T *x, const T *out, const float *weight, const float *mean,
              const float *inverse, int64_t rows, int64_t channels, int64_t threads, T *dx,
              T *dresidual, float *dweight, float *dbias) {
    Blocks blocks(rows, channels);
    std::vector<float> means = blocks.repeated(mean);
    const float *m = means.data();
    std::vector<double> sum(channels), product(channels);
    sums(blocks, threads, sum.data(), product.data(),
         [=](int64_t i, int64_t j, float &first, float &second) {
             float g = load(gradient[i]) * slope<A>(load(out[i]));
             first += g;
             second += g * (load(x[i]) - m[j]);
         });
    std::vector<float> scale(channels), tilt(channels), shift(channels);
    for (int64_t c = 0; c < channels; c++) {
        dbias[c] = static_cast<float>(sum[c]);
        dweight[c] = static_cast<float>(product[c] * inverse[c]);
        scale[c] = weight[c] * inverse[c];
        tilt[c] = -scale[c] * inverse[c] * dweight[c] / rows;
        shift[c] = -scale[c] * dbias[c] / rows;
    }
    std::vector<float> scales = blocks.repeated(scale.data());
    std::vector<float> tilts = blocks.repeated(tilt.data());
    std::vector<float> shifts = blocks.repeated(shift.data());
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

    template <class Lines> void parallel(int64_t threads, Lines lines) const {
        int64_t count = images * out_height, share = (count + threads - 1) / threads;
        std::vector<std::thread> others;
        for (int64_t begin = share; begin < count; begin += share)
            others.emplace_back([=] { lines(begin, std::min(begin + share, count)); });
        lines(0, std::min(share, count));
        for (auto &thread : others) thread.join();
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

#define CHOOSE(FUNCTION, T)                                                                       \
    (activation == ELU     ? FUNCTION<T, ELU>                                                     \
     : activation == RELU  ? FUNCTION<T, RELU>                                                    \
     : activation == RELU6 ? FUNCTION<T, RELU6>                                                   \
                           : FUNCTION<T, IDENTITY>)

#define EXPORT(T, NAME)                                                                           \
    extern "C" void moments_##NAME(const T *x, int64_t rows, int64_t channels, int64_t threads,   \
                                   float *mean, float *variance) {                                \
        moments(x, rows, channels, threads, mean, variance);                                      \
    }                                                                                             \
    extern "C" void apply_##NAME(int64_t activation, const T *x, const T *residual,               \
                                 const float *scale, const float *shift, int64_t rows,            \
                                 int64_t channels, int64_t threads, T *out) {                     \
        CHOOSE(apply, T)(x, residual, scale, shift, rows, channels, threads, out);                \
    }                                                                                             \
    extern "C" void backward_##NAME(int64_t activation, const T *gradient, const T *x,            \
                                    const T *out, const float *weight, const float *mean,         \
                                    const float *inverse, int64_t rows, int64_t channels,         \
                                    int64_t threads, T *dx, T *dresidual, float *dweight,         \
                                    float *dbias) {                                               \
        CHOOSE(backward, T)                                                                       \
        (gradient, x, out, weight, mean, inverse, rows, channels, threads, dx, dresidual,         \
         dweight, dbias);                                                                         \
    }                                                                                             \
    extern "C" void max_pool_##NAME(const T *x, const int64_t *shape, int64_t threads, T *out,    \
                                    int32_t *which) {                                             \
        max_pool(x, pooling_of(shape), threads, out, which);                                      \
    }                                                                                             \
    extern "C" void max_pool_backward_##NAME(const T *gradient, const int32_t *which,             \
                                             const int64_t *shape, int64_t threads, T *dx) {      \
        max_pool_backward(gradient, which, pooling_of(shape), threads, dx);                       \
    }

EXPORT(float, float32)
EXPORT(bf16, bfloat16)
