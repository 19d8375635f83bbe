/* nn/loss.c: what all losses have in common: ranks and shapes of target and prediction, masks, sample weights and the
 * reduction, as Keras has them. */
#include "nn/families.h"

dl_status dl_loss_init(dl_object *object) {
    dl_loss_options *options = object->options;
    if (options->name)
        return DL_OK;
    options->name = dl_unique_name(object->context, object->definition->name);
    return options->name ? DL_OK : dl_last_status();
}

dl_status dl_match_ranks(dl_context *context, dl_tensor **a, dl_tensor **b) {
    dl_tensor **longer = (*a)->dims > (*b)->dims ? a : b;
    dl_tensor **shorter = longer == a ? b : a;
    if ((*longer)->dims != (*shorter)->dims + 1 || (*longer)->shape[(*longer)->dims - 1] != 1)
        return DL_OK;
    if ((*shorter)->dims == 1)
        *shorter = dl_unsqueeze(context, *shorter, -1);
    else
        *longer = dl_squeeze(context, *longer, -1);
    return *a && *b ? DL_OK : dl_last_status();
}

dl_status dl_check_same_shape(const dl_tensor *target, const dl_tensor *prediction) {
    if (dl_tensor_same_shape(target, prediction))
        return DL_OK;
    return dl_fail(DL_SHAPE, "needs targets of the predictions' shape %s, got %s", dl_tensor_text(prediction).at,
                   dl_tensor_text(target).at);
}

/* ---- reduction --------------------------------------------------------------------------------------------------- */

/* The mask as weights; with a mean over the batch the valid samples count for the masked ones too. */
static dl_tensor *mask_weights(dl_tensor *mask, dl_dtype dtype, int reduction) {
    dl_context *context = mask->context;
    dl_tensor *weights = dl_to(context, mask, dtype);
    double valid = 0;
    if (reduction == DL_LOSS_SUM || reduction == DL_LOSS_NONE)
        return weights;
    dl_tensor *sum = dl_sum_all(context, dl_detach(weights));
    if (!sum || dl_item(sum, &valid) != DL_OK)
        return NULL;
    return dl_mul_number(context, weights, valid > 0 ? (double)dl_tensor_numel(mask) / valid : 0);
}

dl_tensor *dl_merge_mask(dl_tensor *mask, dl_tensor *sample_weight, dl_dtype dtype, int reduction) {
    dl_context *context = mask->context;
    dl_tensor *weights = mask_weights(mask, dtype, reduction);
    if (!weights || !sample_weight)
        return weights;
    if (dl_match_ranks(context, &weights, &sample_weight) != DL_OK)
        return NULL;
    return dl_mul(context, sample_weight, weights);
}

dl_tensor *dl_reduce_losses(dl_tensor *losses, dl_tensor *mask, dl_tensor *sample_weight, int reduction) {
    if (!losses)
        return NULL;
    dl_context *context = losses->context;
    if (sample_weight)
        sample_weight = dl_to(context, sample_weight, losses->dtype);
    if (mask)
        sample_weight = dl_merge_mask(mask, sample_weight, losses->dtype, reduction);
    if (sample_weight) {
        if (dl_match_ranks(context, &losses, &sample_weight) != DL_OK)
            return NULL;
        losses = dl_mul(context, losses, sample_weight);
    } else if (mask) {
        return NULL;
    }
    if (!losses || reduction == DL_LOSS_NONE || losses->dims == 0)
        return losses;
    if (reduction == DL_LOSS_SUM || dl_tensor_numel(losses) == 0)
        return dl_sum_all(context, losses);
    return dl_mean_all(context, losses);
}

dl_tensor *dl_fill_masked_labels(dl_tensor *target, dl_tensor *mask) {
    dl_context *context = mask->context;
    if (target->dims == mask->dims + 1 && target->shape[mask->dims] == 1)
        mask = dl_unsqueeze(context, mask, -1);
    if (!mask || !dl_tensor_same_shape(target, mask))
        return mask ? target : NULL;
    return dl_where(context, mask, target, dl_scalar(context, target->dtype, 1));
}

dl_tensor *dl_loss(dl_object *loss, dl_tensor *target, dl_tensor *prediction, dl_tensor *prediction_mask,
                   dl_tensor *sample_weight) {
    if (!target || !prediction)
        return NULL;
    const dl_loss_def *definition = (const dl_loss_def *)loss->definition;
    dl_context *context = prediction->context;
    size_t scope = dl_scope_begin(context);
    dl_tensor *mask = NULL;
    if (prediction_mask)
        target = dl_fill_masked_labels(target, prediction_mask);
    dl_tensor *losses = target ? definition->call(loss, target, prediction, &mask) : NULL;
    if (prediction_mask && mask) {
        mask = dl_mul(context, mask, prediction_mask);
        losses = mask ? losses : NULL;
    } else if (prediction_mask) {
        mask = prediction_mask;
    }
    dl_tensor *reduced =
        dl_reduce_losses(losses, mask, sample_weight, DL_OPTIONS(loss, dl_loss_options)->reduction);
    if (!reduced)
        dl_fail_prefix("%s", definition->definition.name);
    return dl_scope_end(context, scope, reduced);
}
