/* SPDX-License-Identifier: MIT */
/* The module's side of <fs/os.h>.
 */
#ifndef HELIXFS_PORT_H
#define HELIXFS_PORT_H

#include <helix/module.h>

/* Before and after anything of <fs/os.h>. Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status port_init(struct module *self) HX_MUST_CHECK;
void port_fini(void);

#endif
