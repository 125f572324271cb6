/* What the sink writes: layout, alignment, shards, index, metadata, config and sidecars, read back by a strict reader. */
#include <cjson/cJSON.h>

#include "base/hash.h"
#include "sink_files.h"
#include "strict_safetensors.h"
#include "tensor/dual_scale.h"

/* ---- one output against the plan ---- */

struct seen {
    bool tensors[PLAN_COUNT];
    size_t shard_of[PLAN_COUNT];
    size_t shards;
};

static void print_file_name(size_t tensor, char name[256]) {
    const bool is_quantized = plan_tensors[tensor].dtype == SINQ_DUAL_SCALE;
    (void)snprintf(name, 256, "%s%s", plan_tensors[tensor].name, is_quantized ? SINQ_DUAL_SCALE_SUFFIX : "");
}

static size_t find_planned(const char *file_name) {
    for (size_t i = 0; i < PLAN_COUNT; i++) {
        char name[256];
        print_file_name(i, name);
        if (strcmp(name, file_name) == 0) return i;
    }
    ck_abort_msg("tensor %s is not in the plan", file_name);
    return 0;
}

static void check_tensor(const struct strict_file *file, const struct strict_tensor *tensor, size_t index) {
    const struct sinq_sink_tensor *const planned = &plan_tensors[index];
    const bool is_quantized = planned->dtype == SINQ_DUAL_SCALE;
    const uint64_t start = file->data_start + tensor->begin;
    uint8_t expected[8192];
    ck_assert_str_eq(tensor->dtype, is_quantized ? "U8" : sinq_dtype_name(planned->dtype));
    ck_assert_uint_eq(tensor->end - tensor->begin, real_bytes(index));
    if (is_quantized) {
        ck_assert_uint_eq(tensor->rank, 1);
        ck_assert_uint_eq(tensor->shape[0], real_bytes(index));
        ck_assert_uint_eq(start % 64, 0);
    } else {
        ck_assert_uint_eq(tensor->rank, planned->rank);
        for (size_t i = 0; i < tensor->rank; i++) ck_assert_uint_eq(tensor->shape[i], planned->shape[i]);
        ck_assert_uint_eq(start % sinq_dtype_size(planned->dtype), 0);
    }
    fill_payload(index, expected);
    ck_assert_mem_eq(file->bytes + start, expected, real_bytes(index));
}

/* Checksums of exactly those tensors of the file that are not quantized. */
static void check_checksums(const struct strict_file *file) {
    const char *const text = strict_metadata_value(file, "checksums");
    cJSON *const checksums = text == NULL ? NULL : cJSON_Parse(text);
    int kept = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct strict_tensor *const tensor = &file->tensors[i];
        char digits[33];
        if (plan_tensors[find_planned(tensor->name)].dtype == SINQ_DUAL_SCALE) continue;
        kept++;
        sinq_hash_to_text(sinq_hash_bytes(file->bytes + file->data_start + tensor->begin, tensor->end - tensor->begin),
                          digits);
        const char *const found = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(checksums, tensor->name));
        ck_assert_msg(found != NULL, "no checksum of %s", tensor->name);
        ck_assert_str_eq(found, digits);
    }
    ck_assert_int_eq(checksums == NULL ? 0 : cJSON_GetArraySize(checksums), kept);
    cJSON_Delete(checksums);
}

static void check_file(const char *path, const char *quantization, uint64_t most, size_t shard, struct seen *seen) {
    size_t size;
    char *const bytes = get_file(path, &size);
    static struct strict_file file;
    ck_assert_msg(strict_parse(bytes, size, &file), "%s: %s", path, file.reason);
    ck_assert_uint_eq(file.data_start % 64, 0);
    ck_assert_str_eq(strict_metadata_value(&file, "format"), "pt");
    if (quantization == NULL) {
        ck_assert_ptr_null(strict_metadata_value(&file, "quantization_config"));
    } else {
        ck_assert_str_eq(strict_metadata_value(&file, "quantization_config"), quantization);
    }
    /* Only one tensor, or one that grew after it was placed, may pass the limit. */
    if (file.count > 1) ck_assert_uint_le(size, most + 192);
    for (size_t i = 0; i < file.count; i++) {
        const size_t index = find_planned(file.tensors[i].name);
        ck_assert(!seen->tensors[index]);
        seen->tensors[index] = true;
        seen->shard_of[index] = shard;
        check_tensor(&file, &file.tensors[i], index);
    }
    check_checksums(&file);
    strict_free(&file);
    free(bytes);
}

