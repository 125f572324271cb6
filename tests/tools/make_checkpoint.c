/*
 * make_checkpoint OUT KIND [LAYERS]: writes a made-up Hugging Face directory of bf16 weights with realistic spread: each row and each
 * column of a matrix has a size of its own, and one weight in 4096 is eight times as large as its neighbours. All processors write.
 *
 *   bench   16 linear layers of 4096 x 4096 (0.5 GB), for timing
 *   large   4.4 GB: a 151,936-row embedding, fused experts, attention; for the bound on memory
 *   medium  the same kinds of tensors in 240 MB, for kills
 *   small   the same in 5 MB, for comparisons
 *   many    18,625 tensors of 128 experts in 48 layers, tiny ones, for the time that opening takes
 *   qwen3-32b, qwen3-30b-a3b           the shapes of those models (65.5 and 61 GB), for tests/bench/fit24.sh
 *   qwen3-small, qwen3-small-experts   the same kinds of tensors in 40 MB
 * LAYERS, for the last four, is how many there are.
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TABLE = 1 << 20, WIDEST = 1 << 16, BLOCK_VALUES = 1 << 20, MOST_SHAPE = 3, MOST_TENSORS = 20000 };
static const unsigned long long shard_bytes = 2ull << 30;

struct tensor {
    char name[160];
    unsigned long long shape[MOST_SHAPE];
    unsigned rank;
};

static struct tensor tensors[MOST_TENSORS];
static size_t tensor_count;
static float table[TABLE + WIDEST];
static unsigned random_state = 1;

static unsigned next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }

/* Of deviation 1, roughly normal, and one value in 4096 eight times as large; its beginning follows it again. */
static void fill_table(void) {
    for (size_t i = 0; i < TABLE; i++) {
        float sum = -6.0f;
        for (int k = 0; k < 12; k++) sum += (float)next_random() / 16777216.0f;
        table[i] = sum * (next_random() % 4096 == 0 ? 8.0f : 1.0f);
    }
    memcpy(table + TABLE, table, WIDEST * sizeof *table);
}

static void add(const char *name, unsigned rank, unsigned long long a, unsigned long long b, unsigned long long c) {
    struct tensor *const t = &tensors[tensor_count++];
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->rank = rank;
    t->shape[0] = a;
    t->shape[1] = b;
    t->shape[2] = c;
}

static void add_in_layer(int layer, const char *name, unsigned rank, unsigned long long a, unsigned long long b,
                         unsigned long long c) {
    char full[160];
    (void)snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    add(full, rank, a, b, c);
}

/* What config.json says besides the family. */
static char configuration[700];

static void describe_moe(int layers, unsigned long long vocabulary, unsigned long long hidden,
                         unsigned long long experts, unsigned long long width, unsigned long long head_dim) {
    (void)snprintf(configuration, sizeof configuration,
                   ", \"num_hidden_layers\": %d, \"vocab_size\": %llu, \"hidden_size\": %llu, \"num_experts\": %llu, "
                   "\"num_experts_per_tok\": 4, \"moe_intermediate_size\": %llu, \"intermediate_size\": %llu, "
                   "\"head_dim\": %llu, \"num_attention_heads\": %llu, \"num_key_value_heads\": %llu, "
                   "\"max_position_embeddings\": 4096, \"rms_norm_eps\": 1e-6, \"rope_theta\": 10000.0, "
                   "\"norm_topk_prob\": true, \"tie_word_embeddings\": true",
                   layers, vocabulary, hidden, experts, width, width, head_dim, hidden / head_dim,
                   hidden / 4 / head_dim);
}

static void add_moe(int layers, unsigned long long vocabulary, unsigned long long hidden, unsigned long long experts,
                    unsigned long long width) {
    const unsigned long long head_dim = hidden >= 2048 ? 128 : 32;
    describe_moe(layers, vocabulary, hidden, experts, width, head_dim);
    add("model.embed_tokens.weight", 2, vocabulary, hidden, 0);
    for (int layer = 0; layer < layers; layer++) {
        add_in_layer(layer, "input_layernorm.weight", 1, hidden, 0, 0);
        add_in_layer(layer, "mlp.experts.down_proj", 3, experts, hidden, width);
        add_in_layer(layer, "mlp.experts.gate_up_proj", 3, experts, 2 * width, hidden);
        add_in_layer(layer, "mlp.gate.weight", 2, experts, hidden, 0);
        add_in_layer(layer, "post_attention_layernorm.weight", 1, hidden, 0, 0);
        add_in_layer(layer, "self_attn.k_norm.weight", 1, head_dim, 0, 0);
        add_in_layer(layer, "self_attn.k_proj.weight", 2, hidden / 4, hidden, 0);
        add_in_layer(layer, "self_attn.o_proj.weight", 2, hidden, hidden, 0);
        add_in_layer(layer, "self_attn.q_norm.weight", 1, head_dim, 0, 0);
        add_in_layer(layer, "self_attn.q_proj.weight", 2, hidden, hidden, 0);
        add_in_layer(layer, "self_attn.v_proj.weight", 2, hidden / 4, hidden, 0);
    }
    add("model.norm.weight", 1, hidden, 0, 0);
}

