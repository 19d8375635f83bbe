/* Downloads from a small HTTP server in this program: whole, cut off, continued, wrong, refused, absent. */
#define _GNU_SOURCE
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "context.h"
#include "dlua/io.h"
#include "files.h"

enum { SIZE = 300000 };

/* What the server does with the next requests. */
typedef struct server {
    int listener, port;
    pthread_t thread;
    atomic_bool ends;
    atomic_int requests;
    atomic_int ranges;     /* requests with a Range */
    atomic_bool no_ranges; /* answers 200 and the whole */
    atomic_int cut_after;  /* bytes of the body; 0: none is missing */
    atomic_int code;       /* 0: as it should be */
    atomic_bool redirects; /* from /first to /file */
    atomic_bool wrong;     /* another content */
} server;

static server http;
static char content[SIZE];
static char sha256[65], md5[33];

static void send_all(int client, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(client, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void send_body(int client, long first, const char *status) {
    char head[300];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Length: %ld\r\nContent-Range: bytes %ld-%d/%d\r\n"
                          "Connection: close\r\n\r\n",
                          status, SIZE - first, first, SIZE - 1, SIZE);
    send_all(client, head, (size_t)length);
    int cut = atomic_load(&http.cut_after);
    size_t count = cut ? (size_t)cut : (size_t)(SIZE - first);
    if (atomic_load(&http.wrong)) {
        static char other[SIZE];
        memset(other, 'w', sizeof other);
        send_all(client, other + first, count);
    } else {
        send_all(client, content + first, count);
    }
}

static void answer(int client) {
    char request[4096];
    ssize_t got = recv(client, request, sizeof request - 1, 0);
    if (got <= 0)
        return;
    request[got] = '\0';
    atomic_fetch_add(&http.requests, 1);
    long first = 0;
    char *range = strstr(request, "Range: bytes=");
    if (range) {
        atomic_fetch_add(&http.ranges, 1);
        first = atol(range + strlen("Range: bytes="));
    }
    char head[200];
    if (atomic_load(&http.redirects) && strncmp(request, "GET /first ", 11) == 0) {
        snprintf(head, sizeof head,
                 "HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\nConnection: close\r\n"
                 "\r\n");
        send_all(client, head, strlen(head));
    } else if (atomic_load(&http.code)) {
        snprintf(head, sizeof head, "HTTP/1.1 %d No\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry",
                 atomic_load(&http.code));
        send_all(client, head, strlen(head));
    } else if (first >= SIZE) {
        const char *refusal = "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        send_all(client, refusal, strlen(refusal));
    } else if (range && !atomic_load(&http.no_ranges)) {
        send_body(client, first, "206 Partial Content");
    } else {
        send_body(client, 0, "200 OK");
    }
}

static void *serve(void *argument) {
    while (!atomic_load(&http.ends)) {
        int client = accept(http.listener, NULL, NULL);
        if (client < 0)
            continue;
        answer(client);
        shutdown(client, SHUT_WR);
        char rest[64];
        while (recv(client, rest, sizeof rest, 0) > 0)
            continue;
        close(client);
    }
    return argument;
}

static void start_server(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    http.listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ_INT(bind(http.listener, (struct sockaddr *)&address, size), 0);
    CHECK_EQ_INT(listen(http.listener, 8), 0);
    CHECK_EQ_INT(getsockname(http.listener, (struct sockaddr *)&address, &size), 0);
    http.port = ntohs(address.sin_port);
    atomic_store(&http.ends, false);
    CHECK_EQ_INT(pthread_create(&http.thread, NULL, serve, NULL), 0);
}

static void stop_server(void) {
    atomic_store(&http.ends, true);
    shutdown(http.listener, SHUT_RDWR); /* accept returns */
    pthread_join(http.thread, NULL);
    close(http.listener);
}

static void begin(void) {
    setenv("no_proxy", "*", 1);
    memset(&http, 0, sizeof http);
    for (int i = 0; i < SIZE; i++)
        content[i] = (char)(i * 7 + i / 251);
    begin_context();
    files_write(files_path("content"), content, SIZE);
    CHECK_EQ_INT(dl_file_sha256(context, files_path("content"), sha256), DL_OK);
    CHECK_EQ_INT(dl_file_md5(context, files_path("content"), md5), DL_OK);
    start_server();
}

static void end(void) {
    stop_server();
    end_context();
    files_end();
}

static dl_status fetch(const char *name, const char *checksum) {
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", http.port, name);
    return dl_download(context, url, files_path("got"), checksum, NULL, NULL);
}

static bool exists(const char *name) {
    return access(files_path(name), F_OK) == 0;
}

static void check_got(void) {
    long length;
    char *got = files_read(files_path("got"), &length);
    CHECK_EQ_INT(length, SIZE);
    CHECK(got && length == SIZE && memcmp(got, content, SIZE) == 0);
    CHECK(!exists("got.part"));
    free(got);
}

static void test_whole(void) {
    begin();
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    check_got();
    unlink(files_path("got"));
    CHECK_EQ_INT(fetch("file", md5), DL_OK);
    check_got();
    CHECK_EQ_INT(fetch("file", NULL), DL_OK);
    check_got();
    CHECK_EQ_INT(atomic_load(&http.ranges), 0);
    end();
}

static void test_folders_are_made(void) {
    begin();
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", http.port);
    CHECK_EQ_INT(dl_download(context, url, files_path("a/b/c"), sha256, NULL, NULL), DL_OK);
    CHECK(exists("a/b/c"));
    unlink(files_path("a/b/c"));
    rmdir(files_path("a/b"));
    rmdir(files_path("a"));
    end();
}

static void test_redirect(void) {
    begin();
    atomic_store(&http.redirects, true);
    CHECK_EQ_INT(fetch("first", sha256), DL_OK);
    check_got();
    end();
}

static void test_cut_off_and_continued(void) {
    begin();
    atomic_store(&http.cut_after, 100000);
    CHECK_EQ_INT(fetch("file", sha256), DL_IO);
    CHECK_CONTAINS(dl_last_error(), "the connection broke off");
    CHECK_CONTAINS(dl_last_error(), "try again, it goes on where it stopped");
    CHECK(!exists("got"));
    CHECK(exists("got.part"));
    atomic_store(&http.cut_after, 0);
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    check_got();
    CHECK_EQ_INT(atomic_load(&http.ranges), 1);
    end();
}

static void test_server_without_ranges(void) {
    begin();
    files_write(files_path("got.part"), content, 1000);
    atomic_store(&http.no_ranges, true);
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    check_got();
    end();
}

/* What was there before belongs to another file: all comes anew, by itself. */
static void test_foreign_part(void) {
    begin();
    files_write(files_path("got.part"), "something else", 14);
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    check_got();
    CHECK_EQ_INT(atomic_load(&http.requests), 2);
    end();
}

static void test_complete_part(void) {
    begin();
    files_write(files_path("got.part"), content, SIZE);
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    check_got();
    char *longer = calloc(1, SIZE + 10);
    files_write(files_path("got.part"), longer, SIZE + 10);
    free(longer);
    CHECK_EQ_INT(fetch("file", NULL), DL_OK);
    check_got();
    end();
}

static void test_wrong_bytes(void) {
    begin();
    atomic_store(&http.wrong, true);
    CHECK_EQ_INT(fetch("file", sha256), DL_FORMAT);
    CHECK_CONTAINS(dl_last_error(), "is not what its publisher describes: its checksum is ");
    CHECK_CONTAINS(dl_last_error(), sha256);
    CHECK_CONTAINS(dl_last_error(), "fetch it by other means and put it at '");
    CHECK(!exists("got"));
    CHECK(!exists("got.part"));
    CHECK_EQ_INT(fetch("file", "123"), DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "argument 'checksum' must be 64 hexadecimal digits");
    end();
}

static void test_refused(void) {
    begin();
    files_write(files_path("got.part"), content, 1000);
    atomic_store(&http.code, 404);
    CHECK_EQ_INT(fetch("file", sha256), DL_IO);
    CHECK_CONTAINS(dl_last_error(), "the server answered 404; check the address");
    CHECK(exists("got.part"));
    CHECK_EQ_INT(dl_download(context, "file:///etc/passwd", files_path("got"), NULL, NULL, NULL), DL_IO);
    CHECK(!exists("got"));
    end();
}

static void test_no_server(void) {
    begin();
    int port = http.port;
    stop_server();
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", port);
    CHECK_EQ_INT(dl_download(context, url, files_path("got"), sha256, NULL, NULL), DL_IO);
    CHECK_CONTAINS(dl_last_error(), "check the connection to the network; or fetch it by other means and put it at '");
    start_server();
    end();
}

/* Stands before the C library's: another process finishes its download between our opening and our locking. */
static atomic_bool part_goes;
int flock(int fd, int operation) {
    if (atomic_exchange(&part_goes, false))
        rename(files_path("got.part"), files_path("taken"));
    return (int)syscall(SYS_flock, fd, operation);
}

static void test_part_renamed_before_the_lock(void) {
    begin();
    files_write(files_path("got.part"), content, 1000);
    atomic_store(&part_goes, true);
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    CHECK(!atomic_load(&part_goes));
    check_got();
    long length;
    char *taken = files_read(files_path("taken"), &length);
    CHECK_EQ_INT(length, 1000);
    free(taken);
    end();
}

static void test_another_process(void) {
    begin();
    int fd = open(files_path("got.part"), O_RDWR | O_CREAT, 0600);
    CHECK_EQ_INT(flock(fd, LOCK_EX), 0);
    CHECK_EQ_INT(fetch("file", sha256), DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "is being fetched by another process");
    close(fd);
    end();
}

typedef struct seen {
    int64_t done, total;
    int calls;
    bool stops;
} seen;

static bool see(void *user, int64_t done, int64_t total) {
    seen *self = user;
    CHECK(done >= self->done);
    self->done = done;
    self->total = total;
    self->calls++;
    return !self->stops;
}

static void test_progress_and_cancel(void) {
    begin();
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", http.port);
    files_write(files_path("got.part"), content, 1000);
    seen self = {0};
    CHECK_EQ_INT(dl_download(context, url, files_path("got"), sha256, see, &self), DL_OK);
    CHECK_EQ_INT(self.done, SIZE);
    CHECK_EQ_INT(self.total, SIZE);
    unlink(files_path("got"));
    self = (seen){.stops = true};
    CHECK_EQ_INT(dl_download(context, url, files_path("got"), sha256, see, &self), DL_CANCELLED);
    CHECK_EQ_INT(self.calls, 1);
    dl_cancel(context);
    CHECK_EQ_INT(fetch("file", sha256), DL_CANCELLED);
    CHECK(!exists("got"));
    CHECK_EQ_INT(fetch("file", sha256), DL_OK);
    check_got();
    end();
}

CHECK_MAIN(CHECK_TEST(test_whole), CHECK_TEST(test_folders_are_made), CHECK_TEST(test_redirect),
           CHECK_TEST(test_cut_off_and_continued), CHECK_TEST(test_server_without_ranges),
           CHECK_TEST(test_foreign_part), CHECK_TEST(test_complete_part), CHECK_TEST(test_wrong_bytes),
           CHECK_TEST(test_refused), CHECK_TEST(test_no_server), CHECK_TEST(test_another_process),
           CHECK_TEST(test_part_renamed_before_the_lock),
           CHECK_TEST(test_progress_and_cancel))
