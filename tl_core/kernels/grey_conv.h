// Convolution 3 x 3 of images of one channel, with a line of zeros around them.

#pragma once

#include "elements.h"

namespace {

typedef float Eight __attribute__((vector_size(32)));

const int64_t TAPS = 9, TOGETHER = 4;  // pixels whose sums stay in registers

// The three lines of an image around line y, a zero on either side, and zeros to read past the end.
inline void fill_lines(const float *image, int64_t y, int64_t height, int64_t width, float *lines,
                       int64_t line_size) {
    for (int64_t k = 0; k < 3; k++) {
        float *line = lines + k * line_size;
        int64_t at = y + k - 1;
        if (at >= 0 && at < height)
            std::memcpy(line + 1, image + at * width, width * sizeof(float));
        else
            std::fill(line + 1, line + 1 + width, 0.0f);
    }
}

// x (images, height, width), weight (channels, 3, 3) and bias (channels, or null) into `out`
// (images, height, width, channels); channels is a multiple of 8.
inline void grey_conv(const float *x, const float *weight, const float *bias, int64_t images,
                      int64_t height, int64_t width, int64_t channels, int64_t threads,
                      float *out) {
    std::vector<float> taps(TAPS * channels), biases(channels, 0.0f);
    for (int64_t c = 0; c < channels; c++) {
        if (bias) biases[c] = bias[c];
        for (int64_t k = 0; k < TAPS; k++)
            taps[(c / 8 * TAPS + k) * 8 + c % 8] = weight[c * TAPS + k];
    }
    share(images * height, threads, [&](int64_t, int64_t begin, int64_t end) {
        int64_t line_size = width + 2 + TOGETHER;
        std::vector<float> lines(3 * line_size, 0.0f);
        for (int64_t line = begin; line < end; line++) {
            fill_lines(x + line / height * height * width, line % height, height, width,
                       lines.data(), line_size);
            for (int64_t block = 0; block < channels; block += 8) {
                Eight weights[TAPS], start;
                std::memcpy(weights, &taps[block * TAPS], sizeof weights);
                std::memcpy(&start, &biases[block], sizeof start);
                float *into = out + line * width * channels + block;
                for (int64_t p = 0; p < width; p += TOGETHER) {
                    Eight sums[TOGETHER];
                    for (int64_t q = 0; q < TOGETHER; q++) sums[q] = start;
                    for (int64_t k = 0; k < TAPS; k++) {
                        const float *from = &lines[k / 3 * line_size + p + k % 3];
                        for (int64_t q = 0; q < TOGETHER; q++) sums[q] += weights[k] * from[q];
                    }
                    int64_t count = std::min(TOGETHER, width - p);
                    for (int64_t q = 0; q < count; q++)
                        std::memcpy(into + (p + q) * channels, &sums[q], sizeof(Eight));
                }
            }
        }
    });
}

// The gradients of weight and bias (may be null) from that of `out`. Sums are float over a strip of
// lines and double beyond it.
inline void grey_conv_backward(const float *gradient, const float *x, int64_t images,
                               int64_t height, int64_t width, int64_t channels, int64_t threads,
                               float *dweight, float *dbias) {
    const int64_t STRIP_LINES = 16, SUMS = TAPS + 1;
    std::vector<double> parts(threads * SUMS * channels, 0.0);
    share(images * height, threads, [&](int64_t part, int64_t begin, int64_t end) {
        int64_t line_size = width + 2;
        std::vector<float> lines(3 * line_size, 0.0f), strip(SUMS * channels);
        double *into = &parts[part * SUMS * channels];
        for (int64_t line = begin; line < end; line++) {
            fill_lines(x + line / height * height * width, line % height, height, width,
                       lines.data(), line_size);
            for (int64_t block = 0; block < channels; block += 8) {
                Eight sums[SUMS];
                std::memcpy(sums, &strip[block * SUMS], sizeof sums);
                const float *from = gradient + line * width * channels + block;
                for (int64_t p = 0; p < width; p++) {
                    Eight g;
                    std::memcpy(&g, from + p * channels, sizeof g);
                    for (int64_t k = 0; k < TAPS; k++)
                        sums[k] += g * lines[k / 3 * line_size + p + k % 3];
                    sums[TAPS] += g;
                }
                std::memcpy(&strip[block * SUMS], sums, sizeof sums);
            }
            if ((line - begin) % STRIP_LINES < STRIP_LINES - 1 && line < end - 1) continue;
            for (int64_t i = 0; i < SUMS * channels; i++) into[i] += strip[i];
            std::fill(strip.begin(), strip.end(), 0.0f);
        }
    });
    for (int64_t part = 1; part < threads; part++)
        for (int64_t i = 0; i < SUMS * channels; i++) parts[i] += parts[part * SUMS * channels + i];
    for (int64_t c = 0; c < channels; c++) {
        const double *of_channel = &parts[c / 8 * SUMS * 8 + c % 8];
        for (int64_t k = 0; k < TAPS; k++)
            dweight[c * TAPS + k] = static_cast<float>(of_channel[k * 8]);
        if (dbias) dbias[c] = static_cast<float>(of_channel[TAPS * 8]);
    }
}

}  // namespace
