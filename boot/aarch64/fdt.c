/* SPDX-License-Identifier: MIT */
/* Device tree to boot information.
 * Owns:      nothing.      Callers: main.c once; tests/boot/fdt_test.c and a fuzzer on the host.
 * Context:   early, no locks; pure: touches the tree and *info only.
 * Trust:     none in the tree beyond what dt_check and libfdt establish. A module is kept only when
 *            all of it lies in memory that the tree declares and off the kernel image.
 * Reservations from the header's block leave out the tree and the initrd: boot loaders list both
 * there, but for the kernel they are modules, not somebody else's memory.
 * Spec:      Devicetree Specification 0.4, 3.4 to 3.6 and 5.3; Linux simple-framebuffer binding. */
#include <boot/fdt.h>

#include <helix/bits.h>
#include <helix/string.h>
#include <port/dt.h>

#include <libfdt.h>

struct reader {
    struct boot_info *info;
    u64 initrd_start, initrd_end; /* end 0: none */
};

struct range {
    u64 base, size;
};

struct pixel_format {
    const char *name;
    u8 bits, red_shift, green_shift, blue_shift, red_bits, green_bits, blue_bits;
};

static const struct pixel_format pixel_formats[] = {
    {"r5g6b5", 16, 11, 5, 0, 5, 6, 5},   {"r8g8b8", 24, 16, 8, 0, 8, 8, 8},
    {"x8r8g8b8", 32, 16, 8, 0, 8, 8, 8}, {"a8r8g8b8", 32, 16, 8, 0, 8, 8, 8},
    {"x8b8g8r8", 32, 0, 8, 16, 8, 8, 8}, {"a8b8g8r8", 32, 0, 8, 16, 8, 8, 8},
};

static void regions_add(struct boot_info *info, const struct dt_walk *walk,
                        enum boot_region_kind kind)
{
    u64 base, size;
    for (u32 i = 0; dt_reg(walk, i, &base, &size); i++) {
        if (size > 0) {
            boot_info_add_region(info, base, size, kind);
        }
    }
}

static void chosen_read(struct reader *reader, const struct dt_walk *walk)
{
    struct dt_prop bootargs, start, end;
    dt_prop_find(walk, "bootargs", &bootargs);
    dt_prop_find(walk, "linux,initrd-start", &start);
    dt_prop_find(walk, "linux,initrd-end", &end);
    struct boot_info *info = reader->info;
    info->cmdline_cut = !dt_prop_copy(&bootargs, info->cmdline, sizeof(info->cmdline));
    u64 from, to;
    if (dt_prop_u64(&start, &from) && dt_prop_u64(&end, &to) && to > from) {
        reader->initrd_start = from;
        reader->initrd_end = to;
    } else if (start.data != NULL && end.data != NULL) {
        info->modules_dropped++;
    }
}

static bool property_u32(const struct dt_walk *walk, const char *name, u32 *out)
{
    struct dt_prop prop;
    dt_prop_find(walk, name, &prop);
    u64 value;
    if (prop.size != 4 || !dt_prop_u64(&prop, &value)) {
        return false;
    }
    *out = (u32)value;
    return true;
}

static void framebuffer_read(struct boot_info *info, const struct dt_walk *walk)
{
    struct boot_framebuffer fb = {.kind = BOOT_PIXEL_RGB};
    struct dt_prop format;
    dt_prop_find(walk, "format", &format);
    u64 size;
    if (!dt_reg(walk, 0, &fb.base, &size) || !property_u32(walk, "width", &fb.width) ||
        !property_u32(walk, "height", &fb.height) || !property_u32(walk, "stride", &fb.pitch)) {
        return;
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(pixel_formats); i++) {
        const struct pixel_format *f = &pixel_formats[i];
        if (!dt_prop_has(&format, f->name)) {
            continue;
        }
        fb.bits_per_pixel = f->bits;
        fb.red_shift = f->red_shift;
        fb.green_shift = f->green_shift;
        fb.blue_shift = f->blue_shift;
        fb.red_bits = f->red_bits;
        fb.green_bits = f->green_bits;
        fb.blue_bits = f->blue_bits;
    }
    u64 row = (u64)fb.width * (fb.bits_per_pixel / 8);
    if (row > 0 && fb.height > 0 && fb.pitch >= row && (u64)fb.pitch * fb.height <= size) {
        info->framebuffer = fb;
    }
}

