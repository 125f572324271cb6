/* load_model.h: loading a model onto the device that --device names; with --verbose a line says which one it is, and why. */
#ifndef SINQ_CMD_LOAD_MODEL_H
#define SINQ_CMD_LOAD_MODEL_H

#include "options.h"

/* `device` is --device's argument, NULL where it is not given. */
int sinq_load_model_as_asked(const struct sinq_source *source, const char *device,
                             const struct sinq_common_options *common, struct sinq_model **model,
                             struct sinq_error *error);

#endif
