/* file.h: reading and writing files with every result checked. Messages name the file. */
#ifndef SINQ_BASE_FILE_H
#define SINQ_BASE_FILE_H

#include "sinq.h"

/* Exactly `size` bytes at `offset`; a shorter file is an error. Thread safe. */
int sinq_read_at(int fd, const char *path, uint64_t offset, uint64_t size, void *out, struct sinq_error *error);

/* All `size` bytes at `offset`. */
int sinq_write_at(int fd, const char *path, uint64_t offset, uint64_t size, const void *data, struct sinq_error *error);

/* A regular file of at most `limit` bytes, whole; *data is malloc'ed with a NUL behind it. */
int sinq_read_file(const char *path, uint64_t limit, char **data, size_t *size, struct sinq_error *error);

/* Opens a regular file for reading (no FIFO, no device, never blocks) and reports its size. */
int sinq_open_file(const char *path, int *fd, uint64_t *size, struct sinq_error *error);

/* fsync of a directory, so that a rename in it survives a crash. */
int sinq_sync_directory(const char *path, struct sinq_error *error);

/* "folder/name", malloc'ed; NULL when out of memory. */
char *sinq_join_path(const char *folder, const char *name);

#endif