static void check_all_seen(const struct seen *seen) {
    for (size_t i = 0; i < PLAN_COUNT; i++) ck_assert_msg(seen->tensors[i], "%s is missing", plan_tensors[i].name);
}

static void check_index(const char *folder, const struct seen *seen) {
    char path[PATH_BYTES];
    size_t size;
    uint64_t total = 0;
    print_path(path, "%s/model.safetensors.index.json", folder);
    char *const text = get_file(path, &size);
    cJSON *const index = cJSON_ParseWithOpts(text, NULL, 1);
    const cJSON *const map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
    ck_assert_int_eq(cJSON_GetArraySize(map), (int)PLAN_COUNT);
    for (const cJSON *entry = map->child; entry != NULL; entry = entry->next) {
        char name[64];
        const size_t tensor = find_planned(entry->string);
        (void)snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", seen->shard_of[tensor] + 1, seen->shards);
        ck_assert_str_eq(entry->valuestring, name);
        if (entry->next != NULL) ck_assert_int_lt(strcmp(entry->string, entry->next->string), 0);
        total += real_bytes(tensor);
    }
    const cJSON *const metadata = cJSON_GetObjectItemCaseSensitive(index, "metadata");
    ck_assert(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(metadata, "total_size")) == (double)total);
    cJSON_Delete(index);
    free(text);
}

static void check_sidecars(const struct world *world) {
    char source[PATH_BYTES], output[PATH_BYTES];
    print_path(source, "%s/source/tokenizer.json", world->root);
    print_path(output, "%s/tokenizer.json", world->out);
    ck_assert(is_equal_tree(source, output));
    print_path(output, "%s/config.json", world->out);
    ck_assert(has_text(output, "{\n  \"model_type\": \"made-up\",\n  \"rope_theta\": 1e6,\n"
                               "  \"quantization_config\": {\"quant_method\":\"dual-scale\",\"bits\":4.25}\n}\n"));
}

static size_t count_shards(const char *folder) {
    size_t count = 0;
    DIR *const stream = opendir(folder);
    ck_assert_ptr_nonnull(stream);
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const char *const ending = strstr(entry->d_name, ".safetensors");
        count += ending != NULL && strcmp(ending, ".safetensors") == 0;
    }
    closedir(stream);
    return count;
}

static void check_directory(const struct world *world, uint64_t most) {
    struct seen seen = {.shards = count_shards(world->out)};
    char path[PATH_BYTES];
    for (size_t i = 0; i < seen.shards; i++) {
        print_path(path, "%s/model-%05zu-of-%05zu.safetensors", world->out, i + 1, seen.shards);
        if (seen.shards == 1) print_path(path, "%s/model.safetensors", world->out);
        check_file(path, NULL, most, i, &seen);
    }
    check_all_seen(&seen);
    check_sidecars(world);
    if (seen.shards > 1) check_index(world->out, &seen);
    /* Nothing else is there: no journal, no lock. */
    ck_assert_uint_eq(count_entries(world->out), seen.shards + 2 + (seen.shards > 1));
}

/* ---- cases ---- */

static const struct {
    const char *name;
    bool is_directory;
    uint64_t shard_bytes;
    size_t shards; /* 0: not asked */
    size_t write_bytes;
} layouts[] = {
    {"one shard has no index", true, 0, 1, 0},
    {"one shard, exactly as large as allowed or larger", true, 1 << 20, 1, 0},
    {"a shard a tensor", true, 1, PLAN_COUNT, 0},
    {"shards of some tensors", true, 6000, 0, 0},
    {"shards of a few tensors", true, 3000, 0, 0},
    {"bytes come one by one", true, 6000, 0, 1},
    {"bytes come in odd pieces", true, 0, 1, 1000},
    {"a lone file", false, 0, 1, 0},
    {"a lone file is never cut", false, 1, 1, 777},
};

