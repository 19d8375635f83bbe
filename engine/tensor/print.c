/* tensor/print.c: tensors as text, laid out as PyTorch lays them out: four digits, one width for all elements, rows
 * wrapped at 80 columns, tensors of more than 1000 elements summarized to 3 at each edge. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

enum { THRESHOLD = 1000, EDGE = 3, COLUMNS = 80, ELEMENT_TEXT = 64 };

typedef struct printer {
    const dl_tensor *tensor;
    bool summarize;
    bool scientific;
    bool whole; /* all finite values are whole numbers: "1." */
    int width;
    char *text;
    size_t used, capacity;
    dl_status status;
} printer;

/* Room for `length` characters more and the zero at the end. */
static bool grow(printer *p, size_t length) {
    size_t capacity = 2 * p->capacity + length + 512;
    char *larger = dl_realloc(p->tensor->context, p->text, capacity);
    if (!larger) {
        p->status = DL_MEMORY;
        return false;
    }
    p->text = larger;
    p->capacity = capacity;
    return true;
}

static void append(printer *p, const char *format, ...) DL_PRINTF(2, 3);
static void append(printer *p, const char *format, ...) {
    if (p->status != DL_OK)
        return;
    va_list arguments;
    va_start(arguments, format);
    size_t room = p->capacity - p->used;
    size_t length = (size_t)vsnprintf(p->text ? p->text + p->used : NULL, room, format, arguments);
    va_end(arguments);
    if (length >= room && grow(p, length)) {
        va_start(arguments, format);
        vsnprintf(p->text + p->used, p->capacity - p->used, format, arguments);
        va_end(arguments);
    }
    if (p->status == DL_OK)
        p->used += length;
}

static void format_element(const printer *p, int64_t offset, char text[ELEMENT_TEXT]) {
    dl_dtype dtype = p->tensor->dtype;
    if (dtype == DL_BOOLEAN) {
        snprintf(text, ELEMENT_TEXT, "%s", dl_read_int(p->tensor, offset) ? "true" : "false");
        return;
    }
    if (!dl_dtype_is_float(dtype)) {
        snprintf(text, ELEMENT_TEXT, "%" PRId64, dl_read_int(p->tensor, offset));
        return;
    }
    double value = dl_read_real(p->tensor, offset);
    if (isnan(value))
        snprintf(text, ELEMENT_TEXT, "nan");
    else if (isinf(value))
        snprintf(text, ELEMENT_TEXT, value > 0 ? "inf" : "-inf");
    else if (p->scientific)
        snprintf(text, ELEMENT_TEXT, "%.4e", value);
    else if (p->whole)
        snprintf(text, ELEMENT_TEXT, "%.0f.", value);
    else
        snprintf(text, ELEMENT_TEXT, "%.4f", value);
}

typedef void (*element_visitor)(printer *p, int64_t offset, void *state);

/* Calls visit for each element that will be shown. */
static void each_shown(printer *p, int dim, int64_t offset, element_visitor visit, void *state) {
    const dl_tensor *tensor = p->tensor;
    if (dim == tensor->dims) {
        visit(p, offset, state);
        return;
    }
    int64_t size = tensor->shape[dim];
    for (int64_t i = 0; i < size; i++) {
        if (p->summarize && size > 2 * EDGE && i == EDGE)
            i = size - EDGE;
        each_shown(p, dim + 1, offset + i * tensor->strides[dim], visit, state);
    }
}

typedef struct range {
    double smallest, largest; /* of the nonzero finite magnitudes */
    bool any, whole;
} range;

static void visit_range(printer *p, int64_t offset, void *state) {
    range *r = state;
    double magnitude = fabs(dl_read_real(p->tensor, offset));
    if (!isfinite(magnitude) || magnitude == 0)
        return;
    r->smallest = r->any ? fmin(r->smallest, magnitude) : magnitude;
    r->largest = r->any ? fmax(r->largest, magnitude) : magnitude;
    r->whole = r->whole && magnitude == ceil(magnitude);
    r->any = true;
}

