/* nn/losses.h: what the files of losses share. */
#ifndef DL_NN_LOSSES_H
#define DL_NN_LOSSES_H

#include "nn/nn.h"

/* Casts the target and lets ranks and shapes match; 0-dimensional predictions are refused. */
dl_status dl_match_target(dl_tensor **target, dl_tensor **prediction);
dl_tensor *dl_mean_along(dl_tensor *x, int64_t axis);
/* Labels as int64; float numbers must be whole. In the open scope; NULL after a failure. */
dl_tensor *dl_whole_labels(dl_tensor *target);
/* What to compute the loss from: the logits behind the prediction if `activation` made it from them. */
dl_tensor *dl_scores_of(dl_tensor *prediction, const dl_activation_def *activation, bool *from_logits);
/* DL_INVALID unless the targets lie between 0 and 1. */
dl_status dl_check_shares(dl_tensor *target);

#define REDUCTION(type)                                                                                                \
    { .name = "reduction", .kind = DL_FIELD_ENUM, .offset = offsetof(type, loss.reduction),                            \
      .text = "sum_over_batch_size", .choices = "sum_over_batch_size|sum|mean|none",                                   \
      .help = "of the samples' losses to one number" }
#define LOSS_NAME(type, default_name)                                                                                  \
    { .name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(type, loss.name), .flags = DL_NONE_OK,               \
      .text = default_name, .help = "of the loss in logs" }
/* The options of losses without others begin with the common ones. */
typedef struct dl_plain_loss_options {
    dl_loss_options loss;
} dl_plain_loss_options;

#define DEFINE_LOSS(symbol, name_, aliases_, type, help_, formula_, shapes_)                                           \
    const dl_loss_def dl_loss_##symbol = {                                                                             \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_, .formula = formula_,           \
                       .shapes = shapes_, .fields = symbol##_fields, .options_size = sizeof(type)},                    \
        .call = call_##symbol};
/* A loss whose options are the common ones. */
#define DEFINE_PLAIN_LOSS(symbol, name_, aliases_, default_name, help_, formula_, shapes_)                             \
    static const dl_field symbol##_fields[] = {REDUCTION(dl_plain_loss_options),                                       \
                                               LOSS_NAME(dl_plain_loss_options, default_name), DL_END};                \
    DEFINE_LOSS(symbol, name_, aliases_, dl_plain_loss_options, help_, formula_, shapes_)

#define SAME_SHAPE "targets and predictions (N, ..., F) -> (N, ...)"

#endif
