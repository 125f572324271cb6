/* bench_profile.c: where the time of a token goes. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "memory.h"
#include "quantity.h"
#include "report.h"
#include "table.h"
#include "terminal.h"

static int compare(const void *a, const void *b) {
    const double x = ((const struct sinq_bench_part *)a)->seconds, y = ((const struct sinq_bench_part *)b)->seconds;
    return (x < y) - (x > y);
}

size_t sinq_list_bench_parts(const struct sinq_bench_case *found, struct sinq_bench_part **parts) {
    struct sinq_bench_part *const list = sinq_allocate(found->profile_count + 2, sizeof *list);
    double rest = found->total - found->choosing;
    size_t count = 0;
    for (size_t i = 0; i < found->profile_count; i++) {
        const double seconds = found->profile[i].seconds;
        if (seconds > 0) list[count++] = (struct sinq_bench_part){found->profile[i].name, seconds};
        rest -= seconds;
    }
    list[count++] = (struct sinq_bench_part){"choosing the token", found->choosing};
    list[count++] = (struct sinq_bench_part){"everything else", rest > 0 ? rest : 0};
    qsort(list, count, sizeof *list, compare);
    *parts = list;
    return count;
}

static void report_profile(const struct sinq_bench_case *found) {
    static const struct sinq_column columns[] = {
        {"  what", SINQ_LEFT}, {"us/token", SINQ_RIGHT}, {"share", SINQ_RIGHT}};
    const bool is_prompt = found->phase == SINQ_BENCH_PROMPT;
    struct sinq_table table = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    struct sinq_bench_part *parts;
    char share[SINQ_QUANTITY_SIZE];
    const size_t count = sinq_list_bench_parts(found, &parts);
    putchar('\n');
    sinq_print_heading("%s %u, %u thread%s", is_prompt ? "Prompt of" : "Decode at",
                       is_prompt ? found->tokens : found->depth, found->threads, found->threads == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++) {
        sinq_table_print_cell(&table, "  %s", parts[i].name);
        sinq_table_print_cell(&table, "%.2f", 1e6 * parts[i].seconds);
        sinq_table_add(&table, sinq_format_percent(share, found->total > 0 ? parts[i].seconds / found->total : 0));
    }
    sinq_table_write(&table, stdout, false, sinq_terminal_width(stdout));
    sinq_table_free(&table);
    free(parts);
}

void sinq_report_bench_profiles(const struct sinq_bench *bench) {
    for (size_t i = 0; i < bench->case_count; i++) report_profile(&bench->cases[i]);
}

void sinq_write_bench_profile(struct sinq_json_writer *json, const struct sinq_bench_case *found) {
    struct sinq_bench_part *parts;
    const size_t count = sinq_list_bench_parts(found, &parts);
    sinq_write_open(json, "profile", '[');
    for (size_t i = 0; i < count; i++) {
        sinq_write_open_inline(json, NULL, '{');
        sinq_write_text(json, "name", parts[i].name);
        sinq_write_real(json, "seconds_per_token", parts[i].seconds);
        sinq_write_close(json, '}');
    }
    sinq_write_close(json, ']');
    free(parts);
}
