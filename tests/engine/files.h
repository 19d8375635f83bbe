/* Files for tests: a folder of its own, whole files read and written by the C library alone. */
#ifndef DLUA_TESTS_FILES_H
#define DLUA_TESTS_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char files_folder[256];

/* FOLDER/NAME, in one of a few buffers that take turns; the folder is made at the first call. */
static inline const char *files_path(const char *name) {
    static char paths[8][512];
    static int next;
    if (!files_folder[0]) {
        const char *temporary = getenv("TMPDIR");
        snprintf(files_folder, sizeof files_folder, "%s/dlua_test_XXXXXX", temporary ? temporary : "/tmp");
        if (!mkdtemp(files_folder))
            perror("mkdtemp");
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", files_folder, name);
    return path;
}

static inline void files_write(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length)
        perror(path);
    if (file)
        fclose(file);
}

/* The whole content, to be freed; *length -1 and NULL if there is no such file. */
static inline char *files_read(const char *path, long *length) {
    *length = -1;
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *length = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t)*length + 1);
    if (fread(bytes, 1, (size_t)*length, file) != (size_t)*length)
        perror(path);
    bytes[*length] = '\0';
    fclose(file);
    return bytes;
}

static inline int files_count(void) {
    int count = 0;
    DIR *folder = opendir(files_path("."));
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

/* Removes the folder and the files in it. */
static inline void files_end(void) {
    DIR *folder = files_folder[0] ? opendir(files_folder) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlink(files_path(entry->d_name));
    if (folder)
        closedir(folder);
    rmdir(files_folder);
    files_folder[0] = '\0';
}

#endif
