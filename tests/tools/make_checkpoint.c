/*
 * make_checkpoint OUT KIND: writes a made-up Hugging Face directory of bf16 weights with realistic spread.
 *
 *   bench   16 linear layers of 4096 x 4096 (0.5 GB), for timing
 *   large   4.4 GB: a 151,936-row embedding, fused experts, attention; for the bound on memory
 *   medium  the same kinds of tensors in 240 MB, for kills
 *   small   the same in 5 MB, for comparisons
 *   many    18,625 tensors of 128 experts in 48 layers, tiny ones, for the time that opening takes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TABLE = 1 << 20, MOST_SHAPE = 3, MOST_TENSORS = 20000 };
static const unsigned long long shard_bytes = 2ull << 30;

struct tensor {
    char name[96];
    unsigned long long shape[MOST_SHAPE];
    unsigned rank;
};

static struct tensor tensors[MOST_TENSORS];
static size_t tensor_count;
static unsigned short table[TABLE];
static unsigned random_state = 1;

static unsigned next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }

/* Gaussian, and one value in 4096 eight times as large. */
static void fill_table(void) {
    for (size_t i = 0; i < TABLE; i++) {
        float sum = -6.0f;
        for (int k = 0; k < 12; k++) sum += (float)next_random() / 16777216.0f;
        const float value = 0.02f * sum * (next_random() % 4096 == 0 ? 8.0f : 1.0f);
        unsigned bits;
        memcpy(&bits, &value, sizeof bits);
        table[i] = (unsigned short)(bits >> 16);
    }
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
    char full[96];
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

static void write_all(FILE *file, const void *data, size_t size, const char *path) {
    if (fwrite(data, 1, size, file) != size) fail(path);
}

/* Tensors [first, last) into one shard; returns nothing, exits on failure. */
static void write_shard(const char *path, size_t first, size_t last) {
    FILE *const file = fopen(path, "wb");
    char *const header = malloc(256 * (last - first) + 64);
    if (file == NULL || header == NULL) fail(path);
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
    write_all(file, prefix, sizeof prefix, path);
    write_all(file, header, size, path);
    for (size_t i = first; i < last; i++) {
        for (unsigned long long left = count_bytes(&tensors[i]); left > 0;) {
            const size_t most = TABLE, at = next_random() % (TABLE / 2);
            const size_t piece = left / 2 < most - at ? (size_t)(left / 2) : most - at;
            write_all(file, table + at, 2 * piece, path);
            left -= 2 * piece;
        }
    }
    if (fclose(file) != 0) fail(path);
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
    if (count != 3) return fprintf(stderr, "usage: make_checkpoint OUT bench|large|medium|small|many\n"), 2;
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
    } else {
        return fprintf(stderr, "unknown kind %s\n", kind), 2;
    }
    fill_table();
    (void)mkdir(folder, 0777);
    unsigned long long total = 0;
    size_t shards = 0;
    for (size_t i = 0; i < tensor_count; i++) total += count_bytes(&tensors[i]);
    for (size_t first = 0; first < tensor_count; first = find_shard_end(first)) shards++;
    char path[4096];
    size_t shard = 0;
    for (size_t first = 0; first < tensor_count; shard++) {
        const size_t last = find_shard_end(first);
        (void)snprintf(path, sizeof path, "%s/model-%05zu-of-%05zu.safetensors", folder, shard + 1, shards);
        write_shard(path, first, last);
        first = last;
    }
    write_index(folder, shards, total);
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *const file = fopen(path, "w");
    if (file == NULL) fail(path);
    fprintf(file, "{\"architectures\": [\"MadeUp\"], \"model_type\": \"%s\", \"torch_dtype\": \"bfloat16\"%s}\n",
            model_type, configuration);
    return fclose(file) == 0 ? 0 : 1;
}
