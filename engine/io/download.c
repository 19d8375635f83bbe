/* io/download.c: fetching a file over HTTP, verified and whole.
 *
 *      PATH.part   what has come so far; a further attempt continues it (Range), and one process at a time writes it
 *      PATH        appears by a rename, after everything came and the checksum was right
 *
 * libcurl is loaded at the first download: a program that downloads nothing does not pay for it at its start. Always
 * true: PATH is never there in part, and a cut connection leaves PATH.part for the next attempt. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>

#include "io/file.h"

#ifdef DLUA_DOWNLOADS

#include <curl/curl.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- libcurl --------------------------------------------------------------------------------------------------- */

/* X(name): the functions of libcurl that are used. */
#define CURL_FUNCTIONS(X)                                                                                              \
    X(curl_global_init)                                                                                                \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_perform)                                                                                               \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_easy_cleanup)

/* libcurl.h makes macros of some of these, to check the arguments. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

static struct {
    bool loaded;
#define X(name) __typeof__(&name) name;
    CURL_FUNCTIONS(X)
#undef X
} curl;

static void load_curl(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    curl.loaded = true;
#define X(name)                                                                                                        \
    curl.name = (__typeof__(&name))dlsym(library, #name);                                                              \
    curl.loaded = curl.loaded && curl.name;
    CURL_FUNCTIONS(X)
#undef X
    if (curl.loaded)
        curl.loaded = curl.curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* ---- one download ---------------------------------------------------------------------------------------------- */

typedef struct download {
    dl_context *context;
    const char *url, *path, *checksum;
    dl_progress progress;
    void *user;
    CURL *handle;
    char *part;       /* PATH.part */
    int fd;           /* of it; -1: not open */
    int64_t had;      /* bytes of it before this request */
    bool answered;    /* the first bytes of a good answer came */
    int write_error;  /* errno of a failed write */
    dl_status status; /* of a poll that ended the transfer */
    char curl_error[CURL_ERROR_SIZE];
} download;

/* How to go on without this download. */
static dl_status fail_download(const download *of, dl_status status, const char *what) {
    return dl_fail(status, "'%s' could not be fetched: %s; or fetch it by other means and put it at '%s'", of->url,
                   what, of->path);
}

static dl_status fail_disk(const download *of, int error) {
    return dl_fail(DL_IO, "'%s' could not be written: %s; what came so far is kept for the next attempt", of->part,
                   strerror(error));
}

/* False if the file that was opened at the path has another name by now, or none. */
static bool is_file_of(int fd, const char *path) {
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Opens PATH.part and locks it. Another process may finish, and rename or remove the file, between the two: what is
 * locked then is its PATH, so the opening begins again. */
static dl_status open_part(download *of) {
    size_t size = strlen(of->path) + sizeof ".part";
    of->part = dl_alloc(of->context, size);
    if (!of->part)
        return DL_MEMORY;
    snprintf(of->part, size, "%s.part", of->path);
    for (;;) {
        of->fd = open(of->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (of->fd < 0)
            return fail_disk(of, errno);
        if (flock(of->fd, LOCK_EX | LOCK_NB) != 0)
            return dl_fail(DL_STATE, "'%s' is being fetched by another process; wait for it", of->path);
        if (is_file_of(of->fd, of->part))
            return DL_OK;
        close(of->fd);
    }
}

/* 206 continues what is there; another good answer begins anew. */
static bool take_answer(download *of) {
    long code = 0;
    curl.curl_easy_getinfo(of->handle, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206)
        return false;
    if (code == 200)
        of->had = 0;
    of->answered = true;
    if (ftruncate(of->fd, of->had) != 0 || lseek(of->fd, of->had, SEEK_SET) < 0)
        of->write_error = errno;
    return of->write_error == 0;
}

/* Fewer bytes taken than given end the transfer. */
static size_t take_bytes(char *bytes, size_t size, size_t count, void *user) {
    download *of = user;
    size_t length = size * count, done = 0;
    if (!of->answered && !take_answer(of))
        return length ? 0 : 1;
    while (done < length) {
        ssize_t written = write(of->fd, bytes + done, length - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            of->write_error = written < 0 ? errno : ENOSPC;
            return 0;
        }
        done += (size_t)written;
    }
    return length;
}

static int note_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
    (void)up_total;
    (void)up_now;
    download *of = user;
    of->status = dl_poll(of->context);
    if (of->status == DL_OK && of->progress && of->answered &&
        !of->progress(of->user, of->had + now, total > 0 ? of->had + total : -1))
        of->status = dl_fail(DL_CANCELLED, "cancelled");
    return of->status != DL_OK;
}

static void set_options(download *of) {
    CURL *handle = of->handle;
    curl.curl_easy_setopt(handle, CURLOPT_URL, of->url);
    curl.curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl.curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
    curl.curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 10L);
    curl.curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(handle, CURLOPT_USERAGENT, "dlua/" DL_VERSION);
    curl.curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 30L);
    curl.curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L); /* a minute without a byte ends it */
    curl.curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, 60L);
    curl.curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, of->curl_error);
    curl.curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_bytes);
    curl.curl_easy_setopt(handle, CURLOPT_WRITEDATA, of);
    curl.curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, note_progress);
    curl.curl_easy_setopt(handle, CURLOPT_XFERINFODATA, of);
    curl.curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
}

