/* dlua/io.h: files of tensors. Every size is checked against the file and the memory budget before anything is
 * allocated; nothing in a file is ever run. */
#ifndef DLUA_IO_H
#define DLUA_IO_H

#include "dlua/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Named tensors and text metadata, in the order of the file. */
typedef struct dl_bundle dl_bundle;
DL_API dl_status dl_bundle_create(dl_context *context, dl_bundle **out);
DL_API void dl_bundle_free(dl_bundle *bundle);
DL_API dl_status dl_bundle_put(dl_bundle *bundle, const char *name, dl_tensor *tensor); /* takes a reference */
DL_API dl_status dl_bundle_put_text(dl_bundle *bundle, const char *key, const char *text);
DL_API dl_tensor *dl_bundle_get(const dl_bundle *bundle, const char *name);             /* borrowed, NULL: none */
DL_API const char *dl_bundle_text(const dl_bundle *bundle, const char *key);            /* borrowed, NULL: none */
DL_API int64_t dl_bundle_count(const dl_bundle *bundle);
DL_API const char *dl_bundle_name(const dl_bundle *bundle, int64_t k, dl_tensor **tensor); /* borrowed */
DL_API const char *dl_bundle_key(const dl_bundle *bundle, int64_t k); /* of the texts; NULL past the end */

/* safetensors. Reading widens F16 and BF16 to float32; I8, I16, U16, U32 ... to the next wider dtype of ours or an
 * error that names the tensor. Writing goes to a file beside, which is synced and renamed. */
DL_API dl_status dl_load_safetensors(dl_context *context, const char *path, dl_bundle **out);
DL_API dl_status dl_save_safetensors(const dl_bundle *bundle, const char *path);

/* MNIST's idx format, plain or gzip (told apart by the content), big-endian. */
DL_API dl_status dl_load_idx(dl_context *context, const char *path, dl_tensor **out);
/* The same from bytes in memory. */
DL_API dl_status dl_parse_idx(dl_context *context, const void *bytes, size_t length, const char *name,
                              dl_tensor **out);

/* Replaces a file's content whole or not at all: written beside, synced, renamed, folder synced. */
DL_API dl_status dl_write_file(dl_context *context, const char *path, const void *bytes, size_t length);
/* Lower-case hex SHA-256 or MD5 of a file, as its publisher gives it (64 or 32 digits and a zero). */
DL_API dl_status dl_file_sha256(dl_context *context, const char *path, char hex[65]);
DL_API dl_status dl_file_md5(dl_context *context, const char *path, char hex[33]);

/* Told the bytes so far and in all (-1: not known) again and again; false cancels. */
typedef bool (*dl_progress)(void *user, int64_t done, int64_t total);
/* Fetches url (http or https) to path, whose folders are made. checksum: the hex SHA-256 or MD5 that it must have, or
 * NULL. What came of a broken download is kept in PATH.part and continued by the next call; path itself appears when
 * all is there and right. progress may be NULL. DL_IO without a connection, DL_FORMAT for a wrong checksum,
 * DL_UNSUPPORTED without libcurl: each message says what to do. */
DL_API dl_status dl_download(dl_context *context, const char *url, const char *path, const char *checksum,
                             dl_progress progress, void *user);

/* Makes the folders above a path, as far as they are missing. */
DL_API dl_status dl_make_folders(dl_context *context, const char *path);

#ifdef __cplusplus
}
#endif
#endif