/* ---- Qwen3 ---- */

struct qwen3 {
    const char *kind;
    int layers, heads, kv_heads, experts, chosen;
    unsigned long long vocabulary, hidden, head_dim, ffn; /* ffn: of an expert where there are any */
};

static const struct qwen3 qwen3_kinds[] = {
    {"qwen3-32b", 64, 64, 8, 0, 0, 151936, 5120, 128, 25600},
    {"qwen3-30b-a3b", 48, 32, 4, 128, 8, 151936, 2048, 128, 768},
    {"qwen3-small", 4, 8, 2, 0, 0, 4096, 512, 64, 1536},
    {"qwen3-small-experts", 4, 8, 2, 16, 4, 4096, 512, 64, 256},
};

static void describe_qwen3(const struct qwen3 *m, int layers) {
    char experts[200] = "";
    if (m->experts > 0) {
        (void)snprintf(experts, sizeof experts,
                       "\"num_experts\": %d, \"num_experts_per_tok\": %d, \"moe_intermediate_size\": %llu, "
                       "\"norm_topk_prob\": true, ",
                       m->experts, m->chosen, m->ffn);
    }
    (void)snprintf(configuration, sizeof configuration,
                   ", %s\"num_hidden_layers\": %d, \"vocab_size\": %llu, \"hidden_size\": %llu, "
                   "\"intermediate_size\": %llu, \"head_dim\": %llu, \"num_attention_heads\": %d, "
                   "\"num_key_value_heads\": %d, \"max_position_embeddings\": 40960, \"rms_norm_eps\": 1e-6, "
                   "\"rope_theta\": 1000000.0, \"attention_bias\": false, \"tie_word_embeddings\": false",
                   experts, layers, m->vocabulary, m->hidden, m->experts > 0 ? 8 * m->ffn : m->ffn, m->head_dim,
                   m->heads, m->kv_heads);
}

static void add_ffn(int layer, const char *module, unsigned long long hidden, unsigned long long ffn) {
    static const char *const kinds[3] = {"down", "gate", "up"};
    for (int k = 0; k < 3; k++) {
        char name[80];
        (void)snprintf(name, sizeof name, "%s.%s_proj.weight", module, kinds[k]);
        add_in_layer(layer, name, 2, k == 0 ? hidden : ffn, k == 0 ? ffn : hidden, 0);
    }
}

static void add_qwen3(const struct qwen3 *m, int layers) {
    const unsigned long long queries = (unsigned long long)m->heads * m->head_dim,
                             keys = (unsigned long long)m->kv_heads * m->head_dim;
    describe_qwen3(m, layers);
    add("lm_head.weight", 2, m->vocabulary, m->hidden, 0);
    add("model.embed_tokens.weight", 2, m->vocabulary, m->hidden, 0);
    for (int layer = 0; layer < layers; layer++) {
        add_in_layer(layer, "input_layernorm.weight", 1, m->hidden, 0, 0);
        if (m->experts == 0) add_ffn(layer, "mlp", m->hidden, m->ffn);
        for (int expert = 0; expert < m->experts; expert++) {
            char module[40];
            (void)snprintf(module, sizeof module, "mlp.experts.%d", expert);
            add_ffn(layer, module, m->hidden, m->ffn);
        }
        if (m->experts > 0) add_in_layer(layer, "mlp.gate.weight", 2, (unsigned)m->experts, m->hidden, 0);
        add_in_layer(layer, "post_attention_layernorm.weight", 1, m->hidden, 0, 0);
        add_in_layer(layer, "self_attn.k_norm.weight", 1, m->head_dim, 0, 0);
        add_in_layer(layer, "self_attn.k_proj.weight", 2, keys, m->hidden, 0);
        add_in_layer(layer, "self_attn.o_proj.weight", 2, m->hidden, queries, 0);
        add_in_layer(layer, "self_attn.q_norm.weight", 1, m->head_dim, 0, 0);
        add_in_layer(layer, "self_attn.q_proj.weight", 2, queries, m->hidden, 0);
        add_in_layer(layer, "self_attn.v_proj.weight", 2, keys, m->hidden, 0);
    }
    add("model.norm.weight", 1, m->hidden, 0, 0);
}