/* Zeros, NaN and infinite values do not widen the columns, as in PyTorch. */
static void visit_width(printer *p, int64_t offset, void *state) {
    (void)state;
    if (dl_dtype_is_float(p->tensor->dtype)) {
        double value = dl_read_real(p->tensor, offset);
        if (!isfinite(value) || value == 0)
            return;
    }
    char text[ELEMENT_TEXT];
    format_element(p, offset, text);
    p->width = DL_MAX(p->width, (int)strlen(text));
}

static void choose_format(printer *p) {
    if (dl_dtype_is_float(p->tensor->dtype)) {
        range r = {.whole = true};
        each_shown(p, 0, p->tensor->offset, visit_range, &r);
        p->whole = r.whole;
        bool wide = r.any && (r.largest / r.smallest > 1000 || r.largest > 1e8);
        p->scientific = wide || (r.any && !r.whole && r.smallest < 1e-4);
    }
    each_shown(p, 0, p->tensor->offset, visit_width, NULL);
}

/* The last dimension, wrapped. */
static void print_row(printer *p, int indent, int64_t offset) {
    const dl_tensor *tensor = p->tensor;
    int last = tensor->dims - 1;
    int64_t size = tensor->shape[last];
    int64_t per_line = DL_MAX((COLUMNS - last) / (p->width + 2), 1);
    bool cut = p->summarize && size > 2 * EDGE;
    int64_t shown = 0;
    append(p, "[");
    for (int64_t i = 0; i < size; i++, shown++) {
        if (shown > 0)
            append(p, shown % per_line == 0 ? ",\n%*s" : ", %*s", shown % per_line == 0 ? indent : 0, "");
        if (cut && i == EDGE) {
            append(p, " ...");
            i = size - EDGE - 1;
            continue;
        }
        char text[ELEMENT_TEXT];
        format_element(p, offset + i * tensor->strides[last], text);
        append(p, "%*s", p->width, text);
    }
    append(p, "]");
}

static void print_block(printer *p, int dim, int indent, int64_t offset) {
    const dl_tensor *tensor = p->tensor;
    if (dim == tensor->dims - 1) {
        print_row(p, indent, offset);
        return;
    }
    int64_t size = tensor->shape[dim];
    append(p, "[");
    for (int64_t i = 0; i < size; i++) {
        if (i > 0) {
            append(p, ",");
            for (int line = 0; line < tensor->dims - 1 - dim; line++)
                append(p, "\n");
            append(p, "%*s", indent, "");
        }
        if (p->summarize && size > 2 * EDGE && i == EDGE) {
            append(p, "...");
            i = size - EDGE - 1;
            continue;
        }
        print_block(p, dim + 1, indent + 1, offset + i * tensor->strides[dim]);
    }
    append(p, "]");
}

dl_status dl_tensor_print(const dl_tensor *tensor, char **text) {
    int64_t count = dl_tensor_numel(tensor);
    printer p = {.tensor = tensor, .summarize = count > THRESHOLD};
    char shape[200];
    dl_shape_describe(tensor->dims, tensor->shape, shape, sizeof shape);
    if (count == 0) {
        append(&p, "[]");
    } else {
        choose_format(&p);
        if (tensor->dims == 0) {
            char element[ELEMENT_TEXT];
            format_element(&p, tensor->offset, element);
            append(&p, "%s", element);
        } else {
            print_block(&p, 0, 1, tensor->offset);
        }
    }
    append(&p, "\n[%s ", dl_dtype_name(tensor->dtype));
    append(&p, "%s", shape);
    append(&p, "%s]", tensor->requires_grad ? ", requires_grad" : "");
    if (p.status != DL_OK) {
        dl_free(p.text);
        return p.status;
    }
    *text = p.text;
    return DL_OK;
}
