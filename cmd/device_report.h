/* device_report.h: what of a model is on a device and what stays on the CPU, as planned and as it came out. */
#ifndef SINQ_CMD_DEVICE_REPORT_H
#define SINQ_CMD_DEVICE_REPORT_H

#include "json.h"
#include "sinq.h"

/* `run --plan --gpu-memory`: a table of parts, bytes and places. */
void sinq_report_device_plan(const struct sinq_device_plan *plan);
void sinq_write_device_plan(struct sinq_json_writer *json, const struct sinq_device_plan *plan);

/* "all 64 layers and the head", "layers 12 to 63 and the head; 12 layers and the embedding stay on the CPU". Freed by free(). */
char *sinq_describe_device_plan(const struct sinq_device_plan *plan);

/* With --verbose, on stderr: how fast weights came to the device. Nothing where the model is on the CPU. */
void sinq_report_upload(const struct sinq_model *model);
/* ", 20.1 GB of the device" where the model is on one, to stderr. */
void sinq_print_device_peak(const struct sinq_model *model);
/* Member "device", where the model is on one. */
void sinq_write_device(struct sinq_json_writer *json, const struct sinq_model *model);

#endif
