/* SPDX-License-Identifier: MIT */
/* <stdlib.h> as far as the third-party headers that the kernel includes ask for it. */
#ifndef THIRD_PARTY_STDLIB_H
#define THIRD_PARTY_STDLIB_H

#include <stddef.h>

#endif
