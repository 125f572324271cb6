#include "quant/recipe/damage.h"

#include <stddef.h>

#include "quant/matrix/rounding.h"
#include "tensor/method.h"

/* ---- errors of normally distributed weights, 1024 x 2048, as `sinq eval --weights` tells them (squared) ---- */

#define WIDTHS 6
#define GROUPS 5 /* 16, 32, 64, 128, row */

static const double searched_errors[WIDTHS][GROUPS] = {
    {.0661, .0880, .102, .110, .118},
    {.0141, .0209, .0270, .0314, .0372},
    {.00320, .00488, .00660, .00822, .0112},
    {.000765, .00118, .00161, .00205, .00329},
    {.000190, .000292, .000401, .000520, .000920},
    {.0000117, .0000180, .0000248, .0000323, .0000637},
};
/* Of all other methods without byte levels, too: they differ from min-max rounding by less than groups differ. */
static const double rounded_errors[WIDTHS][GROUPS] = {
    {.122, .165, .208, .252, .424},
    {.0222, .0299, .0379, .0462, .0806},
    {.00483, .00651, .00827, .0101, .0175},
    {.00113, .00152, .00193, .00236, .00411},
    {.000274, .000369, .000468, .000571, .000995},
    {.0000168, .0000226, .0000287, .0000348, .0000607},
};
static const double level_errors[3][GROUPS] = {
    /* 2, 3 and 4 bits */
    {.0789, .0948, .105, .111, .120},
    {.0178, .0229, .0269, .0300, .0366},
    {.00400, .00532, .00648, .00744, .00999},
};

static size_t find_width(int bits) { return bits == 8 ? WIDTHS - 1 : (size_t)(bits - 2); }

static size_t find_group(uint32_t group_size) {
    if (group_size == SINQ_GROUP_ROW || group_size > 128) return 4;
    return group_size > 64 ? 3 : group_size > 32 ? 2 : group_size > 16 ? 1 : 0;
}

double sinq_expect_error(enum sinq_method method, int bits, uint32_t group_size) {
    const size_t width = find_width(bits), group = find_group(group_size);
    if (sinq_method_has_byte_levels(method)) return level_errors[width][group];
    return (sinq_method_is_searched(method) ? searched_errors : rounded_errors)[width][group];
}

/* ---- sensitivities ---- */

/* Of all layers together, were all as those between the first and the last; and how much more these two suffer. */
struct sensitivity {
    double all, first, last;
};

static struct sensitivity find_sensitivity(enum sinq_role role) {
    static const struct sensitivity query = {.067, 6.4, 5.4}, key = {.088, 2.7, 8.0}, value = {.32, 7.0, 4.0},
                                    output = {.22, 6.0, 1.2}, gate = {.75, 1.0, 1.1}, up = {.49, 1.5, 1.1},
                                    down = {.69, 3.0, 1.2};
    switch (role) {
    case SINQ_ROLE_QUERY:
    case SINQ_ROLE_QUERY_A:
    case SINQ_ROLE_QUERY_B:
        return query;
    case SINQ_ROLE_KEY:
        return key;
    case SINQ_ROLE_VALUE:
        return value;
    case SINQ_ROLE_QUERY_KEY_VALUE: /* sums of what is fused */
        return (struct sensitivity){.475, 6.1, 4.9};
    case SINQ_ROLE_KEY_VALUE_A:
    case SINQ_ROLE_KEY_VALUE_B:
        return (struct sensitivity){.41, 6.1, 4.9};
    case SINQ_ROLE_ATTENTION_OUTPUT:
        return output;
    case SINQ_ROLE_GATE:
        return gate;
    case SINQ_ROLE_UP:
        return up;
    case SINQ_ROLE_GATE_UP:
        return (struct sensitivity){1.24, 1.2, 1.1};
    case SINQ_ROLE_DOWN:
        return down;
    default: /* of an unknown purpose: as the middle of the others */
        return (struct sensitivity){.32, 3.0, 1.5};
    }
}

#define EMBEDDING_SENSITIVITY .39
#define HEAD_SENSITIVITY      1.06

double sinq_expect_sensitivity(const struct sinq_tensor_place *place) {
    if (place->role == SINQ_ROLE_LM_HEAD) return HEAD_SENSITIVITY;
    if (place->role == SINQ_ROLE_EMBEDDING) return EMBEDDING_SENSITIVITY + (place->is_tied ? HEAD_SENSITIVITY : 0);
    const struct sensitivity kind = find_sensitivity(place->role);
    const double factor = place->layer == 0 ? kind.first : place->layer == place->layers - 1 ? kind.last : 1;
    return kind.all * factor / ((double)place->layers * (double)place->experts);
}
