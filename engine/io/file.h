/* io/file.h: reading files and replacing them whole, for the formats of this layer. Every message names the file. */
#ifndef DL_IO_FILE_H
#define DL_IO_FILE_H

#include "base/base.h"
#include "dlua/io.h"

/* A regular file open for reading. */
typedef struct dl_input {
    int fd; /* -1: not open */
    uint64_t size;
    const char *path; /* borrowed */
} dl_input;

/* DL_NOT_FOUND if there is no such file, DL_IO else. */
dl_status dl_input_open(const char *path, dl_input *out);
/* Reads exactly bytes at an offset: a file that became shorter is an error. */
dl_status dl_input_read(const dl_input *input, uint64_t offset, void *to, size_t bytes);
void dl_input_close(dl_input *input);

/* A file that is being written beside the one it will replace. */
typedef struct dl_output {
    dl_context *context;
    int fd; /* -1: not open */
    char *path;
    char *beside;
} dl_output;

dl_status dl_output_open(dl_context *context, const char *path, dl_output *out);
dl_status dl_output_write(dl_output *output, const void *bytes, size_t count);
/* Syncs, renames, syncs the folder, and closes. On failure, as after dl_output_abandon, the old file stays. */
dl_status dl_output_commit(dl_output *output);
void dl_output_abandon(dl_output *output);

/* fsync, where the file system knows it; 0 or -1 with errno. */
int dl_sync_file(int fd);
/* Makes a rename in the folder of path last through a crash. */
void dl_sync_folder(dl_context *context, const char *path);

#endif
