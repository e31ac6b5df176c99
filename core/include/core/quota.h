/* SPDX-License-Identifier: MIT */
/* Quotas: what a tree of processes may have at once of each kind of thing. A quota may lie within
 * another; what is charged to it is charged to all around it. Whoever creates an object charges it
 * and remembers the quota, with a reference, until the object goes.
 */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H

#include <abi/types.h>
#include <helix/compiler.h>
#include <helix/list.h>
#include <helix/status.h>

#define QUOTA_DEPTH_MAX 8

struct quota {
    u32 references;       /* a: processes, objects charged, quotas within */
    u32 depth;            /* I: 0: the root */
    struct quota *parent; /* I: with a reference; NULL: the root */
    u64 id;               /* I */
    struct quota_count {
        u64 used;  /* a */
        u64 limit; /* a */
        u64 peak;  /* a: a moment old */
    } counts[HX_QUOTA_COUNT];
    struct list_node all; /* the list of all */
};

/* The one around all others, with no limits but the machine's. */
extern struct quota quota_root;

/* A quota within `parent` with the default limits. Return: HX_OK; HX_ERR_NO_MEMORY; HX_ERR_LIMIT,
 * nested too deep. Thread. */
enum hx_status quota_create(struct quota *parent, struct quota **out_quota) HX_MUST_CHECK;

struct quota *quota_get(struct quota *quota); /* returns it; NULL is nothing */
void quota_put(struct quota *quota);          /* thread */

/* Charges `amount` to the quota and all around it, or to none of them. NULL is unlimited.
 * Return: HX_OK; HX_ERR_LIMIT. Context: any but NMI. */
enum hx_status quota_charge(struct quota *quota, enum hx_quota kind, u64 amount) HX_MUST_CHECK;
void quota_uncharge(struct quota *quota, enum hx_quota kind, u64 amount);

/* Lowers a limit. Return: HX_OK; HX_ERR_ACCESS, it is lower already. Any. */
enum hx_status quota_limit_lower(struct quota *quota, enum hx_quota kind, u64 limit) HX_MUST_CHECK;

/* Changes a limit; what is above it already stays. Any. */
void quota_limit_set(struct quota *quota, enum hx_quota kind, u64 limit);

const char *quota_name(enum hx_quota kind);

/* Calls visit for each, the list being locked: it neither blocks nor keeps the pointer. */
void quota_for_each(void (*visit)(struct quota *quota, void *ctx), void *ctx);

#endif
