/* nn/checkpoint.h: what calls of layers tell a checkpoint that is under way. */
#ifndef DL_NN_CHECKPOINT_H
#define DL_NN_CHECKPOINT_H

#include "nn/nn.h"

/* Before a layer draws from its stream: the checkpoints under way remember its place, to draw the same again. */
dl_status dl_checkpoint_note_draw(dl_layer *layer);
/* Where the context keeps the innermost checkpoint whose first run is under way; NULL without memory. */
struct dl_checkpoint_object **dl_checkpoint_under_way(dl_context *context);

#endif