START_TEST(test_layouts) {
    for (size_t i = 0; i < COUNT(layouts); i++) {
        struct world world;
        make_world(&world, temporary(), layouts[i].is_directory);
        struct job job = {.shard_bytes = layouts[i].shard_bytes, .write_bytes = layouts[i].write_bytes};
        CHECK_JOB(&world, &job);
        ck_assert_msg(!exists(world.partial), "%s", layouts[i].name);
        if (layouts[i].is_directory) {
            check_directory(&world, layouts[i].shard_bytes == 0 ? UINT32_MAX : layouts[i].shard_bytes);
            if (layouts[i].shards > 0) ck_assert_uint_eq(count_shards(world.out), layouts[i].shards);
            if (layouts[i].shards == 0) ck_assert_uint_gt(count_shards(world.out), 1);
        } else {
            struct seen seen = {0};
            check_file(world.out, quantization_text, UINT32_MAX, 0, &seen);
            check_all_seen(&seen);
        }
        drop_world(&world);
    }
}
END_TEST

START_TEST(test_header_outgrown) {
    /* A quantization_config of about `size` bytes, full of quotes, each of which takes two in the header. */
    static const size_t sizes[] = {1000, 8000, 30000, 90000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct world world;
        struct seen seen = {0};
        char *const text = malloc(sizes[i] + 64);
        ck_assert_ptr_nonnull(text);
        size_t size = (size_t)sprintf(text, "{\"list\":[\"\"");
        while (size < sizes[i]) size += (size_t)sprintf(text + size, ",\"\"");
        (void)sprintf(text + size, "]}");
        make_world(&world, temporary(), false);
        struct job job = {.quantization = text};
        CHECK_JOB(&world, &job);
        check_file(world.out, text, UINT32_MAX, 0, &seen);
        check_all_seen(&seen);
        ck_assert(!exists(world.partial));
        drop_world(&world);
        free(text);
    }
}
END_TEST

/* Headers with little slack: many tensors, names that grow when they are escaped, sizes far below the planned ones. */
static const struct {
    const char *name, *letters; /* that names are made of */
    enum sinq_dtype dtype;
    uint64_t planned, real, shard_bytes;
} rooms[] = {
    {"kept, plain names", "abcdefgh", SINQ_U8, 64, 64, 0},
    {"kept, quotes", "\"\\\"\"\"\"\\\"", SINQ_U8, 64, 64, 0},
    {"kept, control characters", "\x01\x02\n\t\x1f\x0f\x05\x06", SINQ_U8, 64, 64, 0},
    {"kept, cut", "\"\\ab\x01\"\\\"", SINQ_U8, 64, 64, 40000},
    {"quantized, smaller than planned", "abcdefgh", SINQ_DUAL_SCALE, 65536, 64, 300000},
    {"quantized, larger than planned", "\"\\\"\"\"\"\\\"", SINQ_DUAL_SCALE, 64, 7808, 300000},
};

#define ROOM_TENSORS 300

static void write_room(struct sinq_sink *sink, size_t room, const struct sinq_sink_plan *plan) {
    static const uint8_t bytes[8192];
    const struct sinq_sink_final final = {quantization_text};
    struct sinq_error error = {0};
    size_t finished;
    ck_assert_int_eq(sink->ops->begin(sink, plan, &finished, &error), SINQ_OK);
    for (size_t i = 0; i < plan->count; i++) {
        ck_assert_int_eq(sink->ops->begin_tensor(sink, i, &error), SINQ_OK);
        ck_assert_int_eq(sink->ops->write(sink, bytes, rooms[room].real, &error), SINQ_OK);
        ck_assert_int_eq(sink->ops->end_tensor(sink, NULL, &error), SINQ_OK);
    }
    ck_assert_msg(sink->ops->commit(sink, &final, NULL, NULL, &error) == SINQ_OK, "%s: %s", rooms[room].name,
                  error.message);
}

static size_t count_strictly(const char *path) {
    static struct strict_file file;
    size_t size;
    char *const bytes = get_file(path, &size);
    ck_assert_msg(strict_parse(bytes, size, &file), "%s: %s", path, file.reason);
    const size_t count = file.count;
    strict_free(&file);
    free(bytes);
    return count;
}

