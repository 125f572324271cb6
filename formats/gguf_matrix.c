/* gguf_matrix.c: matrices of blocks in our layout, made when they are asked for. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "gguf_source.h"
#include "tensor/block_matrix.h"

/* One matrix as it is multiplied with: [out, in]. */
struct matrix {
    const struct sinq_gguf_view *view;
    uint64_t rows, cols; /* of it */
    uint64_t part_rows;  /* that each part gives */
    uint64_t row_bytes;
    struct sinq_block_matrix blocks;
};

static bool is_across(const struct sinq_gguf_view *view) {
    return view->change == SINQ_GGUF_TRANSPOSED || view->change == SINQ_GGUF_EVEN_COLUMNS;
}

static struct matrix describe(const struct sinq_gguf_source *source, size_t tensor, uint64_t index) {
    const struct sinq_tensor *const t = &source->base.tensors[tensor];
    const struct sinq_gguf_view *const view = &source->views[tensor];
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(t);
    const struct sinq_block_type *const type = view->parts[0].tensor->type;
    struct matrix matrix = {.view = view, .rows = shape.rows, .cols = shape.cols};
    if (is_across(view)) {
        matrix.rows = shape.cols;
        matrix.cols = shape.rows;
    }
    matrix.part_rows = view->parts[1].tensor == NULL ? matrix.rows : matrix.rows / 2;
    matrix.row_bytes = matrix.cols / type->values * type->bytes;
    matrix.blocks = (struct sinq_block_matrix){.type = type,
                                               .rows = matrix.rows,
                                               .cols = matrix.cols,
                                               .stack_index = (uint32_t)index,
                                               .stack_count = t->rank > 2 ? (uint32_t)shape.count : 0,
                                               .transposed = is_across(view)};
    return matrix;
}

/* Where the blocks of row `row` are among those that were read: part behind part, in the order of the file. */
static const uint8_t *find_row(const struct matrix *matrix, const uint8_t *bytes, uint64_t row) {
    uint64_t place = row;
    if (matrix->view->parts[1].tensor != NULL) {
        place = row % 2 * matrix->part_rows + row / 2;
    } else if (matrix->view->heads != 0) {
        place = sinq_hf_to_gguf_row(row, matrix->rows, matrix->view->heads);
    }
    return bytes + place * matrix->row_bytes;
}

/* The blocks of a matrix, which lie in one run in each part. */
static int read_blocks(const struct sinq_gguf_source *source, const struct matrix *matrix, uint64_t index,
                       uint8_t *bytes, struct sinq_error *error) {
    const uint64_t size = matrix->part_rows * matrix->row_bytes;
    int status = SINQ_OK;
    for (unsigned p = 0; p < 2 && matrix->view->parts[p].tensor != NULL && status == SINQ_OK; p++) {
        const struct sinq_gguf_part *const part = &matrix->view->parts[p];
        const uint64_t place = part->tensor->offset + (index + matrix->view->slice) * size;
        status = sinq_shards_read(&source->shards, part->shard, place, size, bytes + p * size, error);
    }
    return status;
}

int sinq_read_gguf_matrix(const struct sinq_source *base, size_t tensor, uint64_t index, uint8_t **blob,
                          uint64_t *bytes, struct sinq_error *error) {
    const struct sinq_gguf_source *const source = (const struct sinq_gguf_source *)base;
    const char *const name = base->tensors[tensor].name;
    struct matrix matrix = describe(source, tensor, index);
    *blob = NULL;
    uint8_t *const stored = malloc((size_t)(matrix.rows * matrix.row_bytes));
    const uint8_t **const rows = malloc((size_t)matrix.rows * sizeof *rows);
    int status =
        stored != NULL && rows != NULL ? SINQ_OK : sinq_fail_memory(error, name, matrix.rows * matrix.row_bytes);
    if (status == SINQ_OK) status = read_blocks(source, &matrix, index, stored, error);
    if (status == SINQ_OK) {
        for (uint64_t r = 0; r < matrix.rows; r++) rows[r] = find_row(&matrix, stored, r);
        matrix.blocks.row_bytes = rows;
        status = sinq_convert_block_matrix(&matrix.blocks, name, blob, bytes, error);
    }
    free(rows);
    free(stored);
    return status;
}

int sinq_describe_gguf_matrix(const struct sinq_source *base, size_t tensor, uint64_t index,
                              struct sinq_matrix_info *info, struct sinq_error *error) {
    const struct sinq_gguf_source *const source = (const struct sinq_gguf_source *)base;
    const struct matrix matrix = describe(source, tensor, index);
    struct sinq_dual_scale layout;
    struct sinq_dual_scale_sizes sizes;
    (void)error;
    *info =
        (struct sinq_matrix_info){.rows = matrix.rows, .cols = matrix.cols, .group_size = matrix.blocks.type->values};
    if (sinq_describe_block_matrix(&matrix.blocks, &layout, &sizes)) *info = sinq_dual_scale_info(&layout, &sizes);
    info->block_type = matrix.blocks.type->name;
    info->transposed = matrix.blocks.transposed;
    info->bytes = matrix.rows * matrix.row_bytes;
    info->bits_per_weight = 8.0 * matrix.blocks.type->bytes / matrix.blocks.type->values;
    return SINQ_OK;
}
