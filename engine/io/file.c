/* io/file.c: regular files read at offsets, and files replaced whole or not at all.
 *
 *      open      PATH.PID-N.tmp made anew beside PATH (in the folder that PATH leads to, if it is a link)
 *      write     ... any number of times
 *      commit    fsync, rename onto PATH, fsync of the folder
 *
 * Always true: until the rename PATH is untouched, and after a failure the file beside is gone. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* realpath */
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

/* ---- reading --------------------------------------------------------------------------------------------------- */

dl_status dl_input_open(const char *path, dl_input *out) {
    *out = (dl_input){.fd = -1, .path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return dl_fail(errno == ENOENT ? DL_NOT_FOUND : DL_IO, "'%s' could not be opened: %s", path, strerror(errno));
    struct stat about;
    int failed = fstat(fd, &about);
    if (failed || !S_ISREG(about.st_mode)) {
        int error = errno;
        close(fd);
        return dl_fail(DL_IO, "'%s' could not be read: %s", path, failed ? strerror(error) : "it is no regular file");
    }
    out->fd = fd;
    out->size = (uint64_t)about.st_size;
    return DL_OK;
}

dl_status dl_input_read(const dl_input *input, uint64_t offset, void *to, size_t bytes) {
    char *at = to;
    while (bytes > 0) {
        ssize_t got = pread(input->fd, at, DL_MIN(bytes, (size_t)1 << 30), (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dl_fail(DL_IO, "'%s' could not be read: %s", input->path, strerror(errno));
        if (got == 0)
            return dl_fail(DL_IO, "'%s' could not be read: it became shorter meanwhile", input->path);
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return DL_OK;
}

void dl_input_close(dl_input *input) {
    if (input->fd >= 0)
        close(input->fd);
    input->fd = -1;
}

/* ---- replacing ------------------------------------------------------------------------------------------------- */

static dl_status fail_write(const dl_output *output, int error) {
    const char *advice = error == ENOSPC || error == EDQUOT || error == EFBIG ? "; make room, or save elsewhere" : "";
    return dl_fail(DL_IO, "'%s' could not be written: %s%s (what was there before is unchanged)", output->path,
                   strerror(error), advice);
}

/* The file that a path leads to, through links; the path itself where there is none yet. */
static char *follow_links(dl_context *context, const char *path) {
    char resolved[PATH_MAX];
    return dl_strdup(context, realpath(path, resolved) ? resolved : path);
}

/* Makes the file beside under a name that nobody has. */
static int create_beside(dl_output *output, size_t room) {
    for (int n = 0; n < 1000; n++) {
        snprintf(output->beside, room, "%s.%ld-%d.tmp", output->path, (long)getpid(), n);
        int fd = open(output->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static dl_status open_beside(dl_output *output) {
    struct stat old;
    bool exists = stat(output->path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode))
        return dl_fail(DL_IO, "'%s' could not be written: it is no regular file", output->path);
    size_t room = strlen(output->path) + 48;
    output->beside = dl_alloc(output->context, room);
    if (!output->beside)
        return DL_MEMORY;
    output->fd = create_beside(output, room);
    if (output->fd < 0)
        return fail_write(output, errno);
    if (exists && fchmod(output->fd, old.st_mode & 07777) != 0)
        return fail_write(output, errno);
    return DL_OK;
}

dl_status dl_output_open(dl_context *context, const char *path, dl_output *out) {
    *out = (dl_output){.context = context, .fd = -1};
    out->path = follow_links(context, path);
    dl_status status = out->path ? open_beside(out) : DL_MEMORY;
    if (status != DL_OK)
        dl_output_abandon(out);
    return status;
}

dl_status dl_output_write(dl_output *output, const void *bytes, size_t count) {
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(output->fd, at, DL_MIN(count, (size_t)1 << 30));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_write(output, written < 0 ? errno : ENOSPC);
        at += written;
        count -= (size_t)written;
    }
    return DL_OK;
}

int dl_sync_file(int fd) {
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS ? 0 : -1;
}

void dl_sync_folder(dl_context *context, const char *path) {
    char *folder = dl_strdup(context, path);
    if (!folder)
        return;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        dl_sync_file(fd);
        close(fd);
    }
    dl_free(folder);
}

/* Closes and frees; what is left beside is removed if there is anything. */
static void end_output(dl_output *output, bool remove) {
    if (output->fd >= 0) {
        close(output->fd);
        if (remove)
            unlink(output->beside);
    }
    dl_free(output->path);
    dl_free(output->beside);
    *output = (dl_output){.fd = -1};
}

void dl_output_abandon(dl_output *output) {
    end_output(output, true);
}

dl_status dl_output_commit(dl_output *output) {
    if (dl_sync_file(output->fd) != 0 || rename(output->beside, output->path) != 0) {
        dl_status status = fail_write(output, errno);
        end_output(output, true);
        return status;
    }
    dl_sync_folder(output->context, output->path);
    end_output(output, false);
    return DL_OK;
}

dl_status dl_write_file(dl_context *context, const char *path, const void *bytes, size_t length) {
    dl_output output;
    DL_TRY(dl_output_open(context, path, &output));
    dl_status status = dl_output_write(&output, bytes, length);
    if (status == DL_OK)
        return dl_output_commit(&output);
    dl_output_abandon(&output);
    return status;
}

dl_status dl_make_folders(dl_context *context, const char *path) {
    char *folder = dl_strdup(context, path);
    if (!folder)
        return DL_MEMORY;
    dl_status status = DL_OK;
    for (char *slash = strchr(folder + 1, '/'); *path && slash && status == DL_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            status = dl_fail(DL_IO, "the folder '%s' could not be made: %s", folder, strerror(errno));
        *slash = '/';
    }
    dl_free(folder);
    return status;
}
