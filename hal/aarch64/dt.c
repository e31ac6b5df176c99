/* SPDX-License-Identifier: MIT */
/* Device tree reader.
 * Owns:      nothing; the tree belongs to the caller, the walk lives on the stack (2 KiB).
 * Callers:   boot/aarch64 (regions, command line), platform.c (devices).   Context: early; no
 * locks. Invariant: (1) every byte read lies in [tree, tree + totalsize): libfdt checks each tag
 * and string against the header, which dt_check has checked against what is mapped. (2) work is
 * linear in the tree: nothing is looked up by path or phandle in a loop. fdt_get_alias and paths
 * that begin with an alias are avoided: libfdt 1.6 follows an alias that names itself without end.
 * Spec: Devicetree Specification 0.4, 2.3 and 5. */
#include <port/dt.h>

#include <helix/bits.h>
#include <helix/string.h>

#include <libfdt.h>

enum hx_status dt_check(const void *tree, size_t max, size_t *out_size)
{
    if (max < sizeof(struct fdt_header) || fdt_magic(tree) != FDT_MAGIC) {
        return HX_ERR_NOT_FOUND;
    }
    size_t size = fdt_totalsize(tree);
    if (size < sizeof(struct fdt_header) || size > max || size > DT_SIZE_MAX ||
        fdt_check_full(tree, size) != 0 || fdt_version(tree) < 17) {
        return HX_ERR_CORRUPT;
    }
    *out_size = size;
    return HX_OK;
}

bool dt_prop_has(const struct dt_prop *prop, const char *text)
{
    return dt_prop_index(prop, text) >= 0;
}

int dt_prop_index(const struct dt_prop *prop, const char *text)
{
    size_t length = strlen(text) + 1;
    const u8 *at = prop->data;
    u32 left = prop->data != NULL ? prop->size : 0;
    for (int index = 0; left > 0; index++) {
        const u8 *end = memchr(at, 0, left);
        if (end == NULL) {
            return -1;
        }
        u32 size = (u32)(end - at) + 1;
        if (size == length && memcmp(at, text, length) == 0) {
            return index;
        }
        at += size;
        left -= size;
    }
    return -1;
}

static u64 cells_read(const u8 *at, u32 cells)
{
    return cells == 0 ? 0 : cells == 1 ? hx_load_be32(at) : hx_load_be64(at);
}

static bool cells_are_number(u32 cells)
{
    return cells == 1 || cells == 2;
}

bool dt_prop_u64(const struct dt_prop *prop, u64 *out)
{
    if (prop->data == NULL || (prop->size != 4 && prop->size != 8)) {
        return false;
    }
    *out = cells_read(prop->data, prop->size / 4);
    return true;
}

static u32 prop_u32(const struct dt_prop *prop, u32 otherwise)
{
    return prop->size == 4 ? hx_load_be32(prop->data) : otherwise;
}

bool dt_prop_copy(const struct dt_prop *prop, char *out, size_t size)
{
    size_t length = prop->data != NULL ? strnlen((const char *)prop->data, prop->size) : 0;
    size_t fits = hx_min_u64(length, size - 1);
    if (fits > 0) {
        memcpy(out, prop->data, fits);
    }
    out[fits] = '\0';
    return fits == length;
}

void dt_prop_find(const struct dt_walk *walk, const char *name, struct dt_prop *out)
{
    int size = 0;
    out->data = fdt_getprop(walk->tree, dt_node(walk)->offset, name, &size);
    out->size = out->data != NULL ? (u32)size : 0;
}

static void status_apply(struct dt_node *node, const struct dt_prop *status)
{
    if (!dt_prop_has(status, "okay") && !dt_prop_has(status, "ok")) {
        node->enabled = false;
    }
    node->failed = status->size >= 4 && memcmp(status->data, "fail", 4) == 0;
}

static void property_apply(struct dt_node *node, const char *name, struct dt_prop prop)
{
    switch (name[0]) {
    case '#':
        if (str_equal(name, "#address-cells")) {
            node->address_cells = prop_u32(&prop, node->address_cells);
        } else if (str_equal(name, "#size-cells")) {
            node->size_cells = prop_u32(&prop, node->size_cells);
        } else if (str_equal(name, "#interrupt-cells")) {
            node->interrupt_cells = prop_u32(&prop, node->interrupt_cells);
        }
        break;
    case 'c':
        if (str_equal(name, "compatible")) {
            node->compatible = prop;
        }
        break;
    case 'd':
        if (str_equal(name, "device_type")) {
            node->device_type = prop;
        }
        break;
    case 'i':
        if (str_equal(name, "interrupts")) {
            node->interrupts = prop;
        } else if (str_equal(name, "interrupt-parent")) {
            node->interrupt_parent = prop_u32(&prop, node->interrupt_parent);
        }
        break;
    case 'p':
        if (str_equal(name, "phandle")) {
            node->phandle = prop_u32(&prop, 0);
        }
        break;
    case 'r':
        if (str_equal(name, "reg")) {
            node->reg = prop;
        } else if (str_equal(name, "ranges")) {
            node->ranges = prop;
        }
        break;
    case 's':
        if (str_equal(name, "status")) {
            status_apply(node, &prop);
        }
        break;
    }
}

