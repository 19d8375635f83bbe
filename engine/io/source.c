/* io/source.c: bytes of a file or of memory, plain or gzip, as one stream. The unpacker's memory is the context's. */
#include <string.h>

#include "io/source.h"

enum { CHUNK = 1 << 16 };

/* Takes up to count stored bytes. */
static dl_status take_stored(dl_source *source, void *to, size_t count, size_t *got) {
    *got = (size_t)DL_MIN((uint64_t)count, source->size - source->at);
    if (*got == 0)
        return DL_OK;
    if (source->bytes)
        memcpy(to, source->bytes + source->at, *got);
    else
        DL_TRY(dl_input_read(&source->file, source->at, to, *got));
    source->at += *got;
    return DL_OK;
}

static voidpf take_memory(voidpf context, uInt items, uInt size) {
    return dl_alloc_array(context, items, size);
}

static void free_memory(voidpf context, voidpf block) {
    (void)context;
    dl_free(block);
}

static dl_status begin_unpacking(dl_source *source) {
    source->chunk = dl_alloc(source->context, CHUNK);
    if (!source->chunk)
        return DL_MEMORY;
    source->unpacker = (z_stream){.zalloc = take_memory, .zfree = free_memory, .opaque = source->context};
    if (inflateInit2(&source->unpacker, 16 + MAX_WBITS) != Z_OK) /* 16: gzip's header and checksum */
        return dl_fail(DL_MEMORY, "out of memory: '%s' could not be unpacked", source->name);
    source->packed = true;
    return DL_OK;
}

static dl_status begin(dl_source *source) {
    uint8_t magic[2];
    size_t got;
    DL_TRY(take_stored(source, magic, sizeof magic, &got));
    source->at = 0;
    bool packed = got == 2 && magic[0] == 0x1F && magic[1] == 0x8B;
    return packed ? begin_unpacking(source) : DL_OK;
}

dl_status dl_source_open_file(dl_context *context, const char *path, dl_source *out) {
    *out = (dl_source){.context = context, .name = path, .file = {.fd = -1}};
    dl_status status = dl_input_open(path, &out->file);
    out->size = out->file.size;
    if (status == DL_OK)
        status = begin(out);
    if (status != DL_OK)
        dl_source_close(out);
    return status;
}

dl_status dl_source_open_memory(dl_context *context, const void *bytes, size_t length, const char *name,
                                dl_source *out) {
    *out = (dl_source){.context = context, .name = name, .file = {.fd = -1}, .bytes = bytes, .size = length};
    dl_status status = length ? begin(out) : DL_OK;
    if (status != DL_OK)
        dl_source_close(out);
    return status;
}

static dl_status refill(dl_source *source) {
    size_t got;
    DL_TRY(take_stored(source, source->chunk, CHUNK, &got));
    source->unpacker.next_in = source->chunk;
    source->unpacker.avail_in = (uInt)got;
    return got ? DL_OK : dl_fail(DL_FORMAT, "'%s' is cut off: its gzip data ends too soon", source->name);
}

/* After the end of a member: the file ends, or another member begins (as `cat a.gz b.gz` makes them). */
static dl_status end_member(dl_source *source) {
    if (source->unpacker.avail_in == 0 && source->at == source->size) {
        source->ended = true;
        return DL_OK;
    }
    return inflateReset(&source->unpacker) == Z_OK ? DL_OK
                                                   : dl_fail(DL_STATE, "'%s' could not be unpacked", source->name);
}

static dl_status unpack(dl_source *source, uint8_t *to, size_t count, size_t *got) {
    *got = 0;
    while (*got < count && !source->ended) {
        if (source->unpacker.avail_in == 0)
            DL_TRY(refill(source));
        uInt room = (uInt)DL_MIN(count - *got, (size_t)1 << 30);
        source->unpacker.next_out = to + *got;
        source->unpacker.avail_out = room;
        int result = inflate(&source->unpacker, Z_NO_FLUSH);
        *got += room - source->unpacker.avail_out;
        if (result == Z_STREAM_END)
            DL_TRY(end_member(source));
        else if (result == Z_MEM_ERROR)
            return dl_fail(DL_MEMORY, "out of memory: '%s' could not be unpacked", source->name);
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return dl_fail(DL_FORMAT, "'%s' is damaged: its gzip data is not valid (%s)", source->name,
                           source->unpacker.msg ? source->unpacker.msg : "no dictionary");
    }
    return DL_OK;
}

dl_status dl_source_read(dl_source *source, void *to, size_t count, size_t *got) {
    return source->packed ? unpack(source, to, count, got) : take_stored(source, to, count, got);
}

/* Deflate packs at most 258 bytes into two bits. */
uint64_t dl_source_at_most(const dl_source *source) {
    uint64_t left = source->size - source->at;
    if (!source->packed)
        return left;
    left += source->unpacker.avail_in;
    uint64_t most;
    return __builtin_mul_overflow(left, 1032, &most) ? UINT64_MAX : most + CHUNK;
}

void dl_source_close(dl_source *source) {
    if (source->packed)
        inflateEnd(&source->unpacker);
    source->packed = false;
    dl_free(source->chunk);
    source->chunk = NULL;
    dl_input_close(&source->file);
}
