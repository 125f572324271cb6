#include "device_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "memory.h"
#include "quantity.h"
#include "table.h"
#include "terminal.h"

/* ---- plans ---- */

static void add_part(struct sinq_table *table, uint64_t bytes, const char *where, const char *part) {
    char text[SINQ_QUANTITY_SIZE];
    sinq_table_print_cell(table, "  %s", part);
    sinq_table_add(table, sinq_format_bytes(text, bytes));
    sinq_table_print_cell(table, "%llu", (unsigned long long)bytes);
    sinq_table_add(table, where);
}

static const char *name_layers(char *buffer, size_t size, const char *what, uint32_t first, uint32_t end) {
    if (end - first == 1) {
        snprintf(buffer, size, "%s %u", what, first);
    } else {
        snprintf(buffer, size, "%ss %u to %u", what, first, end - 1);
    }
    return buffer;
}

static void add_layers(struct sinq_table *table, const struct sinq_device_plan *plan) {
    char name[64];
    const uint32_t first = plan->cpu_layers, end = plan->layers;
    if (first > 0) add_part(table, plan->cpu_layer_bytes, "CPU", name_layers(name, sizeof name, "layer", 0, first));
    if (first < end)
        add_part(table, plan->device_layer_bytes, "device", name_layers(name, sizeof name, "layer", first, end));
}

static void add_caches(struct sinq_table *table, const struct sinq_device_plan *plan) {
    char layers[64], name[96];
    const uint32_t first = plan->cpu_layers, end = plan->layers;
    if (first > 0) {
        snprintf(name, sizeof name, "KV cache, %s", name_layers(layers, sizeof layers, "layer", 0, first));
        add_part(table, plan->cpu_kv_bytes, "CPU", name);
    }
    if (first < end) {
        snprintf(name, sizeof name, "KV cache, %s", name_layers(layers, sizeof layers, "layer", first, end));
        add_part(table, plan->device_kv_bytes, "device", name);
    }
}

void sinq_report_device_plan(const struct sinq_device_plan *plan) {
    static const struct sinq_column columns[] = {
        {"  part", SINQ_LEFT}, {"size", SINQ_RIGHT}, {"bytes", SINQ_RIGHT}, {"where", SINQ_LEFT}};
    struct sinq_table table = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    if (plan->embedding_bytes > 0)
        add_part(&table, plan->embedding_bytes, plan->embedding_on_cpu ? "CPU" : "device", "embedding");
    add_layers(&table, plan);
    add_part(&table, plan->head_bytes, "device", "head");
    add_caches(&table, plan);
    char workspace[64];
    snprintf(workspace, sizeof workspace, "workspace, batches of %u", (unsigned)plan->batch);
    add_part(&table, plan->workspace_bytes, "device", workspace);
    add_part(&table, plan->reserve_bytes, "device", "driver and kernels, at most");
    add_part(&table, plan->total_bytes, "device", "total");
    add_part(&table, plan->budget, "device", "--gpu-memory");
    sinq_table_write(&table, stdout, false, sinq_terminal_width(stdout));
    sinq_table_free(&table);
}

void sinq_write_device_plan(struct sinq_json_writer *json, const struct sinq_device_plan *plan) {
    sinq_write_open(json, "device_plan", '{');
    sinq_write_count(json, "budget_bytes", plan->budget);
    sinq_write_count(json, "reserve_bytes", plan->reserve_bytes);
    sinq_write_count(json, "workspace_bytes", plan->workspace_bytes);
    sinq_write_count(json, "batch", plan->batch);
    sinq_write_count(json, "embedding_bytes", plan->embedding_bytes);
    sinq_write_flag(json, "embedding_on_cpu", plan->embedding_on_cpu);
    sinq_write_count(json, "head_bytes", plan->head_bytes);
    sinq_write_count(json, "layers", plan->layers);
    sinq_write_count(json, "cpu_layers", plan->cpu_layers);
    sinq_write_count(json, "device_layer_bytes", plan->device_layer_bytes);
    sinq_write_count(json, "cpu_layer_bytes", plan->cpu_layer_bytes);
    sinq_write_count(json, "device_kv_bytes", plan->device_kv_bytes);
    sinq_write_count(json, "cpu_kv_bytes", plan->cpu_kv_bytes);
    sinq_write_count(json, "total_bytes", plan->total_bytes);
    sinq_write_close(json, '}');
}

char *sinq_describe_device_plan(const struct sinq_device_plan *plan) {
    char on_device[64], on_cpu[64];
    if (plan->cpu_layers == 0) {
        return sinq_format("all %u layers and the head%s", plan->layers,
                           plan->embedding_on_cpu ? "; the embedding stays on the CPU" : "");
    }
    name_layers(on_device, sizeof on_device, "layer", plan->cpu_layers, plan->layers);
    name_layers(on_cpu, sizeof on_cpu, "layer", 0, plan->cpu_layers);
    return sinq_format("%s and the head; %s and the embedding stay on the CPU", on_device, on_cpu);
}

/* ---- what came of it ---- */

void sinq_report_upload(const struct sinq_model *model) {
    struct sinq_device_memory memory;
    char bytes[SINQ_QUANTITY_SIZE], rate[SINQ_QUANTITY_SIZE], seconds[SINQ_QUANTITY_SIZE], start[SINQ_QUANTITY_SIZE];
    if (!sinq_model_device_memory(model, &memory) || memory.weight_seconds <= 0) return;
    fprintf(stderr, "weights %s to the device in %s, %s/s; before them %s were in use there\n",
            sinq_format_bytes(bytes, memory.weight_bytes), sinq_format_seconds(seconds, memory.weight_seconds),
            sinq_format_bytes(rate, (uint64_t)((double)memory.weight_bytes / memory.weight_seconds)),
            sinq_format_bytes(start, memory.start));
}

void sinq_print_device_peak(const struct sinq_model *model) {
    struct sinq_device_memory memory;
    char peak[SINQ_QUANTITY_SIZE];
    if (sinq_model_device_memory(model, &memory))
        fprintf(stderr, ", %s of the device", sinq_format_bytes(peak, memory.peak));
}

void sinq_write_device(struct sinq_json_writer *json, const struct sinq_model *model) {
    struct sinq_device_memory memory;
    const struct sinq_device_plan *const plan = sinq_model_device_plan(model);
    if (!sinq_model_device_memory(model, &memory)) return;
    sinq_write_open(json, "device", '{');
    sinq_write_text(json, "name", sinq_model_facts(model).device);
    sinq_write_count(json, "total_bytes", memory.total);
    sinq_write_count(json, "limit_bytes", memory.limit);
    sinq_write_count(json, "start_bytes", memory.start);
    sinq_write_count(json, "used_bytes", memory.used);
    sinq_write_count(json, "peak_bytes", memory.peak);
    sinq_write_count(json, "upload_bytes", memory.weight_bytes);
    sinq_write_real(json, "upload_seconds", memory.weight_seconds);
    if (plan != NULL) sinq_write_device_plan(json, plan);
    sinq_write_close(json, '}');
}
