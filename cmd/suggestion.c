#include "suggestion.h"

#include <string.h>

#define LONGEST 63u

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }

size_t sinq_word_distance(const char *from, const char *to) {
    const size_t rows = least_of(strlen(from), LONGEST), cols = least_of(strlen(to), LONGEST);
    size_t table[LONGEST + 1][LONGEST + 1];
    for (size_t j = 0; j <= cols; j++) table[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        table[i][0] = i;
        for (size_t j = 1; j <= cols; j++) {
            const size_t replaced = table[i - 1][j - 1] + (from[i - 1] != to[j - 1]);
            size_t best = least_of(replaced, least_of(table[i - 1][j], table[i][j - 1]) + 1);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                best = least_of(best, table[i - 2][j - 2] + 1);
            table[i][j] = best;
        }
    }
    return table[rows][cols];
}

int sinq_is_likely(const char *word, const char *meant) {
    const size_t length = strlen(word);
    if (length == 0) return 0;
    if (length >= 3 && strncmp(word, meant, length) == 0) return 1;
    return sinq_word_distance(word, meant) <= (length + 1) / 3;
}