static enum hx_status node_read(struct dt_walk *walk, int offset)
{
    struct dt_node *node = &walk->nodes[walk->depth];
    *node =
        (struct dt_node){.offset = offset, .address_cells = 2, .size_cells = 1, .enabled = true};
    if (walk->depth > 0) {
        node->enabled = dt_parent(walk)->enabled;
        node->interrupt_parent = dt_parent(walk)->interrupt_parent;
    }
    node->name = fdt_get_name(walk->tree, offset, NULL);
    if (node->name == NULL) {
        return HX_ERR_CORRUPT;
    }
    int at;
    fdt_for_each_property_offset(at, walk->tree, offset)
    {
        const char *name;
        int size;
        const void *data = fdt_getprop_by_offset(walk->tree, at, &name, &size);
        if (data == NULL) {
            return HX_ERR_CORRUPT;
        }
        property_apply(node, name, (struct dt_prop){.data = data, .size = (u32)size});
    }
    return at == -FDT_ERR_NOTFOUND ? HX_OK : HX_ERR_CORRUPT;
}

enum hx_status dt_walk(const void *tree, dt_visit_fn *fn, void *ctx)
{
    struct dt_walk walk = {.tree = tree};
    int depth = 0;
    int offset = fdt_next_node(tree, -1, &depth);
    /* fdt_next_node counts the root as one; a negative depth is the end of the tree. */
    for (depth = 0; offset >= 0 && depth >= 0; offset = fdt_next_node(tree, offset, &depth)) {
        if (depth >= DT_DEPTH_MAX) {
            continue;
        }
        walk.depth = (u32)depth;
        if (node_read(&walk, offset) != HX_OK) {
            return HX_ERR_CORRUPT;
        }
        fn(ctx, &walk);
    }
    return offset >= 0 || offset == -FDT_ERR_NOTFOUND ? HX_OK : HX_ERR_CORRUPT;
}

/* One step up: `address` of a child of nodes[depth] becomes one of nodes[depth - 1]'s children. */
static bool range_translate(const struct dt_walk *walk, u32 depth, u64 size, u64 *address)
{
    const struct dt_node *bus = &walk->nodes[depth];
    u32 child = bus->address_cells, parent = walk->nodes[depth - 1].address_cells;
    u32 length = bus->size_cells;
    if (bus->ranges.data == NULL) {
        return false;
    }
    if (bus->ranges.size == 0) {
        return true; /* an empty ranges is the identity */
    }
    if (!cells_are_number(child) || !cells_are_number(parent) || !cells_are_number(length)) {
        return false;
    }
    u32 stride = 4 * (child + parent + length);
    const u8 *at = bus->ranges.data;
    for (u32 left = bus->ranges.size; left >= stride; left -= stride, at += stride) {
        u64 from = cells_read(at, child);
        u64 to = cells_read(at + 4 * child, parent);
        u64 span = cells_read(at + 4 * (child + parent), length);
        if (*address >= from && hx_range_fits(*address - from, size, span)) {
            return hx_add_checked(to, *address - from, address);
        }
    }
    return false;
}

bool dt_reg(const struct dt_walk *walk, u32 index, u64 *base, u64 *size)
{
    if (walk->depth == 0) {
        return false;
    }
    const struct dt_prop *reg = &dt_node(walk)->reg;
    u32 address_cells = dt_parent(walk)->address_cells, size_cells = dt_parent(walk)->size_cells;
    if (reg->data == NULL || !cells_are_number(address_cells) || size_cells > 2) {
        return false;
    }
    u32 stride = 4 * (address_cells + size_cells);
    if (index >= reg->size / stride) {
        return false;
    }
    const u8 *at = reg->data + (size_t)index * stride;
    u64 address = cells_read(at, address_cells);
    u64 length = cells_read(at + 4 * address_cells, size_cells);
    for (u32 depth = walk->depth - 1; depth > 0; depth--) {
        if (!range_translate(walk, depth, length, &address)) {
            return false;
        }
    }
    if (length > 0 && address + (length - 1) < address) {
        return false;
    }
    *base = address;
    *size = length;
    return true;
}

int dt_stdout(const void *tree)
{
    int length;
    int node = fdt_path_offset(tree, "/chosen");
    const char *path = node >= 0 ? fdt_getprop(tree, node, "stdout-path", &length) : NULL;
    for (u32 hop = 0; hop < 2 && path != NULL; hop++) {
        size_t size = strnlen(path, (size_t)length);
        const char *options = memchr(path, ':', size);
        int used = (int)(options != NULL ? (size_t)(options - path) : size);
        if (used > 0 && path[0] == '/') {
            return fdt_path_offset_namelen(tree, path, used);
        }
        node = fdt_path_offset(tree, "/aliases");
        path = node >= 0 ? fdt_getprop_namelen(tree, node, path, used, &length) : NULL;
    }
    return -1;
}
