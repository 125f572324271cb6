#include "canvas.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "font.h"
#include "memory.h"

#define LETTER_SCALE 2u

void sinq_canvas_create(struct sinq_canvas *canvas, size_t width, size_t height) {
    canvas->width = width;
    canvas->height = height;
    canvas->pixels = sinq_allocate(width * height, sizeof *canvas->pixels);
    memset(canvas->pixels, 0xff, width * height * sizeof *canvas->pixels);
}

void sinq_canvas_free(struct sinq_canvas *canvas) {
    free(canvas->pixels);
    canvas->pixels = NULL;
}

void sinq_draw_rectangle(struct sinq_canvas *canvas, size_t x, size_t y, size_t width, size_t height,
                         struct sinq_color color) {
    for (size_t row = y; row < y + height && row < canvas->height; row++)
        for (size_t col = x; col < x + width && col < canvas->width; col++)
            canvas->pixels[row * canvas->width + col] = color;
}

static void draw_letter(struct sinq_canvas *canvas, size_t x, size_t y, char letter, struct sinq_color color) {
    const uint8_t *const rows = sinq_find_glyph(letter);
    y += sinq_glyph_drop(letter) * LETTER_SCALE;
    for (size_t row = 0; row < SINQ_FONT_HEIGHT; row++)
        for (size_t col = 0; col < SINQ_FONT_WIDTH; col++)
            if (rows[row] >> (SINQ_FONT_WIDTH - 1 - col) & 1)
                sinq_draw_rectangle(canvas, x + col * LETTER_SCALE, y + row * LETTER_SCALE, LETTER_SCALE, LETTER_SCALE,
                                    color);
}

void sinq_draw_text(struct sinq_canvas *canvas, size_t x, size_t y, const char *text, struct sinq_color color) {
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text & 0xc0) == 0x80) continue; /* one '?' for a letter of several bytes */
        draw_letter(canvas, x, y, *text, color);
        x += SINQ_LETTER_WIDTH;
    }
}

/* ---- PNG --------------------------------------------------------------------------------------------------- */

static int fail(struct sinq_error *error, const char *path, const char *reason) {
    snprintf(error->message, sizeof error->message, "%.600s: %s", path, reason);
    return error->status = SINQ_FAILED;
}

static void ignore_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

/* libpng would print, were this to return. */
static void leave_png(png_structp png, png_const_charp message) {
    (void)message;
    png_longjmp(png, 1);
}

/* False if libpng or the file refused; errno then says why, or is 0. Its own function because of setjmp. */
static bool encode_png(const struct sinq_canvas *canvas, FILE *file) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, leave_png, ignore_warning);
    if (png == NULL) return false;
    png_infop info = png_create_info_struct(png);
    if (info == NULL || setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)canvas->width, (png_uint_32)canvas->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t row = 0; row < canvas->height; row++)
        png_write_row(png, (png_const_bytep)&canvas->pixels[row * canvas->width]);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return true;
}

static bool write_file(const struct sinq_canvas *canvas, int fd) {
    FILE *const file = fdopen(fd, "wb");
    if (file == NULL) {
        close(fd);
        return false;
    }
    errno = 0;
    bool is_good = encode_png(canvas, file) && fflush(file) == 0 && fsync(fd) == 0;
    const int reason = errno;
    if (fclose(file) != 0)
        is_good = false;
    else if (!is_good)
        errno = reason;
    return is_good;
}

/* Puts the finished file in its place; without `force` a link, which never replaces anything. */
static int publish(const char *temporary, const char *path, bool force, struct sinq_error *error) {
    if (force) {
        if (rename(temporary, path) != 0) return fail(error, path, strerror(errno));
        return SINQ_OK;
    }
    if (link(temporary, path) == 0) {
        unlink(temporary);
        return SINQ_OK;
    }
    if (errno == EEXIST) return fail(error, path, "exists; --force replaces it");
    /* A file system without links. */
    if (rename(temporary, path) != 0) return fail(error, path, strerror(errno));
    return SINQ_OK;
}

int sinq_write_png(const struct sinq_canvas *canvas, const char *path, bool force, struct sinq_error *error) {
    struct stat status;
    if (lstat(path, &status) == 0) {
        if (!force) return fail(error, path, "exists; --force replaces it");
        if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) return fail(error, path, "is not a regular file");
    }
    char *const temporary = sinq_format("%s.%ld.partial", path, (long)getpid());
    int result = SINQ_OK;
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        result = fail(error, path, strerror(errno));
    } else if (!write_file(canvas, fd)) {
        result = fail(error, path, errno != 0 ? strerror(errno) : "the picture could not be written");
        unlink(temporary);
    } else {
        result = publish(temporary, path, force, error);
        if (result != SINQ_OK) unlink(temporary);
    }
    free(temporary);
    return result;
}
