/* bench_report.c: what `sinq bench` found. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "describe.h"
#include "device_report.h"
#include "json.h"
#include "quantity.h"
#include "report.h"
#include "table.h"
#include "terminal.h"

#define FIRST_SHARE 6u /* of the table's columns */

static bool is_coded_alike(const struct sinq_matrix_info *a, const struct sinq_matrix_info *b) {
    return a->method == b->method && a->bits == b->bits && a->group_size == b->group_size &&
           a->scale_type == b->scale_type;
}

/* The first quantized matrix whose name has one of two parts in it, and whether others of them differ; false where there is none. */
static bool find_matrix(const struct sinq_source *source, const char *part, const char *other,
                        struct sinq_matrix_info *first, bool *have_others) {
    bool is_found = false;
    *have_others = false;
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        const bool is_wanted = strstr(tensor->name, part) != NULL || strstr(tensor->name, other) != NULL;
        struct sinq_matrix_info info;
        struct sinq_error error;
        if (tensor->dtype != SINQ_DUAL_SCALE || !is_wanted) continue;
        if (sinq_source_matrix_info(source, i, 0, &info, &error) != SINQ_OK) return is_found;
        if (!is_found) *first = info;
        is_found = true;
        *have_others = *have_others || !is_coded_alike(first, &info);
    }
    return is_found;
}

/* The matrices of layers, and the head, or the embedding that is its head. */
static bool find_layers(const struct sinq_bench *bench, struct sinq_matrix_info *info, bool *have_others) {
    return find_matrix(bench->source, "layers.", ".h.", info, have_others);
}
static bool find_head(const struct sinq_bench *bench, struct sinq_matrix_info *info) {
    bool have_others;
    return find_matrix(bench->source, "lm_head", "embed_tokens", info, &have_others);
}

/* ---- for people ---- */

/* "1.51 Tops/s" */
static const char *format_rate(char buffer[SINQ_QUANTITY_SIZE], double rate, const char *unit) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    int prefix = 0;
    for (; rate >= 999.5 && prefix < 5; prefix++) rate /= 1000.0;
    snprintf(buffer, SINQ_QUANTITY_SIZE, "%.*f %s%s/s",
             rate >= 99.95   ? 0
             : rate >= 9.995 ? 1
                             : 2,
             rate, prefixes[prefix], unit);
    return buffer;
}

static void report_limits(const struct sinq_bench *bench) {
    const struct sinq_number_list *const threads = &bench->arguments->threads;
    char read[SINQ_QUANTITY_SIZE], int8[SINQ_QUANTITY_SIZE], f32[SINQ_QUANTITY_SIZE], size[SINQ_QUANTITY_SIZE];
    for (size_t i = 0; i < threads->count; i++) {
        const struct sinq_bench_limits *const limits = &bench->limits[i];
        char label[32];
        snprintf(label, sizeof label, "%u thread%s", threads->numbers[i], threads->numbers[i] == 1 ? "" : "s");
        sinq_print_fact(label, "read %s of %s, int8 %s, f32 %s", format_rate(read, limits->machine.read_bytes, "B"),
                        sinq_format_bytes(size, limits->machine.buffer_bytes),
                        format_rate(int8, limits->machine.int8_operations, "op"),
                        format_rate(f32, limits->machine.f32_operations, "flop"));
        if (limits->resident_bytes > 0) {
            sinq_print_fact("", "read %s of as much as a token reads, again and again",
                            format_rate(read, limits->resident_bytes, "B"));
        }
    }
}

static void report_coding(const struct sinq_bench *bench) {
    struct sinq_matrix_info layers, head;
    char coding[SINQ_DESCRIPTION_SIZE], head_coding[SINQ_DESCRIPTION_SIZE] = "not quantized";
    bool have_others;
    if (!find_layers(bench, &layers, &have_others)) return;
    if (find_head(bench, &head)) {
        (void)sinq_describe_coding(head_coding, head.method, head.bits, head.group_size, head.scale_type);
    }
    sinq_print_fact("coding", "%s%s, the head %s",
                    sinq_describe_coding(coding, layers.method, layers.bits, layers.group_size, layers.scale_type),
                    have_others ? " and others" : "", head_coding);
}

static void report_device(const struct sinq_bench *bench) {
    struct sinq_device_memory memory;
    char peak[SINQ_QUANTITY_SIZE];
    if (!sinq_model_device_memory(bench->model, &memory)) return;
    sinq_print_fact("device", "%s: %s at most", bench->facts.device, sinq_format_bytes(peak, memory.peak));
}