static void node_visit(void *ctx, const struct dt_walk *walk)
{
    struct reader *reader = ctx;
    const struct dt_node *node = dt_node(walk);
    if (walk->depth == 1) {
        if (str_equal(node->name, "chosen")) {
            chosen_read(reader, walk);
        } else if (node->enabled && dt_prop_has(&node->device_type, "memory")) {
            regions_add(reader->info, walk, BOOT_REGION_RAM);
        }
    } else if (walk->depth == 2 && node->enabled) {
        if (str_equal(dt_parent(walk)->name, "reserved-memory")) {
            regions_add(reader->info, walk, BOOT_REGION_RESERVED);
        } else if (str_equal(dt_parent(walk)->name, "chosen") &&
                   dt_prop_has(&node->compatible, "simple-framebuffer") &&
                   reader->info->framebuffer.kind == BOOT_PIXEL_NONE) {
            framebuffer_read(reader->info, walk);
        }
    }
}

static bool ranges_overlap(u64 base, u64 size, const struct range *other)
{
    return size > 0 && other->size > 0 && base <= other->base + (other->size - 1) &&
           other->base <= base + (size - 1);
}

/* Reserves [base, base + size) without the holes, which are ascending. */
static void reserve_around(struct boot_info *info, u64 base, u64 size, const struct range *holes,
                           u32 count)
{
    for (u32 i = 0; i < count && size > 0; i++) {
        const struct range *hole = &holes[i];
        if (!ranges_overlap(base, size, hole)) {
            continue;
        }
        if (base < hole->base) {
            boot_info_add_region(info, base, hole->base - base, BOOT_REGION_RESERVED);
        }
        u64 last = base + (size - 1), hole_last = hole->base + (hole->size - 1);
        if (last <= hole_last) {
            return;
        }
        base = hole_last + 1;
        size = last - hole_last;
    }
    if (size > 0) {
        boot_info_add_region(info, base, size, BOOT_REGION_RESERVED);
    }
}

/* Whole pages, as normalising will make them of a module: a reservation of the rest of a page would
 * take all of it. Both arguments are far from the end of the space. */
static struct range pages_of(u64 base, u64 size)
{
    u64 first = hx_align_down(base, HX_PAGE_SIZE);
    return (struct range){first, size > 0 ? hx_align_up(base + size, HX_PAGE_SIZE) - first : 0};
}

static void reservations_read(struct boot_info *info, const void *tree, const struct range *initrd)
{
    struct range holes[2] = {pages_of(info->dtb, info->dtb_size),
                             pages_of(initrd->base, initrd->size)};
    if (holes[0].base > holes[1].base) {
        struct range first = holes[1];
        holes[1] = holes[0];
        holes[0] = first;
    }
    int count = fdt_num_mem_rsv(tree);
    if (count < 0) {
        info->regions_dropped++; /* the block has no end */
        return;
    }
    for (int i = 0; i < count; i++) {
        u64 base, size;
        if (fdt_get_mem_rsv(tree, i, &base, &size) != 0) {
            info->regions_dropped++;
        } else if (size > 0) {
            size = hx_min_u64(size - 1, UINT64_MAX - base) + 1;
            reserve_around(info, base, size, holes, HX_ARRAY_SIZE(holes));
        }
    }
}

/* True when all of the range is declared memory; regions are still as the tree gave them. */
static bool range_is_ram(const struct boot_info *info, u64 base, u64 size)
{
    u64 at = base, end = base + size;
    for (bool moved = true; moved && at < end;) {
        moved = false;
        for (u32 i = 0; i < info->region_count && at < end; i++) {
            const struct boot_region *r = &info->regions[i];
            if (r->kind == BOOT_REGION_RAM && at >= r->base && at - r->base < r->size) {
                at = hx_min_u64(r->size - (at - r->base), end - at) + at;
                moved = true;
            }
        }
    }
    return at >= end;
}

static void initrd_add(struct reader *reader, struct range *out_initrd)
{
    struct boot_info *info = reader->info;
    struct range kernel = {info->kernel_base, info->kernel_size};
    u64 base = reader->initrd_start, size = reader->initrd_end - reader->initrd_start;
    if (reader->initrd_end == 0) {
        return;
    }
    if (!range_is_ram(info, base, size) || ranges_overlap(base, size, &kernel) ||
        info->module_count == BOOT_MODULES_MAX) {
        info->modules_dropped++;
        return;
    }
    struct boot_module *module = &info->modules[info->module_count++];
    module->base = base;
    module->size = size;
    str_copy(module->name, "initrd", sizeof(module->name));
    boot_info_add_region(info, base, size, BOOT_REGION_LOADER);
    *out_initrd = (struct range){base, size};
}

void boot_fdt_read(struct boot_info *info, const void *tree)
{
    struct reader reader = {.info = info};
    struct range initrd = {0, 0};
    if (dt_walk(tree, node_visit, &reader) != HX_OK) {
        info->regions_dropped++;
    }
    initrd_add(&reader, &initrd);
    reservations_read(info, tree, &initrd);
    boot_info_add_region(info, info->dtb, info->dtb_size, BOOT_REGION_LOADER);
    boot_info_add_region(info, info->kernel_base, info->kernel_size, BOOT_REGION_KERNEL);
}
