#include "quantity.h"

#include <stdio.h>

/* Three significant digits before a unit. */
static const char *format_scaled(char *buffer, double value, const char *const *units, int unit_count) {
    int unit = 0;
    while (value >= 999.5 && unit + 1 < unit_count) {
        value /= 1000.0;
        unit++;
    }
    const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(buffer, SINQ_QUANTITY_SIZE, "%.*f%s", digits, value, units[unit]);
    return buffer;
}

const char *sinq_format_bytes(char *buffer, uint64_t bytes) {
    static const char *const units[] = {" B", " kB", " MB", " GB", " TB", " PB", " EB"};
    return format_scaled(buffer, (double)bytes, units, 7);
}

const char *sinq_format_count(char *buffer, uint64_t count) {
    static const char *const units[] = {"", " k", " M", " B", " T"};
    return format_scaled(buffer, (double)count, units, 5);
}

const char *sinq_format_seconds(char *buffer, double seconds) {
    if (seconds < 0.0995) {
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%.3f s", seconds);
    } else if (seconds < 9.995) {
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%.2f s", seconds);
    } else if (seconds < 99.95) {
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%.1f s", seconds);
    } else if (seconds < 3599.5) {
        const unsigned whole = (unsigned)(seconds + 0.5);
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%u min %02u s", whole / 60, whole % 60);
    } else {
        const uint64_t minutes = seconds < 1e15 ? (uint64_t)(seconds / 60.0 + 0.5) : 0;
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%llu h %02u min", (unsigned long long)(minutes / 60),
                 (unsigned)(minutes % 60));
    }
    return buffer;
}

const char *sinq_format_percent(char *buffer, double share) {
    const double percent = 100.0 * share;
    if (percent == 0.0) {
        snprintf(buffer, SINQ_QUANTITY_SIZE, "0 %%");
    } else if (percent < 0.0995) {
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%.3g %%", percent);
    } else {
        snprintf(buffer, SINQ_QUANTITY_SIZE, "%.*f %%", percent < 9.995 ? 2 : percent < 99.95 ? 1 : 0, percent);
    }
    return buffer;
}
