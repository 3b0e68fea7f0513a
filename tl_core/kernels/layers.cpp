// Layers of channels-last image tensors that pass over memory as few times as can be: what Python
// calls, for each type of value.

#include "grey_conv.h"
#include "norm_act_pool.h"

#define CHOOSE(FUNCTION, T)                                                                       \
    (activation == ELU     ? FUNCTION<T, ELU>                                                     \
     : activation == RELU  ? FUNCTION<T, RELU>                                                    \
     : activation == RELU6 ? FUNCTION<T, RELU6>                                                   \
                           : FUNCTION<T, IDENTITY>)

#define EXPORT(T, NAME)                                                                           \
    extern "C" void statistics_##NAME(const T *x, int64_t rows, int64_t channels,                 \
                                      int64_t threads, float epsilon, float momentum,             \
                                      float *running_mean, float *running_variance, float *mean,  \
                                      float *inverse) {                                           \
        Running running{running_mean, running_variance, momentum};                                \
        statistics(x, rows, channels, threads, epsilon, running, mean, inverse);                  \
    }                                                                                             \
    extern "C" void apply_##NAME(int64_t activation, const T *x, const T *residual,               \
                                 const float *weight, const float *bias, const float *mean,       \
                                 const float *inverse, int64_t rows, int64_t channels,            \
                                 int64_t threads, T *out) {                                       \
        Affine affine(weight, bias, mean, inverse, channels);                                     \
        CHOOSE(apply, T)(x, residual, affine, rows, channels, threads, out);                      \
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
    extern "C" void apply_pool_##NAME(int64_t activation, const T *x, const T *residual,          \
                                      const float *weight, const float *bias, const float *mean,  \
                                      const float *inverse, const int64_t *shape,                 \
                                      int64_t threads, T *out, T *largest, int32_t *which) {      \
        Pooling pooling = pooling_of(shape);                                                      \
        Affine affine(weight, bias, mean, inverse, pooling.channels);                             \
        CHOOSE(apply_pool, T)(x, residual, affine, pooling, threads, out, largest, which);        \
    }                                                                                             \
    extern "C" void backward_pool_##NAME(                                                         \
        int64_t activation, const T *gradient, const T *x, const T *out, const T *largest,        \
        const int32_t *which, const float *weight, const float *mean, const float *inverse,       \
        const int64_t *shape, int64_t threads, T *dx, T *dresidual, float *dweight,               \
        float *dbias) {                                                                           \
        CHOOSE(backward_pool, T)                                                                  \
        (gradient, x, out, largest, which, weight, mean, inverse, pooling_of(shape), threads, dx, \
         dresidual, dweight, dbias);                                                              \
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

extern "C" void grey_conv_float32(const float *x, const float *weight, const float *bias,
                                  int64_t images, int64_t height, int64_t width, int64_t channels,
                                  int64_t threads, float *out) {
    grey_conv(x, weight, bias, images, height, width, channels, threads, out);
}

extern "C" void grey_conv_backward_float32(const float *gradient, const float *x, int64_t images,
                                           int64_t height, int64_t width, int64_t channels,
                                           int64_t threads, float *dweight, float *dbias) {
    grey_conv_backward(gradient, x, images, height, width, channels, threads, dweight, dbias);
}