static void report_model(const struct sinq_bench *bench) {
    const struct sinq_bench_arguments *const arguments = bench->arguments;
    char weights[SINQ_QUANTITY_SIZE], active[SINQ_QUANTITY_SIZE], loaded[SINQ_QUANTITY_SIZE];
    sinq_print_heading("%s", sinq_source_path(bench->source));
    sinq_print_fact("family", "%s%s", bench->facts.family,
                    arguments->small_pages     ? ", weights made up, in small pages"
                    : arguments->shape != NULL ? ", weights made up"
                                               : "");
    sinq_print_fact("weights", "%s, %s of them read for a token", sinq_format_bytes(weights, bench->facts.weight_bytes),
                    sinq_format_bytes(active, bench->facts.active_bytes));
    report_coding(bench);
    sinq_print_fact("loaded in", "%s", sinq_format_seconds(loaded, bench->load_seconds));
    report_device(bench);
    sinq_print_fact("computed", "%s, keys and values in %s", arguments->exact ? "with f32 activations" : "in int8",
                    arguments->kv != NULL ? arguments->kv : "f16");
}

/* Four digits, or the whole number. */
static void add_speed(struct sinq_table *table, double speed) {
    sinq_table_print_cell(table, speed < 9999.5 ? "%.4g" : "%.0f", speed);
}

static void add_share(struct sinq_table *table, double reached, double limit) {
    char share[SINQ_QUANTITY_SIZE];
    sinq_table_add(table, limit > 0 ? sinq_format_percent(share, reached / limit) : "");
}

static void add_case(struct sinq_table *table, const struct sinq_bench *bench, const struct sinq_bench_case *found) {
    const struct sinq_bench_share share = sinq_find_bench_share(bench, found);
    const bool is_prompt = found->phase == SINQ_BENCH_PROMPT;
    const bool is_int8 = found->work.int8_operations > found->work.f32_operations;
    char rate[SINQ_QUANTITY_SIZE];
    sinq_table_print_cell(table, "%s %u", is_prompt ? "prompt of" : "decode at",
                          is_prompt ? found->tokens : found->depth);
    sinq_table_print_cell(table, "%u", found->threads);
    add_speed(table, found->rate.median);
    add_speed(table, found->rate.least);
    add_speed(table, found->rate.most);
    sinq_table_add(table, format_rate(rate, share.reached, is_prompt ? (is_int8 ? "op" : "flop") : "B"));
    if (table->column_count > FIRST_SHARE) add_share(table, share.reached, share.limit);
    if (table->column_count > FIRST_SHARE) add_share(table, share.paired, share.paired > 0 ? 1 : 0);
    if (table->column_count > FIRST_SHARE + 2) add_share(table, share.reached, share.resident_limit);
}

/* Shares of limits that were not measured have no column. */
static size_t count_columns(const struct sinq_bench *bench) {
    if (bench->arguments->no_limits) return FIRST_SHARE;
    return bench->limits[0].resident_bytes > 0 ? FIRST_SHARE + 3 : FIRST_SHARE + 2;
}

void sinq_report_bench(const struct sinq_bench *bench) {
    static const struct sinq_column columns[] = {
        {"what", SINQ_LEFT},      {"threads", SINQ_RIGHT}, {"tokens/s", SINQ_RIGHT},
        {"least", SINQ_RIGHT},    {"most", SINQ_RIGHT},    {"reached", SINQ_RIGHT},
        {"of limit", SINQ_RIGHT}, {"paired", SINQ_RIGHT},  {"of cache's", SINQ_RIGHT}};
    struct sinq_table table = {.columns = columns, .column_count = count_columns(bench)};
    if (bench->source != NULL) report_model(bench);
    if (!bench->arguments->no_limits) {
        sinq_print_heading("This machine's limits (%s)", sinq_cpu_name());
        report_limits(bench);
    }
    if (bench->case_count == 0) return;
    for (size_t i = 0; i < bench->case_count; i++) add_case(&table, bench, &bench->cases[i]);
    putchar('\n');
    sinq_table_write(&table, stdout, sinq_has_color(stdout), sinq_terminal_width(stdout));
    sinq_table_free(&table);
    if (bench->arguments->profile) sinq_report_bench_profiles(bench);
}

/* ---- JSON ---- */

/* A rate that was not measured is null. */
static void write_rate(struct sinq_json_writer *json, const char *key, double rate) {
    if (rate > 0) {
        sinq_write_real(json, key, rate);
    } else {
        sinq_write_null(json, key);
    }
}

static void write_limits(struct sinq_json_writer *json, const struct sinq_bench *bench) {
    sinq_write_open(json, "limits", '[');
    for (size_t i = 0; !bench->arguments->no_limits && i < bench->arguments->threads.count; i++) {
        const struct sinq_bench_limits *const limits = &bench->limits[i];
        sinq_write_open(json, NULL, '{');
        sinq_write_count(json, "threads", limits->machine.threads);
        sinq_write_count(json, "buffer_bytes", limits->machine.buffer_bytes);
        sinq_write_real(json, "read_bytes_per_second", limits->machine.read_bytes);
        write_rate(json, "resident_read_bytes_per_second", limits->resident_bytes);
        sinq_write_real(json, "int8_operations_per_second", limits->machine.int8_operations);
        sinq_write_real(json, "f32_operations_per_second", limits->machine.f32_operations);
        sinq_write_close(json, '}');
    }
    sinq_write_close(json, ']');
}

