/*
 * journal.h: what of an unfinished output is safely on disk, so that a later run can go on from there.
 *
 * OUT.partial/journal has one line of JSON for the run and one for each finished tensor. Each line ends with a check of
 * itself: a line that a crash tore, and what follows it, counts as not written. A journal belongs to one thread.
 */
#ifndef SINQ_FORMATS_JOURNAL_H
#define SINQ_FORMATS_JOURNAL_H

#include "base/hash.h"
#include "sinq.h"

#define SINQ_JOURNAL_VERSION 1
#define SINQ_JOURNAL_NAME    "journal"

/* max_shard_bytes of what is one file. Beyond it there is no difference, and up to it the number passes through JSON exactly. */
#define SINQ_LARGEST_SHARD ((uint64_t)1 << 52)

/* What must be equal for a run to go on. */
struct sinq_journal_run {
    const char *program; /* its version */
    const char *fingerprint;
    uint64_t max_shard_bytes;
    uint64_t tensors;
};

struct sinq_journal_record {
    size_t index; /* in the plan */
    const char *name;
    size_t shard;
    uint64_t offset, bytes;
    struct sinq_hash checksum;
    const char *note; /* or NULL */
};

struct sinq_journal;

/* Reads the journal in a folder. SINQ_OK with *journal NULL where there is none, or not even its first line. */
int sinq_journal_open(int folder_fd, const char *folder, struct sinq_journal **journal, struct sinq_error *error);

/* Begins a journal, or begins it anew. Durable when it returns. */
int sinq_journal_create(int folder_fd, const char *folder, const struct sinq_journal_run *run,
                        struct sinq_journal **journal, struct sinq_error *error);

/* Fails with the reason where the journal was made by another run than this would be. */
int sinq_journal_match(const struct sinq_journal *journal, const struct sinq_journal_run *run,
                       struct sinq_error *error);

/* Tensors recorded in a journal that was opened, from the plan's first on without a gap. */
size_t sinq_journal_count(const struct sinq_journal *journal);
/* One of them; valid until the journal is closed. */
struct sinq_journal_record sinq_journal_record(const struct sinq_journal *journal, size_t index);

/* Forgets the records from `count` on. Only after opening. */
int sinq_journal_truncate(struct sinq_journal *journal, size_t count, struct sinq_error *error);

/* Appends records and syncs. After a failure the journal takes no more: what stands on disk is what it was before. */
int sinq_journal_append(struct sinq_journal *journal, const struct sinq_journal_record *records, size_t count,
                        struct sinq_error *error);

/* Takes the journal's file away; put back by sinq_journal_restore, from memory, as it was. */
int sinq_journal_remove(struct sinq_journal *journal, int folder_fd, struct sinq_error *error);
void sinq_journal_restore(struct sinq_journal *journal, int folder_fd);

void sinq_journal_close(struct sinq_journal *journal);

#endif
