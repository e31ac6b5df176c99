/* SPDX-License-Identifier: MIT */
/* <sys/types.h> as far as third-party sources ask for it. */
#ifndef THIRD_PARTY_SYS_TYPES_H
#define THIRD_PARTY_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#endif
