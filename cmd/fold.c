#include "fold.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define MOST_DIGITS 9u /* longer numbers count as text */

struct item {
    char *key;
    size_t index;
};

static size_t digit_count(const char *part) { return strspn(part, "0123456789"); }

/* Whether the part of a name that begins here is a number without leading zeros; its length in *length. */
static bool is_number(const char *part, size_t *length) {
    const size_t digits = digit_count(part);
    *length = strcspn(part, ".");
    return digits > 0 && digits == *length && digits <= MOST_DIGITS && (digits == 1 || *part != '0');
}

/* The name with its numbers left out, then the trait: equal for names that fold. */
static char *make_key(const char *name, const char *trait) {
    char *const key = sinq_allocate(strlen(name) + strlen(trait) + 2, 1);
    char *out = key;
    for (const char *part = name;;) {
        size_t length;
        if (is_number(part, &length)) {
            *out++ = '\1';
        } else {
            memcpy(out, part, length);
            out += length;
        }
        part += length;
        if (*part == '\0') break;
        *out++ = *part++;
    }
    *out++ = '\2';
    strcpy(out, trait);
    return key;
}

static int compare_items(const void *a, const void *b) {
    const struct item *const x = a, *const y = b;
    const int order = strcmp(x->key, y->key);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_folds(const void *a, const void *b) {
    const struct sinq_fold *const x = a, *const y = b;
    return (x->members[0] > y->members[0]) - (x->members[0] < y->members[0]);
}

static int compare_numbers(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The `place`-th number in a name. */
static uint32_t find_number(const char *name, size_t place) {
    size_t length;
    for (const char *part = name;; part++) {
        if (is_number(part, &length) && place-- == 0) return (uint32_t)strtoul(part, NULL, 10);
        part += length;
        if (*part == '\0') return 0;
    }
}

/* Appends "{0-2,5}", or "7" where all members have the same number. */
static char *append_numbers(char *name, const char *const *names, const struct sinq_fold *fold, size_t place) {
    uint32_t *const numbers = sinq_allocate(fold->count, sizeof *numbers);
    for (size_t i = 0; i < fold->count; i++) numbers[i] = find_number(names[fold->members[i]], place);
    qsort(numbers, fold->count, sizeof *numbers, compare_numbers);
    const bool is_range = numbers[0] != numbers[fold->count - 1];
    char *text = sinq_format("%s%s", name, is_range ? "{" : "");
    free(name);
    for (size_t i = 0; i < fold->count;) {
        size_t end = i;
        while (end + 1 < fold->count && numbers[end + 1] - numbers[end] <= 1) end++;
        const char *const comma = i > 0 ? "," : "";
        char *const longer = numbers[i] != numbers[end]
                                 ? sinq_format("%s%s%u-%u", text, comma, (unsigned)numbers[i], (unsigned)numbers[end])
                                 : sinq_format("%s%s%u", text, comma, (unsigned)numbers[i]);
        free(text);
        text = longer;
        i = end + 1;
    }
    free(numbers);
    name = sinq_format("%s%s", text, is_range ? "}" : "");
    free(text);
    return name;
}

static char *name_fold(const char *const *names, const struct sinq_fold *fold) {
    const char *part = names[fold->members[0]];
    if (fold->count == 1) return sinq_format("%s", part);
    char *name = sinq_format("%s", "");
    size_t place = 0;
    for (;;) {
        size_t length;
        if (is_number(part, &length)) {
            name = append_numbers(name, names, fold, place++);
        } else {
            char *const longer = sinq_format("%s%.*s", name, (int)length, part);
            free(name);
            name = longer;
        }
        part += length;
        if (*part == '\0') return name;
        char *const longer = sinq_format("%s.", name);
        free(name);
        name = longer;
        part++;
    }
}

struct sinq_fold_list sinq_fold_names(const char *const *names, const char *const *traits, size_t count) {
    struct sinq_fold_list list = {.folds = sinq_allocate(count, sizeof *list.folds)};
    struct item *const items = sinq_allocate(count, sizeof *items);
    for (size_t i = 0; i < count; i++) items[i] = (struct item){make_key(names[i], traits[i]), i};
    qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && strcmp(items[end].key, items[i].key) == 0) end++;
        struct sinq_fold *const fold = &list.folds[list.count++];
        fold->count = end - i;
        fold->members = sinq_allocate(fold->count, sizeof *fold->members);
        for (size_t k = 0; k < fold->count; k++) fold->members[k] = items[i + k].index;
        fold->name = name_fold(names, fold);
        i = end;
    }
    qsort(list.folds, list.count, sizeof *list.folds, compare_folds);
    for (size_t i = 0; i < count; i++) free(items[i].key);
    free(items);
    return list;
}

void sinq_free_folds(struct sinq_fold_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->folds[i].name);
        free(list->folds[i].members);
    }
    free(list->folds);
    list->folds = NULL;
    list->count = 0;
}
