#define _GNU_SOURCE /* fallocate */
#include "journal.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

/* More than any plan's lines; a journal is read whole. */
#define LARGEST_JOURNAL ((uint64_t)1 << 30)
/* Room that is claimed ahead for each tensor's line, so that a full disk can still be written down. */
#define LINE_ROOM 512u
/* Every line ends so, the digits being the hash of the line up to the comma. */
#define CHECK_KEY   ",\"check\":\""
#define CHECK_BYTES (sizeof CHECK_KEY - 1 + 32 + 2)

struct sinq_journal {
    int fd;
    char *path;
    bool failed;
    size_t count;
    cJSON *run;      /* the first line, of an opened journal */
    cJSON **records; /* of an opened journal */
    size_t *ends;    /* where each record's line ends in the file */
    size_t run_end;
    struct sinq_text text; /* the file's content */
};

static double number_of(const cJSON *object, const char *key) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 9007199254740992.0 ? item->valuedouble
                                                                                                    : -1;
}

static const char *string_of(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool parse_hash(const char *text, struct sinq_hash *hash) {
    if (text == NULL || strlen(text) != 2 * sizeof hash->bytes) return false;
    for (size_t i = 0; i < sizeof hash->bytes; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        char *end;
        const unsigned long value = strtoul(digits, &end, 16);
        if (end != digits + 2) return false;
        hash->bytes[i] = (uint8_t)value;
    }
    return true;
}

static struct sinq_journal *allocate_journal(const char *folder, struct sinq_error *error) {
    struct sinq_journal *const journal = calloc(1, sizeof *journal);
    if (journal != NULL) {
        journal->fd = -1;
        journal->path = sinq_join_path(folder, SINQ_JOURNAL_NAME);
        if (journal->path != NULL) return journal;
    }
    free(journal);
    sinq_fail_memory(error, "the journal", sizeof *journal);
    return NULL;
}

void sinq_journal_close(struct sinq_journal *journal) {
    if (journal == NULL) return;
    if (journal->fd >= 0) close(journal->fd);
    for (size_t i = 0; journal->records != NULL && i < journal->count; i++) cJSON_Delete(journal->records[i]);
    free(journal->records);
    free(journal->ends);
    cJSON_Delete(journal->run);
    sinq_text_free(&journal->text);
    free(journal->path);
    free(journal);
}

/* ---- reading ---- */

static bool is_record(const cJSON *line, size_t index) {
    struct sinq_hash hash;
    return number_of(line, "index") == (double)index && string_of(line, "name") != NULL &&
           number_of(line, "shard") >= 0 && number_of(line, "offset") >= 0 && number_of(line, "bytes") >= 0 &&
           parse_hash(string_of(line, "checksum"), &hash);
}

/* The line at `start`, without its line end, or NULL if it is torn. */
static cJSON *parse_line(const struct sinq_text *text, size_t start, size_t *end) {
    const char *const line = text->data + start;
    const char *const stop = memchr(line, '\n', text->size - start);
    if (stop == NULL || (size_t)(stop - line) < CHECK_BYTES) return NULL;
    const size_t body = (size_t)(stop - line) - CHECK_BYTES;
    char digits[33];
    sinq_hash_to_text(sinq_hash_bytes(line, body), digits);
    if (memcmp(line + body, CHECK_KEY, sizeof CHECK_KEY - 1) != 0) return NULL;
    if (memcmp(line + body + sizeof CHECK_KEY - 1, digits, 32) != 0) return NULL;
    *end = start + (size_t)(stop - line) + 1;
    return cJSON_ParseWithLength(line, (size_t)(stop - line));
}

static int parse_run(struct sinq_journal *journal, struct sinq_error *error) {
    /* The version is looked at before the line's check, whose form another version may have changed. */
    cJSON *const any = cJSON_ParseWithLength(journal->text.data, journal->text.size);
    const double version = number_of(any, "journal");
    cJSON_Delete(any);
    if (version >= 0 && version != SINQ_JOURNAL_VERSION) {
        return sinq_fail(error, SINQ_FAILED, "%s: version %.0f of the journal, this program knows version %d; %s",
                         journal->path, version, SINQ_JOURNAL_VERSION, "begin anew with --force");
    }
    journal->run = parse_line(&journal->text, 0, &journal->run_end);
    if (journal->run != NULL && string_of(journal->run, "program") != NULL &&
        string_of(journal->run, "fingerprint") != NULL) {
        return SINQ_OK;
    }
    return sinq_fail(error, SINQ_FAILED, "%s: its first line is damaged; begin anew with --force", journal->path);
}

static int parse_records(struct sinq_journal *journal, struct sinq_error *error) {
    size_t lines = 0;
    for (size_t i = 0; i < journal->text.size; i++) lines += journal->text.data[i] == '\n';
    journal->records = calloc(lines + 1, sizeof *journal->records);
    journal->ends = calloc(lines + 1, sizeof *journal->ends);
    if (journal->records == NULL || journal->ends == NULL) {
        return sinq_fail_memory(error, "the journal", lines * sizeof *journal->records);
    }
    size_t start = journal->run_end;
    while (start < journal->text.size) {
        size_t end = start;
        cJSON *const record = parse_line(&journal->text, start, &end);
        if (record == NULL || !is_record(record, journal->count)) {
            cJSON_Delete(record);
            break;
        }
        journal->ends[journal->count] = end;
        journal->records[journal->count++] = record;
        start = end;
    }
    return SINQ_OK;
}

int sinq_journal_open(int folder_fd, const char *folder, struct sinq_journal **journal, struct sinq_error *error) {
    *journal = NULL;
    if (faccessat(folder_fd, SINQ_JOURNAL_NAME, F_OK, 0) != 0 && errno == ENOENT) return SINQ_OK;
    struct sinq_journal *const made = allocate_journal(folder, error);
    if (made == NULL) return SINQ_FAILED;
    int status = sinq_read_file(made->path, LARGEST_JOURNAL, &made->text.data, &made->text.size, error);
    if (status != SINQ_OK) goto failed;
    made->text.capacity = made->text.size + 1;
    if (memchr(made->text.data, '\n', made->text.size) == NULL) {
        /* Stopped before the first line was on disk: nothing is finished. */
        sinq_journal_close(made);
        return SINQ_OK;
    }
    status = parse_run(made, error);
    if (status == SINQ_OK) status = parse_records(made, error);
    if (status != SINQ_OK) goto failed;
    made->fd = openat(folder_fd, SINQ_JOURNAL_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (made->fd < 0) {
        status = sinq_fail_errno(error, "%s: cannot open for writing", made->path);
        goto failed;
    }
    *journal = made;
    return SINQ_OK;
failed:
    sinq_journal_close(made);
    return status;
}

#define SIZE_TEXT 48
static const char *describe_size(char buffer[SIZE_TEXT], double bytes) {
    if (bytes == (double)SINQ_LARGEST_SHARD) return "one file";
    (void)snprintf(buffer, SIZE_TEXT, "files of at most %.0f bytes", bytes);
    return buffer;
}

int sinq_journal_match(const struct sinq_journal *journal, const struct sinq_journal_run *run,
                       struct sinq_error *error) {
    const char *const program = string_of(journal->run, "program");
    const char *const fingerprint = string_of(journal->run, "fingerprint");
    if (strcmp(program, run->program) != 0) {
        return sinq_fail(error, SINQ_FAILED, "%s: begun by version %s of this program, not by this one, %s; %s",
                         journal->path, program, run->program, "begin anew with --force");
    }
    if (strcmp(fingerprint, run->fingerprint) != 0 || number_of(journal->run, "tensors") != (double)run->tensors) {
        return sinq_fail(error, SINQ_FAILED,
                         "%s: made from another source, recipe or version (fingerprint %s, now %s); give the same "
                         "command as before, or begin anew with --force",
                         journal->path, fingerprint, run->fingerprint);
    }
    const double maximum = number_of(journal->run, "max_shard_bytes");
    if (maximum != (double)run->max_shard_bytes) {
        char before[SIZE_TEXT], now[SIZE_TEXT];
        return sinq_fail(error, SINQ_FAILED,
                         "%s: begun as %s, now asked for as %s; give the same --max-shard-size, or begin anew with "
                         "--force",
                         journal->path, describe_size(before, maximum),
                         describe_size(now, (double)run->max_shard_bytes));
    }
    return SINQ_OK;
}

size_t sinq_journal_count(const struct sinq_journal *journal) { return journal->count; }

struct sinq_journal_record sinq_journal_record(const struct sinq_journal *journal, size_t index) {
    const cJSON *const line = journal->records[index];
    struct sinq_journal_record record = {.index = index,
                                         .name = string_of(line, "name"),
                                         .shard = (size_t)number_of(line, "shard"),
                                         .offset = (uint64_t)number_of(line, "offset"),
                                         .bytes = (uint64_t)number_of(line, "bytes"),
                                         .note = string_of(line, "note")};
    (void)parse_hash(string_of(line, "checksum"), &record.checksum); /* looked at when it was read */
    return record;
}

/* ---- writing ---- */

/* Closes the line that began at `start`. */
static void end_line(struct sinq_text *text, size_t start) {
    if (text->failed) return;
    char digits[33];
    sinq_hash_to_text(sinq_hash_bytes(text->data + start, text->size - start), digits);
    sinq_text_print(text, CHECK_KEY "%s\"}\n", digits);
}

static void print_record(const struct sinq_journal_record *record, struct sinq_text *text) {
    const size_t start = text->size;
    char checksum[33];
    sinq_hash_to_text(record->checksum, checksum);
    sinq_text_print(text, "{\"index\":%zu,\"name\":", record->index);
    sinq_text_add_json(text, record->name);
    sinq_text_print(text, ",\"shard\":%zu,\"offset\":%llu,\"bytes\":%llu,\"checksum\":\"%s\"", record->shard,
                    (unsigned long long)record->offset, (unsigned long long)record->bytes, checksum);
    if (record->note != NULL) {
        sinq_text_add(text, ",\"note\":");
        sinq_text_add_json(text, record->note);
    }
    end_line(text, start);
}

/* Writes the text from `start` on and syncs. */
static int write_text(struct sinq_journal *journal, size_t start, struct sinq_error *error) {
    if (journal->text.failed) {
        journal->failed = true;
        return sinq_fail_memory(error, "the journal", start);
    }
    int status =
        sinq_write_at(journal->fd, journal->path, start, journal->text.size - start, journal->text.data + start, error);
    if (status == SINQ_OK && fdatasync(journal->fd) != 0) {
        status = sinq_fail_errno(error, "%s: cannot sync", journal->path);
    }
    /* Bytes whose sync failed may or may not be there; their check tells. Writing on could bury them. */
    if (status != SINQ_OK) journal->failed = true;
    return status;
}

int sinq_journal_create(int folder_fd, const char *folder, const struct sinq_journal_run *run,
                        struct sinq_journal **journal, struct sinq_error *error) {
    struct sinq_journal *const made = allocate_journal(folder, error);
    if (made == NULL) return SINQ_FAILED;
    int status = SINQ_OK;
    made->fd = openat(folder_fd, SINQ_JOURNAL_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)0666);
    if (made->fd < 0) {
        status = sinq_fail_errno(error, "%s: cannot create", made->path);
        goto done;
    }
#ifdef FALLOC_FL_KEEP_SIZE
    /* Only an aid: a file system without it is as good until the disk is full. */
    (void)fallocate(made->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)((run->tensors + 1) * LINE_ROOM));
#endif
    sinq_text_print(&made->text, "{\"journal\":%d,\"program\":", SINQ_JOURNAL_VERSION);
    sinq_text_add_json(&made->text, run->program);
    sinq_text_add(&made->text, ",\"fingerprint\":");
    sinq_text_add_json(&made->text, run->fingerprint);
    sinq_text_print(&made->text, ",\"max_shard_bytes\":%llu,\"tensors\":%llu", (unsigned long long)run->max_shard_bytes,
                    (unsigned long long)run->tensors);
    end_line(&made->text, 0);
    made->run_end = made->text.size;
    status = write_text(made, 0, error);
    if (status == SINQ_OK) status = sinq_sync_directory(folder, error);
done:
    if (status != SINQ_OK) {
        sinq_journal_close(made);
        return status;
    }
    *journal = made;
    return SINQ_OK;
}