static dl_status explain_failure(const download *of, CURLcode result, long code) {
    if (of->status != DL_OK)
        return of->status;
    if (of->write_error)
        return fail_disk(of, of->write_error);
    char what[CURL_ERROR_SIZE + 200];
    const char *reason = of->curl_error[0] ? of->curl_error : curl.curl_easy_strerror(result);
    if (!of->answered && code >= 300)
        snprintf(what, sizeof what, "the server answered %ld; check the address", code);
    else if (of->answered)
        snprintf(what, sizeof what, "the connection broke off (%s); try again, it goes on where it stopped", reason);
    else
        snprintf(what, sizeof what, "%s; check the connection to the network", reason);
    return fail_download(of, DL_IO, what);
}

/* One request for what PATH.part lacks. *complete is set if the server says that nothing is missing (416). */
static dl_status request(download *of, bool *complete) {
    struct stat about;
    if (fstat(of->fd, &about) != 0)
        return fail_disk(of, errno);
    of->had = about.st_size;
    of->answered = false;
    of->curl_error[0] = '\0';
    char range[32];
    snprintf(range, sizeof range, "%" PRId64 "-", of->had);
    curl.curl_easy_setopt(of->handle, CURLOPT_RANGE, of->had > 0 ? range : NULL);
    CURLcode result = curl.curl_easy_perform(of->handle);
    long code = 0;
    curl.curl_easy_getinfo(of->handle, CURLINFO_RESPONSE_CODE, &code);
    *complete = code == 416 && of->had > 0;
    if (*complete)
        return DL_OK;
    if (result != CURLE_OK || code < 200 || code >= 300)
        return explain_failure(of, result, code);
    if (!of->answered && !take_answer(of)) /* an empty file: no byte came */
        return fail_disk(of, of->write_error ? of->write_error : EIO);
    return DL_OK;
}

/* Sets *right; DL_OK whichever way it comes out. */
static dl_status verify(const download *of, char hex[65], bool *right) {
    *right = true;
    if (!of->checksum)
        return DL_OK;
    if (strlen(of->checksum) == 32)
        DL_TRY(dl_file_md5(of->context, of->part, hex));
    else
        DL_TRY(dl_file_sha256(of->context, of->part, hex));
    *right = strcasecmp(hex, of->checksum) == 0;
    return DL_OK;
}

/* Fetches until the checksum is right. Bytes that were there before may belong to another file: then all is fetched
 * anew, once. */
static dl_status fetch_verified(download *of) {
    for (;;) {
        struct stat about;
        bool continued = fstat(of->fd, &about) == 0 && about.st_size > 0;
        bool complete, right;
        char hex[65];
        DL_TRY(request(of, &complete));
        continued = continued && (complete || of->had > 0);
        DL_TRY(verify(of, hex, &right));
        if (right && !(complete && !of->checksum))
            return DL_OK;
        if (ftruncate(of->fd, 0) != 0)
            return fail_disk(of, errno);
        if (continued)
            continue;
        unlink(of->part);
        return dl_fail(DL_FORMAT,
                       "'%s' is not what its publisher describes: its checksum is %s, and %s is right; what "
                       "came was removed. Try again later, or fetch it by other means and put it at '%s'",
                       of->url, hex, of->checksum, of->path);
    }
}

static dl_status run_download(download *of) {
    DL_TRY(dl_make_folders(of->context, of->path));
    DL_TRY(open_part(of));
    of->handle = curl.curl_easy_init();
    if (!of->handle)
        return dl_fail(DL_MEMORY, "out of memory: a download could not be begun");
    set_options(of);
    DL_TRY(fetch_verified(of));
    if (dl_sync_file(of->fd) != 0 || rename(of->part, of->path) != 0)
        return fail_disk(of, errno);
    dl_sync_folder(of->context, of->path);
    return DL_OK;
}

static bool is_checksum(const char *text) {
    size_t length = strlen(text), digits = 0;
    while (isxdigit((unsigned char)text[digits]))
        digits++;
    return digits == length && (length == 32 || length == 64);
}

dl_status dl_download(dl_context *context, const char *url, const char *path, const char *checksum,
                      dl_progress progress, void *user) {
    if (checksum && !is_checksum(checksum))
        return dl_fail(DL_INVALID,
                       "download: argument 'checksum' must be 64 hexadecimal digits (SHA-256) or 32 (MD5) "
                       "(got '%.100s')",
                       checksum);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_curl);
    if (!curl.loaded)
        return dl_fail(DL_UNSUPPORTED,
                       "'%s' could not be fetched: the library libcurl.so.4 is not installed "
                       "(apt-get install libcurl4); or fetch it by other means and put it at '%s'",
                       url, path);
    download of = {.context = context,
                   .url = url,
                   .path = path,
                   .checksum = checksum,
                   .progress = progress,
                   .user = user,
                   .fd = -1};
    dl_status status = run_download(&of);
    if (of.handle)
        curl.curl_easy_cleanup(of.handle);
    if (of.fd >= 0)
        close(of.fd);
    dl_free(of.part);
    return status;
}

#else

dl_status dl_download(dl_context *context, const char *url, const char *path, const char *checksum,
                      dl_progress progress, void *user) {
    (void)context;
    (void)checksum;
    (void)progress;
    (void)user;
    return dl_fail(DL_UNSUPPORTED,
                   "'%s' could not be fetched: this build of dlua has no downloads (DLUA_DOWNLOADS is "
                   "off); fetch it by other means and put it at '%s'",
                   url, path);
}

#endif
