/* SPDX-License-Identifier: MIT */
/* Reading a device tree that may be hostile: one pass, node by node, over libfdt's bounds-checked
 * tags. A visitor sees each node once with its common properties read and the nodes above it, so
 * that addresses are translated without a second search. Pure: no hardware, no state.
 * Spec: Devicetree Specification 0.4.
 */
#ifndef PORT_DT_H
#define PORT_DT_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define DT_DEPTH_MAX 16        /* nodes deeper than this are not visited */
#define DT_SIZE_MAX  0x200000u /* bytes; the Linux boot protocol's limit */

/* A property's bytes inside the tree; data is NULL when the node has none. Not terminated. */
struct dt_prop {
    const u8 *data;
    u32 size;
};

struct dt_node {
    int offset;       /* libfdt's name for the node */
    const char *name; /* with the unit address; "" for the root */
    bool enabled;     /* status of this node and of all above it is "okay" or absent */
    bool failed;      /* status is "fail..." */
    u32 address_cells, size_cells, interrupt_cells; /* for its children; 2, 1 and 0 by default */
    u32 phandle;                                    /* 0: none */
    u32 interrupt_parent;                           /* phandle, inherited; 0: none */
    struct dt_prop compatible, device_type, interrupts, ranges, reg;
};

struct dt_walk {
    const void *tree;
    u32 depth; /* of the node being visited; the root is 0 */
    struct dt_node nodes[DT_DEPTH_MAX];
};

/* The node being visited, and the one above it (of a node that is not the root). */
static inline const struct dt_node *dt_node(const struct dt_walk *walk)
{
    return &walk->nodes[walk->depth];
}

static inline const struct dt_node *dt_parent(const struct dt_walk *walk)
{
    return &walk->nodes[walk->depth - 1];
}

typedef void dt_visit_fn(void *ctx, const struct dt_walk *walk);

/* The size of the tree at `tree`, of which `max` bytes may be read (DT_SIZE_MAX counts as well).
 * Return: HX_OK; HX_ERR_NOT_FOUND (no tree: the magic is missing); HX_ERR_CORRUPT (sizes or offsets
 * in the header contradict each other or `max`, or a version that libfdt does not know). */
enum hx_status dt_check(const void *tree, size_t max, size_t *out_size) HX_MUST_CHECK;

/* Visits every node of a tree that passed dt_check, parents first.
 * Return: HX_OK; HX_ERR_CORRUPT when the structure broke off: nodes before that were visited. */
enum hx_status dt_walk(const void *tree, dt_visit_fn *fn, void *ctx) HX_MUST_CHECK;

/* Another property of the node being visited. */
void dt_prop_find(const struct dt_walk *walk, const char *name, struct dt_prop *out);

/* Entry `index` of the node's reg, translated to a CPU physical address through every `ranges`
 * above it. False: not there, cells other than 1 or 2 (sizes may have 0: *size is 0), no
 * translation, or the range wraps. */
bool dt_reg(const struct dt_walk *walk, u32 index, u64 *base, u64 *size);

/* True when a string of a string-list property is `text`. */
bool dt_prop_has(const struct dt_prop *prop, const char *text);

/* The position of `text` in a string list, or -1. */
int dt_prop_index(const struct dt_prop *prop, const char *text);

/* A property of one or two cells as a number. False: absent or of another size. */
bool dt_prop_u64(const struct dt_prop *prop, u64 *out);

/* Copies a string property, cut at its first NUL, at its end or at `size`; always terminates.
 * False when it did not fit. An absent property gives "". */
bool dt_prop_copy(const struct dt_prop *prop, char *out, size_t size);

/* The node that /chosen's stdout-path names, its alias resolved; -1 when there is none. */
int dt_stdout(const void *tree);

#endif
