/* Replacing files whole or not at all, and checksums. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "context.h"
#include "dlua/io.h"
#include "files.h"

static void end(void) {
    end_context();
    files_end();
}

static void check_content(const char *path, const char *want) {
    long length;
    char *content = files_read(path, &length);
    CHECK_STR(content, want);
    free(content);
}

static void test_write_and_replace(void) {
    begin_context();
    const char *path = files_path("a");
    CHECK_EQ_INT(dl_write_file(context, path, "one", 3), DL_OK);
    check_content(path, "one");
    CHECK_EQ_INT(chmod(path, 0640), 0);
    CHECK_EQ_INT(dl_write_file(context, path, "second", 6), DL_OK);
    check_content(path, "second");
    struct stat about;
    CHECK_EQ_INT(stat(path, &about), 0);
    CHECK_EQ_INT(about.st_mode & 0777, 0640);
    CHECK_EQ_INT(dl_write_file(context, path, "", 0), DL_OK);
    check_content(path, "");
    CHECK_EQ_INT(files_count(), 1);
    end();
}

static void test_links_are_followed(void) {
    begin_context();
    const char *target = files_path("target"), *link = files_path("link");
    files_write(target, "old", 3);
    CHECK_EQ_INT(symlink(target, link), 0);
    CHECK_EQ_INT(dl_write_file(context, link, "new", 3), DL_OK);
    check_content(target, "new");
    struct stat about;
    CHECK_EQ_INT(lstat(link, &about), 0);
    CHECK(S_ISLNK(about.st_mode));
    end();
}

static void test_places_that_cannot_be(void) {
    begin_context();
    CHECK_EQ_INT(dl_write_file(context, files_path("no/such/folder"), "x", 1), DL_IO);
    CHECK_CONTAINS(dl_last_error(), "no/such/folder' could not be written: No such file or directory");
    CHECK_EQ_INT(dl_write_file(context, "/dev/null", "x", 1), DL_IO);
    CHECK_CONTAINS(dl_last_error(), "no regular file");
    CHECK_EQ_INT(dl_write_file(context, files_path("."), "x", 1), DL_IO);
    char hex[65];
    CHECK_EQ_INT(dl_file_sha256(context, files_path("none"), hex), DL_NOT_FOUND);
    CHECK_CONTAINS(dl_last_error(), "none' could not be opened: No such file or directory");
    CHECK_EQ_INT(dl_file_sha256(context, files_path("."), hex), DL_IO);
    CHECK_STR(hex, "");
    end();
}

/* What the child of a full disk finds: the save fails cleanly and the old file stays. */
static int save_past_the_limit(const char *path) {
    struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    char bytes[20000];
    memset(bytes, 'b', sizeof bytes);
    dl_status status = dl_write_file(context, path, bytes, sizeof bytes);
    return status == DL_IO &&
                   strstr(dl_last_error(), "make room, or save elsewhere (what was there before is unchanged)")
               ? 0
               : 1;
}

static void test_too_large_for_the_limit(void) {
    begin_context();
    const char *path = files_path("a");
    files_write(path, "old", 3);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(save_past_the_limit(path));
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ_INT(status, 0);
    check_content(path, "old");
    CHECK_EQ_INT(files_count(), 1);
    end();
}

/* A real full disk, where the machine lets a test mount a small one. */
static void test_full_disk(void) {
    begin_context();
    const char *disk = files_path("disk");
    CHECK_EQ_INT(mkdir(disk, 0700), 0);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=64k") == 0) {
        const char *path = files_path("disk/a");
        CHECK_EQ_INT(dl_write_file(context, path, "old", 3), DL_OK);
        static char bytes[200000];
        CHECK_EQ_INT(dl_write_file(context, path, bytes, sizeof bytes), DL_IO);
        CHECK_CONTAINS(dl_last_error(), "No space left on device; make room, or save elsewhere");
        check_content(path, "old");
        CHECK_EQ_INT(dl_write_file(context, path, "new", 3), DL_OK);
        check_content(path, "new");
        CHECK_EQ_INT(umount(disk), 0);
    }
    rmdir(disk);
    end();
}

static void test_out_of_memory(void) {
    begin_context();
    const char *path = files_path("a");
    files_write(path, "old", 3);
    dl_status status = DL_MEMORY;
    int failures = 0;
    for (uint64_t nth = 1; status == DL_MEMORY; nth++) {
        dl_memory_fail_at(context, nth);
        status = dl_write_file(context, path, "new", 3);
        dl_memory_fail_at(context, 0);
        check_content(path, status == DL_OK ? "new" : "old");
        CHECK_EQ_INT(files_count(), 1);
        failures += status != DL_OK;
    }
    CHECK_EQ_INT(status, DL_OK);
    CHECK(failures >= 2);
    end();
}

/* ---- checksums ------------------------------------------------------------------------------------------------- */

static void check_digests(const char *content, size_t length, const char *sha256, const char *md5) {
    const char *path = files_path("sum");
    files_write(path, content, length);
    char hex[65];
    CHECK_EQ_INT(dl_file_sha256(context, path, hex), DL_OK);
    CHECK_STR(hex, sha256);
    CHECK_EQ_INT(dl_file_md5(context, path, hex), DL_OK);
    CHECK_STR(hex, md5);
}

/* The examples of FIPS 180-4 and RFC 1321, and lengths around a block. */
static void test_digests(void) {
    begin_context();
    check_digests("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                  "d41d8cd98f00b204e9800998ecf8427e");
    check_digests("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                  "900150983cd24fb0d6963f7d28e17f72");
    const char *longer = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check_digests(longer, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
                  "8215ef0796a20bcaaae116d3876c664a");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    check_digests(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
                  "7707d6ae4e027c70eea2a935c2296f21");
    check_digests(million, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb",
                  "014842d480b571495a4a0363793f7367");
    free(million);
    end();
}

CHECK_MAIN(CHECK_TEST(test_write_and_replace), CHECK_TEST(test_links_are_followed),
           CHECK_TEST(test_places_that_cannot_be), CHECK_TEST(test_too_large_for_the_limit), CHECK_TEST(test_full_disk),
           CHECK_TEST(test_out_of_memory), CHECK_TEST(test_digests))
