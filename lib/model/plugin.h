/*
 * plugin.h: backends in shared libraries of their own, which are loaded at run time where they and their device are there. A plug-in
 * exports one function of the name SINQ_PLUGIN_FUNCTION. Program and plug-in are built from the same sources. One that is not is refused:
 * the interface's number changes with what calls and members mean, the layout by itself with the size of any struct that both see.
 */
#ifndef SINQ_MODEL_PLUGIN_H
#define SINQ_MODEL_PLUGIN_H

#include "model/backend.h"
#include "model/rope.h"

#define SINQ_PLUGIN_INTERFACE  3u
#define SINQ_PLUGIN_FUNCTION   "sinq_open_plugin"
#define SINQ_PLUGIN_NAME_BYTES 256

struct sinq_plugin_options {
    uint32_t interface;    /* the caller's SINQ_PLUGIN_INTERFACE; it stays the first member */
    uint32_t layout;       /* the caller's sinq_plugin_layout() */
    int device;            /* from 0 */
    uint64_t memory_limit; /* of the device; 0: all */
};

/* A number made of the sizes of all that goes to and fro, and of how many kinds there are. */
static inline uint32_t sinq_plugin_layout(void) {
    const size_t sizes[] = {sizeof(struct sinq_backend_ops),
                            sizeof(struct sinq_queue_options),
                            sizeof(struct sinq_frame),
                            sizeof(struct sinq_profile),
                            sizeof(struct sinq_device_memory),
                            sizeof(struct sinq_operation),
                            sizeof(struct sinq_graph),
                            sizeof(struct sinq_want),
                            sizeof(struct sinq_cache),
                            sizeof(struct sinq_rope),
                            sizeof(struct sinq_weight),
                            sizeof(struct sinq_error),
                            SINQ_OP_KIND_COUNT,
                            SINQ_AUX_COUNT,
                            SINQ_DTYPE_COUNT};
    uint32_t layout = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) layout = layout * 1009u + (uint32_t)sizes[i];
    return layout;
}

/* Opens a device. `name` becomes the device's, for people. */
typedef int sinq_open_plugin_fn(const struct sinq_plugin_options *options, struct sinq_backend **backend,
                                char name[SINQ_PLUGIN_NAME_BYTES], struct sinq_error *error);
sinq_open_plugin_fn sinq_open_plugin;

#endif
