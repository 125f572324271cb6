/* open_device.h: the backend that a model is to run on: the CPU, or a device behind a plug-in. */
#ifndef SINQ_MODEL_OPEN_DEVICE_H
#define SINQ_MODEL_OPEN_DEVICE_H

#include "model/backend.h"

#define SINQ_DEVICE_TEXT_BYTES 400

/* What was opened, for people. */
struct sinq_device_names {
    char device[SINQ_DEVICE_TEXT_BYTES]; /* "cpu", "cuda:0, NVIDIA H200" */
    char reason[SINQ_DEVICE_TEXT_BYTES]; /* "auto" that ended at the CPU: why; else "" */
};

/*
 * "auto", "cpu", "cuda" or "cuda:N"; anything else is SINQ_USAGE. auto takes the first CUDA device where plug-in, driver and device are
 * there, and the CPU elsewhere; the others take what they name or fail.
 */
int sinq_open_device(const struct sinq_device_options *options, struct sinq_backend **backend,
                     struct sinq_device_names *names, struct sinq_error *error);

#endif
