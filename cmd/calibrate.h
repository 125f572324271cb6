/* calibrate.h: statistics of a model's inputs for `sinq quantize --calib`. */
#ifndef SINQ_CMD_CALIBRATE_H
#define SINQ_CMD_CALIBRATE_H

#include "quantize.h"

/*
 * Runs the model over the first --calib-tokens tokens of each text and opens what comes of it, which *path names: --save-stats, or a
 * file beside `output` that the caller removes (*is_temporary). *path is malloc'ed, and freed by the caller in any case.
 */
int sinq_calibrate(const struct sinq_quantize_arguments *arguments, const char *model_path,
                   const struct sinq_source *source, const char *output, char **path, bool *is_temporary,
                   struct sinq_error *error);

#endif
