/* SPDX-License-Identifier: MIT */
/* <assert.h> as far as third-party sources ask for it: an assertion of theirs is one of ours. */
#ifndef THIRD_PARTY_ASSERT_H
#define THIRD_PARTY_ASSERT_H

#include <helix/panic.h>

#define assert(condition) HX_ASSERT(condition)

#endif
