/* SPDX-License-Identifier: MIT */
/* <stdio.h> as far as third-party sources ask for it: they include it and print nothing. */
#ifndef THIRD_PARTY_STDIO_H
#define THIRD_PARTY_STDIO_H

#include <stddef.h>

#endif
