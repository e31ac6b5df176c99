/* SPDX-License-Identifier: MIT */
/* Any bytes as a device tree: read as the boot path does, with the promises of struct boot_info
 * checked on what comes out. The input is copied to memory of exactly its size, so that a read past
 * the end is a finding.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <boot/fdt.h>
#include <helix/boot_info.h>
#include <port/dt.h>

#define LIMIT (1ull << 44)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void regions_check(const struct boot_info *info)
{
    uint64_t end = 0;
    require(info->region_count <= BOOT_REGIONS_MAX);
    for (uint32_t i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        require(r->size > 0 && r->base % 4096 == 0 && r->size % 4096 == 0);
        require(r->base >= end && r->base + r->size > r->base && r->base + r->size <= LIMIT);
        end = r->base + r->size;
    }
}

static void visit_registers(void *ctx, const struct dt_walk *walk)
{
    uint64_t *sum = ctx, base, size;
    for (uint32_t i = 0; i < 4 && dt_reg(walk, i, &base, &size); i++) {
        require(size == 0 || base + (size - 1) >= base);
        *sum += base + size;
    }
    *sum += dt_node(walk)->enabled + strlen(dt_node(walk)->name);
    *sum += (uint64_t)dt_prop_index(&dt_node(walk)->compatible, "arm,pl011");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_info info;
    uint64_t sum = 0;
    void *tree = malloc(size > 0 ? size : 1);
    size_t total;
    require(tree != NULL);
    if (size > 0) {
        memcpy(tree, data, size);
    }
    if (dt_check(tree, size, &total) == HX_OK) {
        memset(&info, 0, sizeof(info));
        info.dtb = 0x48000000;
        info.dtb_size = total;
        info.kernel_base = 0x40200000;
        info.kernel_size = 0x100000;
        boot_fdt_read(&info, tree);
        require(memchr(info.cmdline, 0, sizeof(info.cmdline)) != NULL);
        require(info.module_count <= BOOT_MODULES_MAX);
        for (uint32_t i = 0; i < info.module_count; i++) {
            require(info.modules[i].size > 0);
        }
        if (boot_info_normalise(&info, LIMIT) != HX_ERR_NOT_FOUND) {
            regions_check(&info);
        }
        if (dt_walk(tree, visit_registers, &sum) == HX_OK) {
            sum += (uint64_t)dt_stdout(tree);
        }
    }
    free(tree);
    return 0;
}
