/* SPDX-License-Identifier: MIT */
/* The model checker on a ring that takes positions without compare-and-swap: it has to notice.
 */
#define RING_MODEL_BROKEN
#include <ring_model.c>
