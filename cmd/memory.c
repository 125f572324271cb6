#include "memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(void) {
    fputs("sinq: out of memory\n", stderr);
    exit(SINQ_FAILED);
}

void *sinq_allocate(size_t count, size_t size) {
    void *const memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) die();
    return memory;
}

void sinq_reserve(void *array, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity) return;
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < needed) wanted = needed;
    if (wanted < 16) wanted = 16;
    if (wanted > SIZE_MAX / size) die();
    /* `array` is the address of a pointer of any type, which C does not let us name. */
    void *memory;
    memcpy(&memory, array, sizeof memory);
    memory = realloc(memory, wanted * size);
    if (memory == NULL) die();
    memcpy(array, &memory, sizeof memory);
    *capacity = wanted;
}

char *sinq_format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0) die();
    char *const text = sinq_allocate((size_t)size + 1, 1);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}
