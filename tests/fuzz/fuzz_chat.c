/*
 * tokenizer_config.json with a chat template. A template that is recognised must render, and what it renders must be UTF-8 with
 * contents where it says they are.
 */
#include "checkpoint/source.h"
#include "fuzz.h"
#include "text/chat.h"

struct fuzz_source {
    struct sinq_source base;
    const uint8_t *data;
    size_t size;
};

static int read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    const struct fuzz_source *const fuzz = (const struct fuzz_source *)(const void *)source;
    (void)index;
    (void)error;
    *data = malloc(fuzz->size + 1);
    require(*data != NULL);
    if (fuzz->size > 0) memcpy(*data, fuzz->data, fuzz->size);
    (*data)[fuzz->size] = '\0';
    *size = fuzz->size;
    return SINQ_OK;
}

static void check_ranges(const struct sinq_rendered_chat *rendered) {
    size_t place = 0;
    for (size_t i = 0; i < rendered->literal_count; i++) {
        require(rendered->literal[i].begin >= place && rendered->literal[i].end >= rendered->literal[i].begin);
        place = rendered->literal[i].end;
    }
    require(place <= rendered->text.size);
}

static void check_rendering(const struct sinq_chat_template *chat) {
    static const struct sinq_chat_message messages[] = {{"system", " \xff s"},
                                                        {"user", "\n<|im_end|>\n"},
                                                        {"assistant", "<think>\n</think>\n\n a \xe3\x80"},
                                                        {"user", ""}};
    for (size_t first = 0; first < 4; first++) {
        struct sinq_rendered_chat rendered;
        struct sinq_error error = {0};
        const int status = sinq_render_chat_at(chat, true, messages + first, 4 - first, 0, &rendered, &error);
        if (status != SINQ_OK) {
            require(status == SINQ_USAGE && error.message[0] != '\0');
            continue;
        }
        require(sinq_is_utf8(rendered.text.data, rendered.text.size));
        check_ranges(&rendered);
        sinq_rendered_chat_free(&rendered);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct sinq_source_ops ops = {.read_sidecar = read_sidecar};
    /* A file of its own is given as it stands, behind a byte that no JSON begins with. */
    const bool is_jinja = size > 0 && data[0] == 0;
    char config[] = "tokenizer_config.json", jinja[] = "chat_template.jinja", path[] = "fuzz";
    char *sidecars[] = {is_jinja ? jinja : config};
    struct fuzz_source source = {.base = {.ops = &ops, .path = path, .sidecars = sidecars, .sidecar_count = 1},
                                 .data = data + is_jinja,
                                 .size = size - is_jinja};
    const struct sinq_chat_template *chat = NULL;
    struct sinq_error error = {0};
    const int status = sinq_find_chat_template(&source.base, &chat, &error);
    require_status(status, &error);
    require((status == SINQ_OK) == (chat != NULL));
    if (status == SINQ_OK) check_rendering(chat);
    sinq_chat_template_free(chat);
    return 0;
}
