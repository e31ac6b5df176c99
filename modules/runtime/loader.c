/* SPDX-License-Identifier: MIT */
/* From a file to an instance in memory, none of whose code has run.
 * Owns:      nothing.      Caller: registry.c.      Context: thread, under the registry's mutex.
 * In the numbered phases of a swap: 2 signature, 3 check, 4 memory, 5 relocate and 6 bind (in one
 * pass of module_link), 7 map. A failure in any gives back all of it.
 */
#include "loader_priv.h"

#include <core/memory.h>
#include <hal/cpu.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/string.h>
#include <memory/frame.h>

static bool in_part(const struct module_area *area, enum module_part part, const void *p, u64 size)
{
    vaddr_t at = (vaddr_t)p, base = area->part[part].va;
    u64 bytes = (u64)area->part[part].pages << HX_PAGE_SHIFT;
    return at >= base && at - base <= bytes && size <= bytes - (at - base);
}

/* Every pointer of the descriptor leads into the module; those of the interfaces' tables are
 * checked by who gets them. */
static enum hx_status descriptor_check(const struct module_area *area,
                                       const struct module_descriptor *d,
                                       const struct module_manifest *m,
                                       struct module_reason *reason)
{
    const void *ops[] = {(const void *)d->ops.init,       (const void *)d->ops.restore_state,
                         (const void *)d->ops.start,      (const void *)d->ops.verify,
                         (const void *)d->ops.save_state, (const void *)d->ops.resume,
                         (const void *)d->ops.stop,       (const void *)d->ops.cleanup,
                         (const void *)d->ops.health};
    _Static_assert(sizeof(ops) == sizeof(d->ops), "every operation is checked");
    for (u32 i = 0; i < HX_ARRAY_SIZE(ops); i++) {
        if (ops[i] && !in_part(area, PART_CODE, ops[i], 1)) {
            format_buffer(reason->text, sizeof(reason->text), "operation %u is outside the code",
                          i);
            return HX_ERR_CORRUPT;
        }
    }
    for (u32 i = 0; i < MODULE_PROVIDES_MAX; i++) {
        bool named = m->provides[i].name[0] != 0;
        const void *table = d->interfaces[i];
        if (named ? !in_part(area, PART_CONSTANT, table, 8) && !in_part(area, PART_DATA, table, 8)
                  : table != NULL) {
            format_buffer(reason->text, sizeof(reason->text),
                          "interface %u has no table inside the module", i);
            return HX_ERR_CORRUPT;
        }
    }
    return HX_OK;
}

static enum hx_status link_area(struct module_instance *m, const struct module_plan *plan,
                                struct module_reason *reason)
{
    struct module_memory memory[PART_COUNT];
    area_memory(m->area, memory);
    struct module_symbol *symbols = kmalloc(plan->symbol_count * sizeof(*symbols));
    if (!symbols) {
        return HX_ERR_NO_MEMORY;
    }
    u32 capabilities = plan->manifest.capabilities;
    enum hx_status status =
        module_link(plan, memory, symbols, export_resolve, &capabilities, reason);
    kfree(symbols);
    return status;
}

/* The failpoint behind a phase that has succeeded. */
static enum hx_status passed(enum slot_phase phase, struct module_reason *reason)
{
    enum hx_status status = slot_failpoint(phase);
    if (status != HX_OK) {
        format_buffer(reason->text, sizeof(reason->text), "failpoint");
    }
    return status;
}

static enum hx_status build_area(struct module_instance *m, const struct module_plan *plan,
                                 enum slot_phase *phase, struct module_reason *reason)
{
    *phase = SLOT_MEMORY;
    enum hx_status status = area_alloc(plan->size, FRAME_FIRST_MODULE + m->number, &m->area);
    if (status == HX_OK) {
        status = passed(SLOT_MEMORY, reason);
    }
    if (status == HX_OK) {
        status = link_area(m, plan, reason);
        *phase = status == HX_ERR_OVERFLOW || status == HX_OK ? SLOT_RELOCATE : SLOT_BIND;
    }
    if (status == HX_OK) {
        status = passed(SLOT_RELOCATE, reason);
    }
    if (status == HX_OK) {
        *phase = SLOT_BIND;
        status = passed(SLOT_BIND, reason);
    }
    if (status == HX_OK) {
        *phase = SLOT_MAP;
        status = area_map(m->area);
    }
    if (status == HX_OK) {
        status = passed(SLOT_MAP, reason);
    }
    if (status == HX_OK) {
        vaddr_t constants = m->area->part[PART_CONSTANT].va;
        m->self.descriptor = (const struct module_descriptor *)(constants + plan->descriptor_at);
        status = descriptor_check(m->area, m->self.descriptor, &m->manifest, reason);
    }
    if (status != HX_OK) {
        instance_unbuild(m);
        return status;
    }
    m->domain.text = m->area->part[PART_CODE].va;
    m->domain.text_end =
        m->domain.text + ((vaddr_t)m->area->part[PART_CODE].pages << HX_PAGE_SHIFT);
    m->domain.name = m->manifest.name;
    return HX_OK;
}

enum hx_status instance_build(struct module_instance *m, u32 flags, enum slot_phase *phase,
                              struct module_reason *reason)
{
    *phase = SLOT_READ;
    enum hx_status status = passed(SLOT_READ, reason);
    if (status != HX_OK) {
        return status;
    }
    *phase = SLOT_SIGNATURE;
    if (!(flags & MODULE_LOAD_TRUSTED)) {
        status = signature_check(m->file, m->file_size);
        if (status != HX_OK) {
            format_buffer(reason->text, sizeof(reason->text),
                          "not signed by the key of this kernel");
            return status;
        }
    }
    status = passed(SLOT_SIGNATURE, reason);
    if (status != HX_OK) {
        return status;
    }
    *phase = SLOT_CHECK;
    struct module_plan *plan = kmalloc(sizeof(*plan));
    if (!plan) {
        return HX_ERR_NO_MEMORY;
    }
    status = module_file_check(m->file, m->file_size, hal_elf_machine, plan, reason);
    if (status == HX_OK) {
        status = passed(SLOT_CHECK, reason);
    }
    if (status == HX_OK) {
        m->manifest = plan->manifest;
        status = build_area(m, plan, phase, reason);
    }
    kfree(plan);
    return status;
}

void instance_unbuild(struct module_instance *m)
{
    if (m->area) {
        area_free(m->area);
        m->area = NULL;
        m->self.descriptor = NULL;
    }
}