static void check_room(size_t room, bool is_directory) {
    static struct sinq_sink_tensor tensors[ROOM_TENSORS];
    static char names[ROOM_TENSORS][128];
    struct world world;
    struct sinq_error error = {0};
    struct sinq_sink *sink;
    size_t found = 0;
    for (size_t i = 0; i < ROOM_TENSORS; i++) {
        const char *const letters = rooms[room].letters;
        (void)snprintf(names[i], sizeof names[i], "%zu%s%s%s%s%s%s%s%s%s%s", i, letters, letters, letters, letters,
                       letters, letters, letters, letters, letters, letters);
        tensors[i] = (struct sinq_sink_tensor)PLAN(names[i], rooms[room].dtype, rooms[room].planned, .rank = 1,
                                                   .shape = {rooms[room].planned});
    }
    make_world(&world, temporary(), is_directory);
    const struct sinq_create_options options = {
        .path = world.out, .source = &world.source, .max_shard_bytes = rooms[room].shard_bytes};
    const struct sinq_sink_plan plan = {tensors, ROOM_TENSORS, "f"};
    ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
    write_room(sink, room, &plan);
    sinq_sink_close(sink);
    const size_t shards = is_directory ? count_shards(world.out) : 1;
    for (size_t i = 0; i < shards; i++) {
        char path[PATH_BYTES];
        print_path(path, "%s/model-%05zu-of-%05zu.safetensors", world.out, i + 1, shards);
        if (shards == 1) print_path(path, is_directory ? "%s/model.safetensors" : "%s", world.out);
        found += count_strictly(path);
    }
    ck_assert_uint_eq(found, ROOM_TENSORS);
    drop_world(&world);
}

START_TEST(test_header_room) {
    for (size_t i = 0; i < COUNT(rooms); i++) {
        check_room(i, true);
        check_room(i, false);
    }
}
END_TEST

START_TEST(test_no_tensors) {
    for (int is_directory = 0; is_directory < 2; is_directory++) {
        struct world world;
        make_world(&world, temporary(), is_directory);
        const struct sinq_create_options options = {.path = world.out, .source = &world.source};
        const struct sinq_sink_plan plan = {.fingerprint = fingerprint_text};
        const struct sinq_sink_final final = {quantization_text};
        struct sinq_error error = {0};
        struct sinq_sink *sink;
        size_t finished;
        ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
        ck_assert_int_eq(sink->ops->begin(sink, &plan, &finished, &error), SINQ_OK);
        ck_assert_msg(sink->ops->commit(sink, &final, NULL, NULL, &error) == SINQ_OK, "%s", error.message);
        sinq_sink_close(sink);
        char path[PATH_BYTES];
        size_t size;
        static struct strict_file file;
        print_path(path, is_directory ? "%s/model.safetensors" : "%s", world.out);
        char *const bytes = get_file(path, &size);
        ck_assert_msg(strict_parse(bytes, size, &file), "%s", file.reason);
        ck_assert_uint_eq(file.count, 0);
        strict_free(&file);
        free(bytes);
        drop_world(&world);
    }
}
END_TEST

START_TEST(test_modes_follow_umask) {
    static const struct {
        mode_t mask, file, folder;
    } cases[] = {{022, 0644, 0755}, {027, 0640, 0750}, {0, 0666, 0777}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world;
        struct stat status;
        char path[PATH_BYTES];
        make_world(&world, temporary(), true);
        const mode_t before = umask(cases[i].mask);
        struct job job = {.shard_bytes = 3000};
        CHECK_JOB(&world, &job);
        umask(before);
        ck_assert_int_eq(stat(world.out, &status), 0);
        ck_assert_uint_eq(status.st_mode & 0777, cases[i].folder);
        static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors.index.json"};
        for (size_t k = 0; k < COUNT(files); k++) {
            print_path(path, "%s/%s", world.out, files[k]);
            ck_assert_int_eq(stat(path, &status), 0);
            ck_assert_uint_eq(status.st_mode & 0777, cases[i].file);
        }
        drop_world(&world);
    }
}
END_TEST

