/* SPDX-License-Identifier: MIT */
/* <stdlib.h> as far as third-party sources ask for it. The kernel's call none of these; a module
 * whose parts do brings its own. */
#ifndef THIRD_PARTY_STDLIB_H
#define THIRD_PARTY_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *p);

#endif
