// Values of tensors, activations, and walks over a matrix of `rows` (pixels of all images) by
// `channels`. T is float or bf16.

#pragma once

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

inline void store(float value, bf16 &place) {  // to nearest, ties to even; NaN stays NaN
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    uint32_t rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16, quiet = wide >> 16 | 0x40;
    place.bits = static_cast<uint16_t>((wide & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded);
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

enum Activation { IDENTITY, RELU, ELU };  // comparisons are such that NaN stays NaN

template <int A> inline float activate(float y) {
    if (A == RELU) return y < 0 ? 0.0f : y;
    if (A == ELU) return y > 0 ? y : exp_negative(std::min(y, 0.0f)) - 1.0f;
    return y;
}

// The derivative, from what `activate` gave.
template <int A> inline float slope(float out) {
    if (A == RELU) return out > 0 ? 1.0f : 0.0f;
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

// Calls work(part, begin, end) for parts of [0, count), each on a thread of its own.
template <class Work> void share(int64_t count, int64_t threads, Work work) {
    int64_t size = (count + threads - 1) / threads;
    std::vector<std::thread> others;
    for (int64_t part = 1; part * size < count; part++)
        others.emplace_back(
            [=] { work(part, part * size, std::min((part + 1) * size, count)); });
    work(0, 0, std::min(size, count));
    for (auto &thread : others) thread.join();
}

// The same for the places of a matrix, in whole strips.
template <class Work> void parallel(const Blocks &blocks, int64_t threads, Work work) {
    int64_t strip = STRIP * blocks.width;
    share((blocks.size + strip - 1) / strip, threads,
          [&](int64_t part, int64_t begin, int64_t end) {
              work(part, begin * strip, std::min(end * strip, blocks.size));
          });
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

}  // namespace
