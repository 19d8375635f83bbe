/* download.h: see download.c. */
#ifndef DLUA_DOWNLOAD_H
#define DLUA_DOWNLOAD_H

#include "binding.h"

int dlua_download(lua_State *L);

#endif