static void write_work(struct sinq_json_writer *json, const struct sinq_work *work) {
    sinq_write_open(json, "per_token", '{');
    sinq_write_real(json, "weight_bytes", work->weight_bytes);
    sinq_write_real(json, "kv_bytes", work->kv_bytes);
    sinq_write_real(json, "other_bytes", work->other_bytes);
    sinq_write_real(json, "int8_operations", work->int8_operations);
    sinq_write_real(json, "f32_operations", work->f32_operations);
    sinq_write_real(json, "attention_operations", work->attention_operations);
    sinq_write_close(json, '}');
}

static void write_case(struct sinq_json_writer *json, const struct sinq_bench *bench,
                       const struct sinq_bench_case *found) {
    const struct sinq_bench_share share = sinq_find_bench_share(bench, found);
    const bool is_prompt = found->phase == SINQ_BENCH_PROMPT;
    sinq_write_open(json, NULL, '{');
    sinq_write_text(json, "phase", is_prompt ? "prompt" : "decode");
    sinq_write_count(json, "threads", found->threads);
    sinq_write_count(json, "tokens", found->tokens);
    sinq_write_count(json, "depth", found->depth);
    sinq_write_real(json, "tokens_per_second", found->rate.median);
    sinq_write_real(json, "least", found->rate.least);
    sinq_write_real(json, "most", found->rate.most);
    sinq_write_open_inline(json, "repetitions", '[');
    for (unsigned i = 0; i < bench->arguments->repeat; i++) sinq_write_real(json, NULL, found->rates[i]);
    sinq_write_close(json, ']');
    write_work(json, &found->work);
    sinq_write_text(json, "limited_by",
                    !is_prompt                                                 ? "read_bytes_per_second"
                    : found->work.int8_operations > found->work.f32_operations ? "int8_operations_per_second"
                                                                               : "f32_operations_per_second");
    sinq_write_real(json, "reached", share.reached);
    write_rate(json, "share", share.limit > 0 ? share.reached / share.limit : 0);
    write_rate(json, "paired_share", share.paired);
    write_rate(json, "resident_share", share.resident_limit > 0 ? share.reached / share.resident_limit : 0);
    if (found->profile_count > 0) sinq_write_bench_profile(json, found);
    sinq_write_close(json, '}');
}

static void write_coding(struct sinq_json_writer *json, const char *key, const struct sinq_matrix_info *info) {
    sinq_write_open_inline(json, key, '{');
    sinq_write_text(json, "method", sinq_method_name(info->method));
    sinq_write_count(json, "bits", info->bits);
    sinq_write_count(json, "group_size", info->group_size);
    sinq_write_text(json, "scale_type", sinq_aux_type_name(info->scale_type));
    sinq_write_close(json, '}');
}

static void write_codings(struct sinq_json_writer *json, const struct sinq_bench *bench) {
    struct sinq_matrix_info info;
    bool have_others;
    if (find_layers(bench, &info, &have_others)) {
        write_coding(json, "layers", &info);
    } else {
        sinq_write_null(json, "layers");
    }
    sinq_write_flag(json, "layers_differ", have_others);
    if (find_head(bench, &info)) {
        write_coding(json, "head", &info);
    } else {
        sinq_write_null(json, "head");
    }
}

static void write_model(struct sinq_json_writer *json, const struct sinq_bench *bench) {
    const struct sinq_bench_arguments *const arguments = bench->arguments;
    sinq_write_text(json, "model", sinq_source_path(bench->source));
    sinq_write_flag(json, "synthetic", arguments->shape != NULL);
    sinq_write_flag(json, "small_pages", arguments->small_pages);
    sinq_write_text(json, "family", bench->facts.family);
    sinq_write_count(json, "weight_bytes", bench->facts.weight_bytes);
    sinq_write_count(json, "active_bytes", bench->facts.active_bytes);
    write_codings(json, bench);
    sinq_write_real(json, "load_seconds", bench->load_seconds);
    sinq_write_count(json, "context", bench->context);
    sinq_write_text(json, "kv_type", arguments->kv != NULL ? arguments->kv : "f16");
    sinq_write_flag(json, "exact", arguments->exact);
    sinq_write_device(json, bench->model);
}

void sinq_report_bench_json(const struct sinq_bench *bench) {
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.bench/1");
    sinq_write_text(&json, "version", SINQ_VERSION);
    sinq_write_text(&json, "cpu", sinq_cpu_name());
    sinq_write_count(&json, "processors", sinq_count_processors());
    if (bench->source != NULL) write_model(&json, bench);
    write_limits(&json, bench);
    sinq_write_open(&json, "results", '[');
    for (size_t i = 0; i < bench->case_count; i++) write_case(&json, bench, &bench->cases[i]);
    sinq_write_close(&json, ']');
    sinq_write_close(&json, '}');
}
