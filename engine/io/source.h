/* io/source.h: a stream of bytes from a file or from memory, unpacked on the way if it is gzip (told apart by its first
 * two bytes). Used from the start to the end, once. */
#ifndef DL_IO_SOURCE_H
#define DL_IO_SOURCE_H

#include <zlib.h>

#include "base/base.h"
#include "io/file.h"

typedef struct dl_source {
    dl_context *context;
    const char *name;     /* for messages; borrowed */
    dl_input file;        /* not open for memory */
    const uint8_t *bytes; /* of memory */
    uint64_t size;        /* of file or memory, as stored */
    uint64_t at;          /* how much of it was taken */
    bool packed;
    bool ended; /* packed: the last member's end was seen */
    z_stream unpacker;
    uint8_t *chunk; /* packed bytes of the file */
} dl_source;

dl_status dl_source_open_file(dl_context *context, const char *path, dl_source *out);
dl_status dl_source_open_memory(dl_context *context, const void *bytes, size_t length, const char *name,
                                dl_source *out);
/* Fills `to` with count bytes; *got is less only at the end. */
dl_status dl_source_read(dl_source *source, void *to, size_t count, size_t *got);
/* The most bytes that may still come: exact unless packed, where it is what deflate could make of the rest. */
uint64_t dl_source_at_most(const dl_source *source);
void dl_source_close(dl_source *source);

#endif
