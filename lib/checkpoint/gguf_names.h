/*
 * gguf_names.h: tensor names in GGUF files and in Hugging Face checkpoints, and what happens to values on the way: one table a
 * family, used in both directions (llama.cpp: gguf-py's tensor_mapping.py and convert_hf_to_gguf.py).
 *
 * A Hugging Face name is compared without what wraps the text model (sinq_skip_wrappers) and printed with "model." where
 * transformers has it. Several patterns may share a GGUF name: Hugging Face checkpoints hold experts in several forms, and of
 * these the first is the one that reading a GGUF gives. One Hugging Face tensor may become two in GGUF and the other way round.
 *
 * A new family is one table in gguf_names.c and one line in its list. All tables are constant: thread safe.
 */
#ifndef SINQ_CHECKPOINT_GGUF_NAMES_H
#define SINQ_CHECKPOINT_GGUF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is done to the values of a Hugging Face tensor to get the GGUF tensor. Shapes are ours, outermost dimension first. */
enum sinq_gguf_change {
    SINQ_GGUF_SAME,
    SINQ_GGUF_QUERY_ROWS, /* rows (or a bias's values) of each of the num_attention_heads heads: see sinq_gguf_to_hf_row */
    SINQ_GGUF_KEY_ROWS, /* the same with num_key_value_heads */
    SINQ_GGUF_PLUS_ONE, /* norms: Hugging Face has w, GGUF 1 + w */
    SINQ_GGUF_EXPERT,   /* [rows, cols], one tensor an expert: matrix {E} of GGUF's [experts, rows, cols] */
    /* Rows of a stack [experts, 2 n, cols], gates first: GGUF has [experts, n, cols] of each. */
    SINQ_GGUF_FIRST_HALF,
    SINQ_GGUF_SECOND_HALF,
    /* Columns of a stack [experts, in, 2 n] (a bias: of [experts, 2 n]) with gates at even and ups at odd places: [experts, n, in] */
    SINQ_GGUF_EVEN_COLUMNS,
    SINQ_GGUF_ODD_COLUMNS,
    SINQ_GGUF_TRANSPOSED, /* a stack [experts, in, out]: [experts, out, in]; a bias stays as it is */
    /* kv_b_proj [heads * (nope + value), rank], each head's keys first. Keys: [heads, rank, nope]; values: [heads, value, rank] */
    SINQ_GGUF_KEY_HALF,
    SINQ_GGUF_VALUE_HALF
};

/* What stands behind the two names of a pattern. */
enum sinq_gguf_suffix {
    SINQ_GGUF_MODULE,   /* GGUF ".weight" and ".bias"; Hugging Face the same */
    SINQ_GGUF_STACK,    /* GGUF ".weight" and ".bias"; Hugging Face nothing (or ".weight") and "_bias" */
    SINQ_GGUF_WEIGHT,   /* GGUF ".weight"; Hugging Face nothing */
    SINQ_GGUF_BIAS_ONLY /* GGUF ".bias"; Hugging Face nothing */
};

struct sinq_gguf_pattern {
    const char *gguf;   /* "blk.{L}.attn_q"; NULL ends a table */
    const char *module; /* "layers.{L}.self_attn.q_proj" */
    enum sinq_gguf_change change;
    enum sinq_gguf_suffix suffix;
};

#define SINQ_GGUF_TABLES 6

struct sinq_gguf_family {
    const char *
        model_types; /* config.json's, separated by single spaces; the first is what reading a GGUF gives, but see gguf_config.h */
    const char *architecture;                                 /* general.architecture */
    const struct sinq_gguf_pattern *tables[SINQ_GGUF_TABLES]; /* NULL ends them */
};

/* NULL where there is none, or for NULL. Several families may share an architecture: the first that has `model_type`'s. */
const struct sinq_gguf_family *sinq_find_gguf_family(const char *model_type);

struct sinq_gguf_match {
    const struct sinq_gguf_pattern *pattern; /* NULL: no pattern fits */
    int layer, expert;                       /* -1 where the pattern has no such number */
    bool is_bias;
};

/*
 * The first pattern behind `after` (NULL: of all) that a GGUF tensor's whole name fits, with ".weight" or ".bias"; its expert
 * is -1.
 */
struct sinq_gguf_match sinq_match_gguf_name(const struct sinq_gguf_family *family, const char *name,
                                            const struct sinq_gguf_pattern *after);
/* The same for a Hugging Face tensor's name, in any wrapper. */
struct sinq_gguf_match sinq_match_hf_name(const struct sinq_gguf_family *family, const char *name,
                                          const struct sinq_gguf_pattern *after);

#define SINQ_GGUF_NAME_BYTES 128u

/* "blk.0.attn_q.weight"; "model.layers.0.self_attn.q_proj.weight". */
void sinq_print_gguf_name(const struct sinq_gguf_match *match, char name[SINQ_GGUF_NAME_BYTES]);
void sinq_print_hf_name(const struct sinq_gguf_match *match, char name[SINQ_GGUF_NAME_BYTES]);

/*
 * llama.cpp turns pairs (2 i, 2 i + 1) of a llama's heads where transformers turns (i, i + n / 2), so its converter reorders the
 * rows of query and key projections. Of `rows` rows in `heads` heads: Hugging Face's row that is GGUF's row `row`, and back.
 * `heads` divides `rows`, and the quotient is even.
 */
uint64_t sinq_gguf_to_hf_row(uint64_t row, uint64_t rows, uint64_t heads);
uint64_t sinq_hf_to_gguf_row(uint64_t row, uint64_t rows, uint64_t heads);

/* Tensors that GGUF makes of the rope's parameters, F32 of dims / 2: what frequencies are divided by. */
#define SINQ_GGUF_ROPE_FREQS "rope_freqs.weight"         /* llama3 */
#define SINQ_GGUF_ROPE_LONG  "rope_factors_long.weight"  /* longrope */
#define SINQ_GGUF_ROPE_SHORT "rope_factors_short.weight" /* longrope */

#endif
