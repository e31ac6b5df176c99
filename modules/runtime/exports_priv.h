/* SPDX-License-Identifier: MIT */
/* Where the names of exports.def are declared.
 */
#ifndef EXPORTS_PRIV_H
#define EXPORTS_PRIV_H

#include <helix/log.h>
#include <helix/module.h>
#include <helix/panic.h>
#include <memory/frame.h>

#endif
