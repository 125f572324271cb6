/* output_path.h: where a result goes if nobody says. */
#ifndef SINQ_CMD_OUTPUT_PATH_H
#define SINQ_CMD_OUTPUT_PATH_H

#include "sinq.h"

/*
 * The output's path, freed by free(): `<model>-sinq-<bits>bit-g<group>` beside the model, or of that name in `folder` if it
 * is not NULL. A file keeps its ".safetensors" at the end; ".gguf" and
 * what counts parts are left out. NULL if the model's path has no name to take (such as "/").
 */
char *sinq_default_output_path(const char *model, bool is_directory, const struct sinq_recipe_summary *recipe,
                               const char *folder);

bool sinq_is_directory(const char *path);

#endif
