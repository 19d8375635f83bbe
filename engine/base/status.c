/* base/status.c: the names of the status codes and each thread's last failure. The message is always a terminated text,
 * cut where it does not fit. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

#define MESSAGE_SIZE 2048

static _Thread_local char message[MESSAGE_SIZE];
static _Thread_local dl_status last_status;

typedef struct row {
    const char *name;
    const char *meaning;
} row;

static const row rows[] = {
#define X(name, meaning) {"DL_" #name, meaning},
    DL_STATUS_TABLE(X)
#undef X
};

static const row *row_of(dl_status status) {
    static const row unknown = {"DL_UNKNOWN", "an unknown status code"};
    return (size_t)status < sizeof rows / sizeof rows[0] ? &rows[status] : &unknown;
}

const char *dl_status_name(dl_status status) {
    return row_of(status)->name;
}

const char *dl_status_meaning(dl_status status) {
    return row_of(status)->meaning;
}

const char *dl_last_error(void) {
    return message;
}

dl_status dl_last_status(void) {
    return last_status;
}

/* The text is made aside first: the old message may be one of the arguments. */
dl_status dl_fail(dl_status status, const char *format, ...) {
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, sizeof text);
    last_status = status;
    return status;
}

dl_status dl_fail_prefix(const char *format, ...) {
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= MESSAGE_SIZE - 3)
        return last_status;
    size_t room = sizeof text - (size_t)length - 3; /* after "PREFIX: ", the terminator counted out */
    size_t rest = strnlen(message, room);
    memcpy(text + length, ": ", 2);
    memcpy(text + length + 2, message, rest);
    text[(size_t)length + 2 + rest] = '\0';
    memcpy(message, text, (size_t)length + 3 + rest);
    return last_status;
}

void dl_clear_error(void) {
    message[0] = '\0';
    last_status = DL_OK;
}
