// What Python calls, for each type of value.

#include "norm_act.h"

#define CHOOSE(FUNCTION, T)                                                                       \
    (activation == ELU    ? FUNCTION<T, ELU>                                                      \
     : activation == RELU ? FUNCTION<T, RELU>                                                     \
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
    }

EXPORT(float, float32)
EXPORT(bf16, bfloat16)
