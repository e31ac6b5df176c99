/* SPDX-License-Identifier: MIT */
/* Modules that misbehave, one for each value of HOSTILE; tests/boot/modules.py loads them.
 */
#include <helix/module.h>
#include <helix/panic.h>
#include <memory/frame.h>
#include <memory/frame_alloc.h>

#define INIT_FAILS  1
#define INIT_HANGS  2
#define INIT_FAULTS 3
#define INIT_ASSERT 4
#define LEAKS       5
#define NEEDS       6
#define NO_RIGHT    7
#define OLD         8
#define CYCLE       9
#define STOP_HANGS  10
#define HUNGRY      11

static volatile u32 never;

static enum hx_status hostile_init(struct module *self)
{
    switch (HOSTILE) {
    case INIT_FAILS:
        return module_alloc(self, 100) ? HX_ERR_IO : HX_ERR_NO_MEMORY;
    case INIT_HANGS:
        while (never == 0) {
        }
        return HX_OK;
    case INIT_FAULTS:
        return (enum hx_status) * (volatile s32 *)(uintptr_t)never;
    case INIT_ASSERT:
        HX_ASSERT(never == 1);
        return HX_OK;
    case LEAKS:
        return module_alloc(self, 5000) && module_alloc(self, 20) ? HX_OK : HX_ERR_NO_MEMORY;
    case HUNGRY: /* everything there is; the ledger gives it back */
        while (module_alloc(self, HX_MIB(1))) {
        }
        return HX_ERR_NO_MEMORY;
    default:
        return HX_OK;
    }
}

static void hostile_stop(struct module *self)
{
    (void)self;
#if HOSTILE == NO_RIGHT
    never += frame_table != NULL;
#endif
    while (HOSTILE == STOP_HANGS && never == 0) {
    }
}

static const u64 nothing[1];

#if HOSTILE == OLD
MODULE(bitmap, .version = {0, 9, 0}, .summary = "an older bitmap",
       .provides = {{"frame.alloc", FRAME_ALLOC_ABI, 0}}, .init_ms = 20);
MODULE_CODE(bitmap, .interfaces = {nothing}, .ops = {.init = hostile_init, .stop = hostile_stop});
#else
#if HOSTILE == NEEDS
#define REQUIRED "test.missing"
#elif HOSTILE == CYCLE
#define REQUIRED "test.hostile"
#else
#define REQUIRED ""
#endif

MODULE(hostile, .version = {1, 0, 0}, .summary = "does what no module should",
       .provides = {{"test.hostile", 1, 0}}, .init_ms = 20, .requires = {{REQUIRED, 1, 0, 0}});
MODULE_CODE(hostile, .interfaces = {nothing}, .ops = {.init = hostile_init, .stop = hostile_stop});
#endif
