/* SPDX-License-Identifier: MIT */
/* Making sense of memory maps: shared by all boot paths.
 * Owns:      nothing; works on the caller's boot_info.       Callers: boot/<arch>.
 * Context:   early; also built for the host, where it is fuzzed.
 * Method:    collect the ends of all raw regions, cut the space at each, give every piece the
 *            strongest kind that covers it, join equal neighbours. Quadratic in at most
 *            BOOT_REGIONS_MAX regions; sorting by kind first was rejected, it needs as much code.
 * Invariant: (1) losing a RAM region costs memory, losing any other could hand out what is not
 *            ours; so when the table is full, RAM goes first.
 */
#include <helix/bits.h>
#include <helix/boot_info.h>

#define CUTS_MAX (2 * BOOT_REGIONS_MAX)

static void drop(struct boot_info *info, u32 index)
{
    info->region_count--;
    info->regions_dropped++;
    for (u32 i = index; i < info->region_count; i++) {
        info->regions[i] = info->regions[i + 1];
    }
}

/* The smallest RAM region, or region_count when there is none. */
static u32 smallest_ram(const struct boot_info *info)
{
    u32 found = info->region_count;
    for (u32 i = 0; i < info->region_count; i++) {
        if (info->regions[i].kind == BOOT_REGION_RAM &&
            (found == info->region_count || info->regions[i].size < info->regions[found].size)) {
            found = i;
        }
    }
    return found;
}

void boot_info_add_region(struct boot_info *info, paddr_t base, u64 size,
                          enum boot_region_kind kind)
{
    if (size == 0) {
        return;
    }
    if (size > UINT64_MAX - base) {
        size = UINT64_MAX - base; /* the last byte of the space is not worth a wider type */
    }
    if (info->region_count == BOOT_REGIONS_MAX) { /* inv 1 */
        u32 victim = kind == BOOT_REGION_RAM ? info->region_count : smallest_ram(info);
        if (victim == info->region_count) {
            info->regions_dropped++;
            return;
        }
        drop(info, victim);
    }
    info->regions[info->region_count++] = (struct boot_region){base, size, kind};
}

/* RAM shrinks to whole pages, everything else grows; what is beyond the limit goes. False when
 * nothing is left. */
static bool align_region(struct boot_region *r, u64 phys_limit)
{
    u64 end = r->base + r->size, aligned_end;
    if (r->kind == BOOT_REGION_RAM) {
        if (!hx_align_up_checked(r->base, HX_PAGE_SIZE, &r->base)) {
            return false;
        }
        end = hx_align_down(end, HX_PAGE_SIZE);
    } else {
        r->base = hx_align_down(r->base, HX_PAGE_SIZE);
        end = hx_align_up_checked(end, HX_PAGE_SIZE, &aligned_end)
                  ? aligned_end
                  : hx_align_down(UINT64_MAX, HX_PAGE_SIZE);
    }
    end = hx_min_u64(end, hx_align_down(phys_limit, HX_PAGE_SIZE));
    if (r->base >= end) {
        return false;
    }
    r->size = end - r->base;
    return true;
}

static u32 collect_cuts(const struct boot_info *info, u64 *cuts)
{
    u32 count = 0;
    for (u32 i = 0; i < info->region_count; i++) {
        u64 ends[2] = {info->regions[i].base, info->regions[i].base + info->regions[i].size};
        for (u32 e = 0; e < 2; e++) {
            u32 at = count;
            while (at > 0 && cuts[at - 1] >= ends[e]) {
                at--;
            }
            if (at < count && cuts[at] == ends[e]) {
                continue;
            }
            for (u32 k = count; k > at; k--) {
                cuts[k] = cuts[k - 1];
            }
            cuts[at] = ends[e];
            count++;
        }
    }
    return count;
}

/* The strongest kind over [base, base + 1 page), or KIND_COUNT for a gap. */
static enum boot_region_kind kind_at(const struct boot_info *info, paddr_t base)
{
    enum boot_region_kind best = BOOT_REGION_KIND_COUNT;
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        if (base >= r->base && base - r->base < r->size &&
            (best == BOOT_REGION_KIND_COUNT || r->kind > best)) {
            best = r->kind;
        }
    }
    return best;
}

/* Makes room by what costs least: RESERVED is the same as a gap, then the least RAM. */
static enum hx_status fit(struct boot_region *out, u32 *count, struct boot_info *info)
{
    enum hx_status status = HX_OK;
    while (*count > BOOT_REGIONS_MAX) {
        u32 victim = *count;
        for (u32 i = 0; i < *count; i++) {
            if (out[i].kind == BOOT_REGION_RESERVED) {
                victim = i;
                break;
            }
            if (out[i].kind == BOOT_REGION_RAM &&
                (victim == *count || out[i].size < out[victim].size)) {
                victim = i;
            }
        }
        if (victim == *count) {
            victim = *count - 1;
        }
        if (out[victim].kind != BOOT_REGION_RESERVED) {
            info->regions_dropped++;
            status = HX_ERR_NO_SPACE;
        }
        (*count)--;
        for (u32 i = victim; i < *count; i++) {
            out[i] = out[i + 1];
        }
    }
    return status;
}

enum hx_status boot_info_normalise(struct boot_info *info, u64 phys_limit)
{
    static u64 cuts[CUTS_MAX]; /* large, and there is one CPU and one call */
    static struct boot_region out[CUTS_MAX];

    for (u32 i = 0; i < info->region_count;) {
        if (align_region(&info->regions[i], phys_limit)) {
            i++;
        } else {
            drop(info, i);
        }
    }
    u32 cut_count = collect_cuts(info, cuts), count = 0;
    for (u32 i = 0; i + 1 < cut_count; i++) {
        enum boot_region_kind kind = kind_at(info, cuts[i]);
        if (kind == BOOT_REGION_KIND_COUNT) {
            continue;
        }
        struct boot_region *last = count ? &out[count - 1] : NULL;
        if (last && last->kind == kind && last->base + last->size == cuts[i]) {
            last->size = cuts[i + 1] - last->base;
        } else {
            out[count++] = (struct boot_region){cuts[i], cuts[i + 1] - cuts[i], kind};
        }
    }
    enum hx_status status = fit(out, &count, info);
    bool ram = false;
    for (u32 i = 0; i < count; i++) {
        info->regions[i] = out[i];
        ram |= out[i].kind == BOOT_REGION_RAM;
    }
    info->region_count = count;
    return ram ? status : HX_ERR_NOT_FOUND;
}
