/*
 * plugin.h: backends in shared libraries of their own, which are loaded at run time where they and their device are there. A plug-in
 * exports one function of the name SINQ_PLUGIN_FUNCTION. Program and plug-in are built from the same sources: the interface's number
 * changes with any struct that both see.
 */
#ifndef SINQ_MODEL_PLUGIN_H
#define SINQ_MODEL_PLUGIN_H

#include "model/backend.h"

#define SINQ_PLUGIN_INTERFACE  1u
#define SINQ_PLUGIN_FUNCTION   "sinq_open_plugin"
#define SINQ_PLUGIN_NAME_BYTES 256

struct sinq_plugin_options {
    uint32_t interface;    /* the caller's SINQ_PLUGIN_INTERFACE */
    int device;            /* from 0 */
    uint64_t memory_limit; /* of the device; 0: all */
};

/* Opens a device. `name` becomes the device's, for people. */
typedef int sinq_open_plugin_fn(const struct sinq_plugin_options *options, struct sinq_backend **backend,
                                char name[SINQ_PLUGIN_NAME_BYTES], struct sinq_error *error);
sinq_open_plugin_fn sinq_open_plugin;

#endif
