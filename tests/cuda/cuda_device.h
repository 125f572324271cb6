/* cuda_device.h: the device that these tests run on, or a loud line where there is none. */
#ifndef SINQ_TESTS_CUDA_DEVICE_H
#define SINQ_TESTS_CUDA_DEVICE_H

#include <math.h>

#include "../unit/unit.h"
#include "model/open_device.h"

/* NULL where there is none; a test program then ends. */
static inline struct sinq_backend *open_cuda(void) {
    const struct sinq_device_options options = {.device = "cuda"};
    struct sinq_backend *backend = NULL;
    struct sinq_device_names names;
    struct sinq_error error;
    if (sinq_open_device(&options, &backend, &names, &error) == SINQ_OK) return backend;
    fprintf(stderr, "SKIPPED: nothing is tested on a CUDA device: %s\n", error.message);
    return NULL;
}

/* ||a - b|| / ||b||; NaN where one of them has any. */
static inline double relative_norm(const float *a, const float *b, size_t count) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / (norm + 1e-300));
}

#endif
