/* load_model.h: loading a model onto the device that --device names; with --verbose a line says which one it is, and why, unless the CPU was asked for. */
#ifndef SINQ_CMD_LOAD_MODEL_H
#define SINQ_CMD_LOAD_MODEL_H

#include "options.h"

/* device.device is --device's argument, NULL where it is not given: then SINQ_DEVICE says it, else it is auto. */
int sinq_load_model_as_asked(const struct sinq_source *source, struct sinq_device_options device,
                             const struct sinq_common_options *common, struct sinq_model **model,
                             struct sinq_error *error);

#endif
