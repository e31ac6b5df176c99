/* SPDX-License-Identifier: MIT */
/* Where the names of exports.def are declared.
 */
#ifndef EXPORTS_PRIV_H
#define EXPORTS_PRIV_H

#include <core/console.h>
#include <fs/block_driver.h>
#include <fs/fs_module.h>
#include <helix/font.h>
#include <helix/log.h>
#include <helix/module.h>
#include <helix/panic.h>
#include <memory/frame.h>

#endif
