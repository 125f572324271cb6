#include "text/sidecar.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

int64_t sinq_find_sidecar(const struct sinq_source *source, const char *name) {
    const size_t count = sinq_source_sidecar_count(source);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(sinq_source_sidecar_name(source, i), name) == 0) return (int64_t)i;
    }
    return -1;
}

int sinq_read_sidecar(const struct sinq_source *source, const char *name, sinq_sidecar_fn *read, void *user,
                      struct sinq_error *error) {
    const int64_t index = sinq_find_sidecar(source, name);
    char *text = NULL;
    size_t size = 0;
    if (index < 0) return SINQ_OK;
    struct sinq_text what = {0};
    sinq_text_print(&what, "%.300s/%s", sinq_source_path(source), name);
    if (what.failed) return sinq_fail_memory(error, "a path", what.size);
    int status = sinq_source_read_sidecar(source, (size_t)index, &text, &size, error);
    if (status == SINQ_OK) status = read(user, what.data, text, size, error);
    free(text);
    sinq_text_free(&what);
    return status;
}
