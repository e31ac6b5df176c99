/* SPDX-License-Identifier: MIT */
/* Between loader and registry.
 */
#ifndef LOADER_PRIV_H
#define LOADER_PRIV_H

#include "runtime_priv.h"

/* Puts m->file into memory: fills manifest, area, domain, self.descriptor. Nothing is left of it
 * when it fails, and *phase says where. Return: as module_load(), but for what init says. */
enum hx_status instance_build(struct module_instance *m, u32 flags, enum slot_phase *phase,
                              struct module_reason *reason) HX_MUST_CHECK;

/* Takes the memory away; nothing runs in it any more. */
void instance_unbuild(struct module_instance *m);

#endif