int sinq_journal_truncate(struct sinq_journal *journal, size_t count, struct sinq_error *error) {
    const size_t size = count == 0 ? journal->run_end : journal->ends[count - 1];
    if (ftruncate(journal->fd, (off_t)size) != 0 || fdatasync(journal->fd) != 0) {
        return sinq_fail_errno(error, "%s: cannot shorten to %zu bytes", journal->path, size);
    }
    while (journal->count > count) cJSON_Delete(journal->records[--journal->count]);
    journal->text.size = size;
    journal->text.data[size] = '\0';
    return SINQ_OK;
}

int sinq_journal_append(struct sinq_journal *journal, const struct sinq_journal_record *records, size_t count,
                        struct sinq_error *error) {
    if (journal->failed) return sinq_fail(error, SINQ_FAILED, "%s: an earlier write to it failed", journal->path);
    const size_t start = journal->text.size;
    for (size_t i = 0; i < count; i++) print_record(&records[i], &journal->text);
    const int status = write_text(journal, start, error);
    if (status != SINQ_OK && !journal->text.failed) journal->text.size = start;
    return status;
}

int sinq_journal_remove(struct sinq_journal *journal, int folder_fd, struct sinq_error *error) {
    if (unlinkat(folder_fd, SINQ_JOURNAL_NAME, 0) == 0) return SINQ_OK;
    return sinq_fail_errno(error, "%s: cannot remove", journal->path);
}

void sinq_journal_restore(struct sinq_journal *journal, int folder_fd) {
    const int fd =
        openat(folder_fd, SINQ_JOURNAL_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)0666);
    if (fd < 0) return;
    close(journal->fd);
    journal->fd = fd;
    (void)write_text(journal, 0, NULL);
}