/* The model type; NULL where the kind is none of these. */
static const char *add_qwen3_kind(const char *kind, const char *layers) {
    for (size_t i = 0; i < sizeof qwen3_kinds / sizeof qwen3_kinds[0]; i++) {
        const struct qwen3 *const m = &qwen3_kinds[i];
        if (strcmp(kind, m->kind) != 0) continue;
        const int asked = layers == NULL ? m->layers : atoi(layers);
        add_qwen3(m, asked < 1 || asked > m->layers ? m->layers : asked);
        return m->experts > 0 ? "qwen3_moe" : "qwen3";
    }
    return NULL;
}

static void add_many(void) {
    for (int layer = 0; layer < 48; layer++) {
        for (int expert = 0; expert < 128; expert++) {
            static const char *const kinds[3] = {"down", "gate", "up"};
            for (int k = 0; k < 3; k++) {
                char name[64];
                (void)snprintf(name, sizeof name, "mlp.experts.%d.%s_proj.weight", expert, kinds[k]);
                add_in_layer(layer, name, 2, 32, 32, 0);
            }
        }
        add_in_layer(layer, "mlp.gate.weight", 2, 128, 32, 0);
        add_in_layer(layer, "input_layernorm.weight", 1, 32, 0, 0);
        for (int k = 0; k < 2; k++)
            add_in_layer(layer, k == 0 ? "self_attn.q_proj.weight" : "self_attn.k_proj.weight", 2, 32, 32, 0);
    }
    add("model.norm.weight", 1, 32, 0, 0);
}

static void add_bench(void) {
    for (int layer = 0; layer < 4; layer++) {
        static const char *const kinds[4] = {"q", "k", "v", "o"};
        for (int k = 0; k < 4; k++) {
            char name[64];
            (void)snprintf(name, sizeof name, "self_attn.%s_proj.weight", kinds[k]);
            add_in_layer(layer, name, 2, 4096, 4096, 0);
        }
    }
}

static unsigned long long count_bytes(const struct tensor *t) {
    unsigned long long values = 1;
    for (unsigned d = 0; d < t->rank; d++) values *= t->shape[d];
    return 2 * values;
}

static void fail(const char *path) {
    perror(path);
    exit(1);
}

static void write_all(int file, const void *data, size_t size, unsigned long long offset, const char *path) {
    for (size_t done = 0; done < size;) {
        const ssize_t written = pwrite(file, (const char *)data + done, size - done, (off_t)(offset + done));
        if (written <= 0) fail(path);
        done += (size_t)written;
    }
}

/* ---- values ---- */

/* The same for the same numbers: threads need no order. */
static unsigned mix(unsigned long long a, unsigned long long b) {
    unsigned long long x = a * 0x9e3779b97f4a7c15u + b;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (unsigned)(x >> 33);
}

/* Sizes of rows or columns: e^(g / 4), and one in 256 four times as large. */
static float find_size(size_t tensor, unsigned long long index, unsigned kind) {
    const unsigned random = mix(tensor * 2 + kind, index);
    return expf(0.25f * table[random % TABLE]) * (random >> 8 & 255 ? 1.0f : 4.0f);
}

