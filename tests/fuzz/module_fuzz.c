/* SPDX-License-Identifier: MIT */
/* Fuzz target: a module file from a stranger, for either processor. Whatever is accepted is linked
 * as well, at an address of the fuzzer's choice: every write must stay inside the parts that the
 * plan asked for, which the address sanitizer watches.
 */
#include <helix/bits.h>
#include <modules/object.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_X86_64  62
#define MACHINE_AARCH64 183

void machine_set(u16 machine);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* The kernel has every name, somewhere far enough to need veneers now and then. */
static enum hx_status resolve(void *ctx, const char *name, u32 crc, u64 *out_address)
{
    const u64 *base = ctx;
    if (strlen(name) == 3 || crc == 1) {
        return HX_ERR_ABI;
    }
    *out_address = *base + crc;
    return HX_OK;
}

static void link_all(const struct module_plan *plan, u64 kernel)
{
    struct module_memory memory[PART_COUNT];
    struct module_reason reason;
    struct module_symbol *symbols = malloc((size_t)plan->symbol_count * sizeof(*symbols));
    u64 va = 0xffffffffa0001000ull;
    for (u32 i = 0; i < PART_COUNT; i++) {
        memory[i] = (struct module_memory){malloc(plan->size[i] + 1), va};
        va += hx_align_up(plan->size[i], 4096) + 4096;
    }
    HX_IGNORE(module_link(plan, memory, symbols, resolve, &kernel, &reason), "any answer will do");
    for (u32 i = 0; i < PART_COUNT; i++) {
        free(memory[i].data);
    }
    free(symbols);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct module_plan plan;
    struct module_reason reason;
    if (size < 16) {
        return 0;
    }
    /* The first bytes choose; the file itself is aligned as the kernel's copy is. */
    u16 machine = data[0] & 1 ? MACHINE_AARCH64 : MACHINE_X86_64;
    bool whole = data[0] & 2;
    u64 kernel = data[0] & 4 ? 0xffffffff80200000ull : 0x1000;
    u8 *file = malloc(size - 8);
    memcpy(file, data + 8, size - 8);
    machine_set(machine);
    enum hx_status status = whole ? module_file_check(file, size - 8, machine, &plan, &reason)
                                  : module_object_check(file, size - 8, machine, &plan, &reason);
    if (status == HX_OK && plan.size[0] + plan.size[1] + plan.size[2] < HX_MIB(1)) {
        link_all(&plan, kernel);
    }
    free(file);
    return 0;
}
