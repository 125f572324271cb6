/* calibrate.h: statistics of a model's inputs for `sinq quantize --calib`. */
#ifndef SINQ_CMD_CALIBRATE_H
#define SINQ_CMD_CALIBRATE_H

#include "own_text.h"
#include "quantize.h"

/* What a model is calibrated with. sinq_free_calibration in any case. */
struct sinq_calibration {
    struct sinq_tokens tokens; /* windows of all texts, one behind the other */
    struct sinq_own_text own;  /* that the model is to write itself, behind those */
    uint32_t window, tokenizer_size;
};

/* The first --calib-tokens tokens of each --calib text; `self` is only planned. */
int sinq_read_calibration(const struct sinq_quantize_arguments *arguments, const struct sinq_source *source,
                          struct sinq_calibration *calibration, struct sinq_error *error);
void sinq_free_calibration(struct sinq_calibration *calibration);

/* Runs the model over them. What comes of it is in --save-stats, or in a file without a name on the disk of `beside`. */
int sinq_calibrate(const struct sinq_quantize_arguments *arguments, const char *model_path,
                   const struct sinq_source *source, struct sinq_calibration *calibration, const char *beside,
                   struct sinq_source **statistics, struct sinq_error *error);

#endif
