/* SPDX-License-Identifier: MIT */
/* Names and words of the statuses, generated from the one list.
 * Owns: two constant tables.   Context: any.
 * Invariant: (1) numbers are 0, -1, -2 ... in the order of the list, so a number is an index.
 */
#include <helix/status.h>
#include <helix/types.h>

static const struct {
    const char *name, *words;
} statuses[] = {
#define ENTRY(status, number, text) [-(number)] = {#status, text},
    HX_STATUS_LIST(ENTRY)
#undef ENTRY
};
_Static_assert(HX_ARRAY_SIZE(statuses) == HX_STATUS_LAST + 1,
               "HX_STATUS_LAST is stale"); /* inv 1 */

const char *hx_status_name(enum hx_status status)
{
    u64 index = (u64) - (s64)status;
    return index < HX_ARRAY_SIZE(statuses) ? statuses[index].name : "HX_ERR_?";
}

const char *hx_status_words(enum hx_status status)
{
    u64 index = (u64) - (s64)status;
    return index < HX_ARRAY_SIZE(statuses) ? statuses[index].words : "unknown status";
}
