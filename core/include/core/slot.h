/* SPDX-License-Identifier: MIT */
/* Slots: where a policy of the kernel is exchanged while it serves. A slot has a name, the
 * interface that a module provides to fit in, and what the subsystem behind it does to change over.
 * The subsystem keeps an implementation of its own, so a slot is never empty.
 *
 * A swap is a two-phase commit, in phases that are numbered where they are reported:
 *   1 read  2 signature  3 check  4 memory  5 relocate  6 bind  7 map  8 init  9 copy state
 *   10 verify                                         all while the old one serves
 *   11 close the gate, drain  12 move what changed  13 start, verify  14 commit, open
 *   15 probation: the old one is kept frozen           16 finish: the old one goes
 * Whatever fails before 14 leaves the old one serving as if nothing had happened; a fault in 15
 * goes back to it.
 */
#ifndef CORE_SLOT_H
#define CORE_SLOT_H

#include <core/module.h>

#define SLOT_TIMEOUT_MS   1000u /* until the gate has to be drained */
#define SLOT_PROBATION_NS (100 * HX_NS_PER_MS)
#define SLOT_FAULTS_MAX   3u /* within SLOT_FAULTS_NS: quarantine */
#define SLOT_FAULTS_NS    (1 * HX_NS_PER_SEC)
#define SLOT_OWN          "own" /* in a module's place: the subsystem's own */

struct slot_ops {
    /* Can this table serve? Looks, touches nothing. Return: HX_OK, HX_ERR_ABI, HX_ERR_INVALID. */
    enum hx_status (*check)(const void *table);
    /* Has `table`, which is m's, serve from now on; both NULL: the subsystem's own. Return: HX_OK;
     * HX_ERR_BUSY; HX_ERR_TIMED_OUT; what the table itself answered: nothing has changed then.
     * *out_pause: cycles for which nobody was served. Thread. */
    enum hx_status (*exchange)(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause);
    /* Does nothing run in, or refer to, what served before any more? Thread. */
    bool (*settled)(void);
    /* What serves, by name: also after the subsystem has ejected a module by itself. Thread. */
    const char *(*serving)(void);
};

/* Marking: b whoever holds `busy`. */
struct slot {
    const char *name; /* I: the interface */
    u16 major;        /* I */
    const struct slot_ops *ops;
    bool timed;  /* I: modules are called by threads, interrupts enabled: a hang is noticed */
    bool polled; /* I: the healer looks for faults by itself while a module serves */
    struct slot_state {
        bool busy;                        /* a: a swap is under way */
        struct module_instance *current;  /* b: NULL: the subsystem's own */
        struct module_instance *previous; /* b: frozen, while in probation */
        bool in_probation, own_before;    /* b: what served before was the subsystem's own */
        u64 probation_end;                /* b */
        struct {
            const void *file; /* b: of the last good version that is gone; NULL: none */
            size_t size;
        } last_good;
        u64 faults_since;                       /* b */
        u32 recent_faults;                      /* b */
        u64 swaps, failures, rollbacks, faults; /* b */
    } * state;                                  /* I: filled in at boot */
};

HX_SET_DECLARE(slots, struct slot);

#define SLOT(id, ...)                                                                              \
    static struct slot_state slot_state_##id;                                                      \
    static const struct slot slot_##id = {.state = &slot_state_##id, __VA_ARGS__};                 \
    HX_SET_ADD(slots, slot_##id)

struct slot_report {
    enum slot_phase phase; /* where it ended; SLOT_COMMIT when it succeeded */
    enum hx_status status;
    u64 pause;    /* cycles from the gate's closing to its opening */
    u64 total_ns; /* of the whole swap */
    char why[120];
};

const struct slot *slot_find(const char *name);
const char *slot_phase_name(enum slot_phase phase);

/* Swaps what serves `slot` for the module of a file, or for one that is loaded and initialized
 * (`m`), or for the subsystem's own (neither). Return: HX_OK; HX_ERR_BUSY, a swap is under way;
 * HX_ERR_ABI, it provides no such interface, or is older than what serves; HX_ERR_TIMED_OUT; what
 * its phase answered. *out says which and why. Thread. */
struct slot_wish {
    const void *file; /* stays as it is; or NULL */
    size_t size;
    u32 flags;      /* MODULE_LOAD_* */
    bool owned;     /* the heap's: freed with the module, or at once when it is not loaded */
    bool downgrade; /* a lower version of the same module is meant */
    struct module_instance *m;
    u64 timeout_ms; /* 0: SLOT_TIMEOUT_MS */
};
enum hx_status slot_swap(const struct slot *slot, const struct slot_wish *wish,
                         struct slot_report *out) HX_MUST_CHECK;

/* Back to what served before. Return: as slot_swap(); HX_ERR_NOT_FOUND, there is nothing before. */
enum hx_status slot_rollback(const struct slot *slot, struct slot_report *out) HX_MUST_CHECK;

/* Ends probation early: what served before goes. Return: HX_OK, HX_ERR_BUSY. Thread. */
enum hx_status slot_settle(const struct slot *slot) HX_MUST_CHECK;

/* A module that serves was ended by a guard; the subsystem serves by itself already. Has it healed,
 * soon. Any context but NMI, locks up to LOCK_RANK_RUNQUEUE held. */
void slot_faulted(struct module_instance *m);

/* A module that serves, as the subsystem behind its slot calls it: a stand-in for the module's
 * table leads every call through here, so that the module's code is only entered guarded. */
struct slot_guest {
    const void *table; /* I: the module's own */
    struct module_instance *m;
    u32 ticks;  /* I: what one call may take; 0: it is called with interrupts masked */
    bool quiet; /* I: called where nothing may be woken: its slot is `polled` */
    bool dead;  /* a: it was ended, and is not entered any more */
};

/* Two are enough for a slot: the last is settled before another exchange begins. */
#define SLOT_GUESTS 2

/* The ticks of a call in thread context, as the module's manifest says. */
static inline u32 slot_ticks(const struct module_instance *m)
{
    return m->manifest.op_ticks ? m->manifest.op_ticks : MODULE_TICKS_DEFAULT;
}

/* Calls fn(a0, a1, a2, a3) of a guest: what it answered, or `otherwise` when it is dead, which it
 * may be from this very call on: the slot is healed soon then. Context: as guard_call(). In line,
 * to be called from one function of the subsystem that is not. */
static HX_ALWAYS_INLINE u64 slot_enter(struct slot_guest *g, const void *fn, u64 a0, u64 a1, u64 a2,
                                       u64 a3, u64 otherwise)
{
    u64 value = otherwise;
    if (g->dead || !fn) {
        return otherwise;
    }
    if (hx_unlikely(guard_call(&g->m->domain, g->ticks, (guarded_fn *)(uintptr_t)fn, a0, a1, a2, a3,
                               &value) != HX_OK)) {
        g->dead = true;
        if (g->quiet) {
            __atomic_store_n(&g->m->fault_pending, true, __ATOMIC_RELEASE);
        } else {
            slot_faulted(g->m);
        }
        return otherwise;
    }
    return value;
}

/* Failpoints: phase `phase` of the next `times` swaps fails by itself. Thread. */
void slot_fail(enum slot_phase phase, u32 times);

#endif