START_TEST(test_opens_with_our_reader) {
    for (int is_directory = 0; is_directory < 2; is_directory++) {
        struct world world;
        struct sinq_error error = {0};
        struct sinq_source *source;
        make_world(&world, temporary(), is_directory);
        /* Only kept tensors: the payload of the others is no quantized matrix. */
        const struct sinq_create_options options = {.path = world.out, .source = &world.source, .max_shard_bytes = 1};
        const struct sinq_sink_plan plan = {.tensors = plan_tensors + 3, .count = PLAN_COUNT - 3, .fingerprint = "f"};
        const struct sinq_sink_final final = {quantization_text};
        struct sinq_sink *sink;
        size_t finished;
        uint8_t bytes[8192];
        ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
        ck_assert_int_eq(sink->ops->begin(sink, &plan, &finished, &error), SINQ_OK);
        for (size_t i = 0; i < plan.count; i++) {
            fill_payload(i + 3, bytes);
            ck_assert_int_eq(sink->ops->begin_tensor(sink, i, &error), SINQ_OK);
            ck_assert_int_eq(sink->ops->write(sink, bytes, real_bytes(i + 3), &error), SINQ_OK);
            ck_assert_int_eq(sink->ops->end_tensor(sink, NULL, &error), SINQ_OK);
            ck_assert_ptr_null(sink->ops->note(sink, i));
        }
        ck_assert_msg(sink->ops->commit(sink, &final, NULL, NULL, &error) == SINQ_OK, "%s", error.message);
        sinq_sink_close(sink);
        ck_assert_msg(sinq_open_checkpoint(world.out, &source, &error) == SINQ_OK, "%s", error.message);
        ck_assert_uint_eq(source->tensor_count, plan.count);
        ck_assert_str_eq(source->quantization, quantization_text);
        for (size_t i = 3; i < PLAN_COUNT; i++) {
            uint8_t expected[8192];
            const int64_t found = sinq_source_find(source, plan_tensors[i].name);
            ck_assert_int_ge(found, 0);
            fill_payload(i, expected);
            ck_assert_int_eq(sinq_read_bytes(source, (size_t)found, 0, real_bytes(i), bytes, &error), SINQ_OK);
            ck_assert_mem_eq(bytes, expected, real_bytes(i));
            const struct sinq_hash hash = sinq_hash_bytes(expected, real_bytes(i));
            ck_assert_mem_eq(source->checksums[found], hash.bytes, sizeof hash.bytes);
        }
        sinq_source_close(source);
        drop_world(&world);
    }
}
END_TEST

/* ---- what a caller may not do ---- */

static const struct {
    const char *name;
    struct sinq_sink_tensor tensors[2];
    size_t count;
} bad_plans[] = {
    {"bytes that shape and type do not give", {PLAN("x", SINQ_F32, 12, .rank = 1, .shape = {4})}, 1},
    {"a product that overflows", {PLAN("x", SINQ_F32, 0, .rank = 3, .shape = {1ull << 32, 1ull << 32, 4})}, 1},
    {"a rank beyond ours", {PLAN("x", SINQ_F32, 4, .rank = SINQ_MAX_RANK + 1, .shape = {1})}, 1},
    {"sizes whose sum overflows",
     {PLAN("x", SINQ_DUAL_SCALE, UINT64_MAX, .rank = 1), PLAN("y", SINQ_DUAL_SCALE, 64, .rank = 1)},
     2},
    {"a reserved name", {PLAN("__metadata__", SINQ_U8, 1, .rank = 1, .shape = {1})}, 1},
    {"a name twice",
     {PLAN("x", SINQ_U8, 1, .rank = 1, .shape = {1}), PLAN("x", SINQ_U8, 1, .rank = 1, .shape = {1})},
     2},
    {"a name that only the suffix makes equal",
     {PLAN("x", SINQ_DUAL_SCALE, 64, .rank = 1, .shape = {1}),
      PLAN("x" SINQ_DUAL_SCALE_SUFFIX, SINQ_U8, 1, .rank = 1, .shape = {1})},
     2},
    {"more than any disk holds", {PLAN("x", SINQ_DUAL_SCALE, 1ull << 52, .rank = 1, .shape = {1})}, 1},
};

START_TEST(test_bad_plans_are_refused) {
    for (size_t i = 0; i < COUNT(bad_plans); i++) {
        struct world world;
        struct sinq_error error = {0};
        struct sinq_sink *sink;
        size_t finished;
        make_world(&world, temporary(), true);
        const struct sinq_create_options options = {.path = world.out, .source = &world.source};
        const struct sinq_sink_plan plan = {bad_plans[i].tensors, bad_plans[i].count, "f"};
        ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
        ck_assert_msg(sink->ops->begin(sink, &plan, &finished, &error) == SINQ_FAILED, "%s", bad_plans[i].name);
        ck_assert_str_ne(error.message, "");
        sinq_sink_close(sink);
        ck_assert(!exists(world.partial) && !exists(world.out));
        drop_world(&world);
    }
}
END_TEST