static unsigned short round_to_bf16(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Row `row` of a matrix, or a norm's weights, which are about 1. */
static void make_row(size_t tensor, unsigned long long row, size_t width, const float *columns, unsigned short *out) {
    const float *const values = table + mix(tensor, ~row) % TABLE;
    if (tensors[tensor].rank == 1) {
        for (size_t i = 0; i < width; i++) out[i] = round_to_bf16(1.0f + 0.1f * values[i % WIDEST]);
        return;
    }
    const float size = 0.02f * find_size(tensor, row, 0);
    for (size_t i = 0; i < width; i++) out[i] = round_to_bf16(size * columns[i] * values[i]);
}

static void write_tensor(size_t tensor, int file, unsigned long long offset, const char *path) {
    const struct tensor *const t = &tensors[tensor];
    const size_t width = (size_t)t->shape[t->rank - 1];
    const unsigned long long rows = count_bytes(t) / (2 * width);
    const unsigned long long at_once = BLOCK_VALUES / width > 0 ? BLOCK_VALUES / width : 1;
    const long long blocks = (long long)((rows + at_once - 1) / at_once);
    float *const columns = malloc(width * sizeof *columns);
    if (columns == NULL || width > WIDEST) fail(path);
    for (size_t i = 0; i < width; i++) columns[i] = find_size(tensor, i, 1);
    for (long long b = 0; b < blocks; b++) {
        const unsigned long long first = (unsigned long long)b * at_once;
        const unsigned long long count = rows - first < at_once ? rows - first : at_once;
        unsigned short *const block = malloc((size_t)count * width * sizeof *block);
        if (block == NULL) fail(path);
        for (unsigned long long r = 0; r < count; r++) make_row(tensor, first + r, width, columns, block + r * width);
        write_all(file, block, (size_t)count * width * sizeof *block, offset + 2 * first * width, path);
        free(block);
    }
    free(columns);
}

/* Tensors [first, last) into one shard; exits on failure. */
static void write_shard(const char *path, size_t first, size_t last) {
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    char *const header = malloc(256 * (last - first) + 64);
    if (file < 0 || header == NULL) fail(path);
    size_t size = (size_t)sprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    unsigned long long offset = 0;
    for (size_t i = first; i < last; i++) {
        const struct tensor *const t = &tensors[i];
        size += (size_t)sprintf(header + size, ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[", t->name);
        for (unsigned d = 0; d < t->rank; d++)
            size += (size_t)sprintf(header + size, d == 0 ? "%llu" : ",%llu", t->shape[d]);
        size += (size_t)sprintf(header + size, "],\"data_offsets\":[%llu,%llu]}", offset, offset + count_bytes(t));
        offset += count_bytes(t);
    }
    header[size++] = '}';
    while (size % 8 != 0) header[size++] = ' ';
    const unsigned long long length = size;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)(length >> 8 * i);
    write_all(file, prefix, sizeof prefix, 0, path);
    write_all(file, header, size, sizeof prefix, path);
    offset = sizeof prefix + size;
    for (size_t i = first; i < last; i++) {
        write_tensor(i, file, offset, path);
        offset += count_bytes(&tensors[i]);
    }
    if (close(file) != 0) fail(path);
    free(header);
}

/* The first tensor behind the shard that begins at `first`. */
static size_t find_shard_end(size_t first) {
    unsigned long long bytes = 0;
    size_t last = first;
    do bytes += count_bytes(&tensors[last++]);
    while (last < tensor_count && bytes + count_bytes(&tensors[last]) <= shard_bytes);
    return last;
}

static void write_shards(const char *folder, size_t count) {
    size_t *const ends = calloc(count + 1, sizeof *ends);
    if (ends == NULL) fail(folder);
    for (size_t i = 0; i < count; i++) ends[i + 1] = find_shard_end(ends[i]);
#ifndef __SANITIZE_THREAD__ /* it cannot see into OpenMP's runtime */
#pragma omp parallel for schedule(dynamic)
#endif
    for (size_t i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/model-%05zu-of-%05zu.safetensors", folder, i + 1, count);
        write_shard(path, ends[i], ends[i + 1]);
    }
    free(ends);
}

static void write_index(const char *folder, size_t shards, unsigned long long total) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    FILE *const file = fopen(path, "w");
    if (file == NULL) fail(path);
    fprintf(file, "{\"metadata\":{\"total_size\":%llu},\"weight_map\":{", total);
    size_t shard = 0;
    for (size_t first = 0; first < tensor_count; shard++) {
        const size_t last = find_shard_end(first);
        for (size_t i = first; i < last; i++) {
            fprintf(file, "%s\"%s\":\"model-%05zu-of-%05zu.safetensors\"", i == 0 ? "" : ",", tensors[i].name,
                    shard + 1, shards);
        }
        first = last;
    }
    fprintf(file, "}}");
    if (fclose(file) != 0) fail(path);
}

int main(int count, char **arguments) {
    if (count < 3 || count > 4) {
        return fprintf(stderr, "usage: make_checkpoint OUT bench|large|medium|small|many|qwen3-... [LAYERS]\n"), 2;
    }
    const char *const folder = arguments[1], *const kind = arguments[2];
    const char *model_type = "qwen3_moe";
    if (strcmp(kind, "bench") == 0) {
        model_type = "llama";
        add_bench();
    } else if (strcmp(kind, "large") == 0) {
        add_moe(6, 151936, 2048, 64, 768);
    } else if (strcmp(kind, "medium") == 0) {
        add_moe(6, 4096, 512, 16, 768);
    } else if (strcmp(kind, "small") == 0) {
        add_moe(4, 512, 128, 8, 192);
    } else if (strcmp(kind, "many") == 0) {
        add_many();
    } else if ((model_type = add_qwen3_kind(kind, arguments[3])) == NULL) {
        return fprintf(stderr, "unknown kind %s\n", kind), 2;
    }
    fill_table();
    (void)mkdir(folder, 0777);
    unsigned long long total = 0;
    size_t shards = 0;
    for (size_t i = 0; i < tensor_count; i++) total += count_bytes(&tensors[i]);
    for (size_t first = 0; first < tensor_count; first = find_shard_end(first)) shards++;
    write_shards(folder, shards);
    write_index(folder, shards, total);
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *const file = fopen(path, "w");
    if (file == NULL) fail(path);
    fprintf(file, "{\"architectures\": [\"MadeUp\"], \"model_type\": \"%s\", \"torch_dtype\": \"bfloat16\"%s}\n",
            model_type, configuration);
    return fclose(file) == 0 ? 0 : 1;
}
