/* dlua/dlua.h: the whole public interface of the engine. */
#ifndef DLUA_DLUA_H
#define DLUA_DLUA_H

#include "dlua/base.h"
#include "dlua/data.h"
#include "dlua/definition.h"
#include "dlua/io.h"
#include "dlua/layers.h"
#include "dlua/nn.h"
#include "dlua/op.h"
#include "dlua/ops.h"
#include "dlua/tensor.h"
#include "dlua/text.h"

#endif
