/* directory.h: a Hugging Face directory: weights with or without an index, config.json, sidecars. */
#ifndef SINQ_FORMATS_DIRECTORY_H
#define SINQ_FORMATS_DIRECTORY_H

#include "sinq.h"

/* File names of a directory that matter, each list sorted. All zero when empty. */
struct sinq_directory {
    char **weights; /* *.safetensors */
    size_t weight_count;
    char **sidecars;
    size_t sidecar_count;
    bool has_index, has_config;
    bool has_reference_sidecar; /* how the reference implementation of SINQ quantized it */
    char *other_weights;        /* a file of another format that may hold the weights, for the message; or NULL */
};

/* Reads the names. sinq_directory_free in any case. */
int sinq_scan_directory(const char *path, struct sinq_directory *directory, struct sinq_error *error);

void sinq_directory_free(struct sinq_directory *directory);

/* Whether a file of that name belongs to the model and is carried over when it is written anew. */
bool sinq_is_sidecar_name(const char *name);

int sinq_open_directory(const char *path, struct sinq_source **source, struct sinq_error *error);

#endif
