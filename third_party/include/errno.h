/* SPDX-License-Identifier: MIT */
/* <errno.h> as far as third-party sources that run in a module ask for it; nothing reads it. */
#ifndef THIRD_PARTY_ERRNO_H
#define THIRD_PARTY_ERRNO_H

#define EINVAL 22
#define ENOMEM 12
#define EFBIG  27
#define ERANGE 34

extern int errno;

#endif
