/* SPDX-License-Identifier: MIT */
/* The slot console: modules that show text in the place of the kernel's consoles.
 * Owns:      the guest; the note of where the screen is mapped.      Context: output: console.lock
 * held, interrupts masked; the rest thread. The console's lock is the gate. Text is written while
 * any lock is held, the timers' included, so a fault cannot wake the healer: it looks by itself
 * (`polled`). Whatever a module was writing when it was ended is shown again by the consoles. A
 * panic goes past the module.
 */
#include <core/console.h>
#include <core/slot.h>
#include <hal/events.h>
#include <hal/mmu.h>

enum hx_status console_screen_map(const struct boot_framebuffer *info, vaddr_t *out_va)
{
    enum hx_status status =
        hal_event_device_map(info->base, (u64)info->pitch * info->height, MAP_COMBINE, out_va);
    if (status == HX_OK) {
        console_hardware.screen = *info;
        console_hardware.pixels = *out_va;
    }
    return status;
}

static struct slot_guest guest;
static const char *serving_now = SLOT_OWN;

static HX_NOINLINE bool write(const char *text, size_t n)
{
    const struct console_ops *ops = guest.table;
    slot_enter(&guest, (const void *)(uintptr_t)ops->write, (u64)text, n, 0, 0, 0);
    return !guest.dead;
}

static enum hx_status check(const void *table)
{
    const struct console_ops *ops = table;
    return ops->abi_version == CONSOLE_ABI && ops->size == sizeof(*ops) && ops->write ? HX_OK
                                                                                      : HX_ERR_ABI;
}

static enum hx_status exchange(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause)
{
    (void)deadline_ns;
    u64 begin = hal_cycles_read();
    console_divert(NULL); /* nobody is in the old one any more */
    if (m) {
        guest = (struct slot_guest){.table = table, .m = m, .quiet = true};
        console_divert(write);
    }
    *out_pause = hal_cycles_read() - begin;
    serving_now = m ? m->manifest.name : SLOT_OWN;
    return HX_OK;
}

static bool settled(void)
{
    return true;
}

static const char *serving(void)
{
    return guest.dead ? SLOT_OWN : serving_now;
}

static const struct slot_ops console_slot_ops = {
    .check = check, .exchange = exchange, .settled = settled, .serving = serving};

SLOT(console, .name = "console", .major = CONSOLE_ABI, .ops = &console_slot_ops, .polled = true);