START_TEST(test_too_little_space_says_how_much) {
    struct world world;
    struct sinq_error error = {0};
    struct sinq_sink *sink;
    size_t finished;
    make_world(&world, temporary(), true);
    const struct sinq_create_options options = {.path = world.out, .source = &world.source};
    const struct sinq_sink_tensor tensor = PLAN("x", SINQ_DUAL_SCALE, 1ull << 52, .rank = 1, .shape = {1});
    const struct sinq_sink_plan plan = {&tensor, 1, "f"};
    ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
    ck_assert_int_eq(sink->ops->begin(sink, &plan, &finished, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "needed"));
    ck_assert_ptr_nonnull(strstr(error.message, "available"));
    sinq_sink_close(sink);
    drop_world(&world);
}
END_TEST

enum misuse { TOO_FEW_BYTES, TOO_MANY_BYTES, NOT_BY_64, WRONG_INDEX, EARLY_COMMIT, NO_TENSOR, LATE_QUANTIZED };

static int misuse_sink(struct sinq_sink *sink, enum misuse misuse, struct sinq_error *error) {
    uint8_t bytes[8192] = {0};
    const struct sinq_sink_ops *const ops = sink->ops;
    const struct sinq_sink_final final = {quantization_text};
    if (misuse == EARLY_COMMIT) return ops->commit(sink, &final, NULL, NULL, error);
    if (misuse == NO_TENSOR) return ops->write(sink, bytes, 1, error);
    if (misuse == WRONG_INDEX) return ops->begin_tensor(sink, 1, error);
    const uint64_t sizes[] = {[TOO_FEW_BYTES] = 3, [TOO_MANY_BYTES] = 5, [LATE_QUANTIZED] = 4};
    if (misuse != NOT_BY_64) {
        ck_assert_int_eq(ops->begin_tensor(sink, 0, error), SINQ_OK);
        ck_assert_int_eq(ops->write(sink, bytes, sizes[misuse], error), SINQ_OK);
        const int status = ops->end_tensor(sink, NULL, error);
        return misuse == LATE_QUANTIZED && status == SINQ_OK ? ops->begin_tensor(sink, 1, error) : status;
    }
    ck_assert_int_eq(ops->begin_tensor(sink, 0, error), SINQ_OK);
    ck_assert_int_eq(ops->write(sink, bytes, 100, error), SINQ_OK);
    return ops->end_tensor(sink, NULL, error);
}

START_TEST(test_misuse_is_refused) {
    static const struct sinq_sink_tensor kept_first[] = {PLAN("k", SINQ_F32, 4, .rank = 1, .shape = {1}),
                                                         PLAN("q", SINQ_DUAL_SCALE, 64, .rank = 1, .shape = {1})};
    static const struct sinq_sink_tensor quantized_first[] = {PLAN("q", SINQ_DUAL_SCALE, 64, .rank = 1, .shape = {1}),
                                                              PLAN("k", SINQ_F32, 4, .rank = 1, .shape = {1})};
    for (enum misuse misuse = TOO_FEW_BYTES; misuse <= LATE_QUANTIZED; misuse++) {
        struct world world;
        struct sinq_error error = {0};
        struct sinq_sink *sink;
        size_t finished;
        make_world(&world, temporary(), true);
        const struct sinq_create_options options = {.path = world.out, .source = &world.source};
        const struct sinq_sink_plan plan = {misuse == NOT_BY_64 ? quantized_first : kept_first, 2, "f"};
        ck_assert_int_eq(sinq_create_checkpoint(&options, &sink, &error), SINQ_OK);
        ck_assert_int_eq(sink->ops->begin(sink, &plan, &finished, &error), SINQ_OK);
        ck_assert_msg(misuse_sink(sink, misuse, &error) == SINQ_FAILED, "misuse %d", (int)misuse);
        ck_assert_str_ne(error.message, "");
        sinq_sink_close(sink);
        ck_assert(!exists(world.out));
        drop_world(&world);
    }
}
END_TEST

UNIT_MAIN("sink", test_layouts, test_header_outgrown, test_header_room, test_no_tensors, test_modes_follow_umask,
          test_opens_with_our_reader, test_bad_plans_are_refused, test_too_little_space_says_how_much,
          test_misuse_is_refused)
