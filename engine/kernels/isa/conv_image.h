/* kernels/isa/conv_image.h: how convolutions read an image: as a frame of the cells that the windows reach, padding
 * included, for the element type of gemm_real.h.
 *
 *      +---------------------+  first_row = 0 of the frame
 *      | 0   0   0   0   0   |
 *      | 0 +-------------+ 0 |  The frame is (height, width, C). Without padding it is the image itself, read with the
 *      | 0 | image       | 0 |  image's own row length; else the rows that a tile needs are copied with their zeros.
 *      | 0 +-------------+ 0 |
 *      +---------------------+ */
#ifndef DL_KERNELS_ISA_CONV_IMAGE_H
#define DL_KERNELS_ISA_CONV_IMAGE_H

#include <string.h>

#include "kernels/isa/gemm_real.h"

typedef struct frame {
    int64_t H, W, C; /* of the images */
    int64_t pad_top, pad_left;
    int64_t height, width; /* cells that the windows reach */
    int64_t row;           /* elements from one row to the next where the frame is read */
    bool whole;            /* the image itself serves */
    const real *x;         /* (N, H, W, C) */
    const real *gate;      /* (N, H, W, C) or null: cells where it is not positive read as zero */
} frame;

static frame frame_of(const dl_conv2d_sizes *s, const real *x, const real *gate) {
    frame f = {.H = s->H, .W = s->W, .C = s->C, .pad_top = s->pad_top, .pad_left = s->pad_left, .x = x, .gate = gate};
    f.height = (s->out_h - 1) * s->stride_h + (s->kernel_h - 1) * s->dilation_h + 1;
    f.width = (s->out_w - 1) * s->stride_w + (s->kernel_w - 1) * s->dilation_w + 1;
    f.whole = !gate && s->pad_top == 0 && s->pad_left == 0 && f.height <= s->H && f.width <= s->W;
    f.row = (f.whole ? s->W : f.width) * s->C;
    return f;
}

/* to[i] = from[i], or zero where gate (may be null) is not positive. */
static void copy_gated(real *to, const real *from, const real *gate, int64_t count) {
    if (!gate) {
        memcpy(to, from, (size_t)count * sizeof(real));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        to[i] = gate[i] > 0 ? from[i] : 0;
}

/* Where rows first_row .. first_row + rows - 1 of the frame of image n are read from: the image, or `room` (rows * row
 * elements) after copying them there. */
static const real *frame_rows(const frame *f, real *room, int64_t n, int64_t first_row, int64_t rows) {
    const real *image = f->x + n * f->H * f->W * f->C;
    if (f->whole)
        return image + first_row * f->row;
    int64_t left = DL_MIN(f->pad_left, f->width);
    int64_t inside = DL_MAX(0, DL_MIN(f->width - left, f->W));
    for (int64_t i = 0; i < rows; i++) {
        real *to = room + i * f->row;
        int64_t from = first_row + i - f->pad_top;
        bool there = from >= 0 && from < f->H && inside > 0;
        int64_t zeros = there ? left : f->width;
        memset(to, 0, (size_t)(zeros * f->C) * sizeof(real));
        if (!there)
            continue;
        const real *gate = f->gate ? f->gate + (n * f->H + from) * f->W * f->C : NULL;
        copy_gated(to + left * f->C, image + from * f->W * f->C, gate, inside * f->C);
        memset(to + (left + inside) * f->C, 0, (size_t)((f->width - left - inside) * f->C) * sizeof(real));
    }
    return room;
}

/* Rows of the frame that output rows first .. first + rows - 1 read. */
static inline int64_t rows_reached(const dl_conv2d_sizes *s, int64_t rows) {
    return (rows - 1) * s->stride_h + (s->kernel_h - 1) * s->dilation_h + 1;
}

#endif
