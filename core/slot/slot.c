/* SPDX-License-Identifier: MIT */
/* Swapping what serves a slot, taking it back, and healing it.
 * Owns:      the state of every slot; the healing task.      Callers: shell; slots' shims.
 * Context:   thread; slot_faulted() any.      Locks: none held over a phase: state->busy lets one
 *            swap, rollback or repair at a time into a slot, and others are told BUSY.
 *
 *   state->current                     state->previous
 *   own or M1        --swap M2-->      M1 frozen, M2 in probation
 *   M2 in probation  --time-->         M2, M1 stopped and unloaded      finish()
 *   M2 in probation  --fault, rollback--> M1                            go_back()
 *   M2               --fault-->        own -> M2 again, from its file   heal_slot()
 *   M2               --3 faults in 1 s--> own, M2 quarantined
 *
 * Invariant: (1) the subsystem calls the tables of `current` and, until settled(), of `previous`
 * and of nobody else; so an instance is unloaded only when it is neither. (2) up to SLOT_COMMIT
 * nothing of `current` has changed, and a failure gives back all that the new one took. (3) while
 * something serves that is not `current`, the subsystem serves by itself.
 */
#include <core/slot.h>

#include <core/memory.h>
#include <core/orchestrator.h>
#include <core/sync.h>
#include <core/time.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>

static struct {
    struct event wake;
    struct timer timer;         /* wakes the healer from where nothing may be woken */
    bool pending;               /* a */
    u32 fail[SLOT_PHASE_COUNT]; /* a: failpoints */
} slots;

static const char *const phase_names[] = {
    "none", "read",   "signature", "check", "memory", "relocate", "bind",      "map",    "init",
    "copy", "verify", "gate",      "move",  "start",  "commit",   "probation", "finish",
};
_Static_assert(HX_ARRAY_SIZE(phase_names) == SLOT_PHASE_COUNT, "a phase without a name");

const char *slot_phase_name(enum slot_phase phase)
{
    return phase < SLOT_PHASE_COUNT ? phase_names[phase] : "?";
}

const struct slot *slot_find(const char *name)
{
    HX_SET_FOREACH (slots, it) {
        if (str_equal((*it)->name, name)) {
            return *it;
        }
    }
    return NULL;
}

bool slot_is_exclusive(const char *interface)
{
    return slot_find(interface) != NULL;
}

const char *slot_of_module(const struct module_instance *m)
{
    HX_SET_FOREACH (slots, it) {
        if ((*it)->state->current == m || (*it)->state->previous == m) {
            return (*it)->name;
        }
    }
    return NULL;
}

void slot_fail(enum slot_phase phase, u32 times)
{
    __atomic_store_n(&slots.fail[phase], times, __ATOMIC_RELAXED);
}

enum hx_status slot_failpoint(enum slot_phase phase)
{
    if (hx_likely(!__atomic_load_n(&slots.fail[phase], __ATOMIC_RELAXED))) {
        return HX_OK;
    }
    __atomic_fetch_sub(&slots.fail[phase], 1, __ATOMIC_RELAXED);
    return HX_ERR_CANCELLED;
}

static bool slot_lock(const struct slot *slot)
{
    return !__atomic_exchange_n(&slot->state->busy, true, __ATOMIC_ACQUIRE);
}

/* The healer ends a probation in a moment; a swap that takes longer than a second is reported. */
static bool slot_lock_soon(const struct slot *slot)
{
    u64 deadline = time_now_ns() + SLOT_TIMEOUT_MS * HX_NS_PER_MS;
    while (!slot_lock(slot)) {
        if (time_now_ns() > deadline) {
            return false;
        }
        HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it is asked again");
    }
    return true;
}

static void slot_unlock(const struct slot *slot)
{
    __atomic_store_n(&slot->state->busy, false, __ATOMIC_RELEASE);
}

/* -- phases */

struct swap {
    const struct slot *slot;
    const struct slot_wish *wish;
    struct module_instance *m; /* the new one; NULL: the subsystem's own */
    const void *table;
    bool loaded_here;
    struct slot_report *report;
};

static enum hx_status fail(struct swap *s, enum slot_phase phase, enum hx_status status,
                           const char *why)
{
    s->report->phase = phase;
    s->report->status = status;
    HX_IGNORE(str_copy(s->report->why, why, sizeof(s->report->why)), "a cut reason is a reason");
    return status;
}

/* A failpoint, or what the phase answered. */
static enum hx_status phase(struct swap *s, enum slot_phase phase, enum hx_status status,
                            const char *why)
{
    if (status == HX_OK) {
        status = slot_failpoint(phase);
        why = "failpoint";
    }
    return status == HX_OK ? HX_OK : fail(s, phase, status, why);
}

static u64 version_of(const struct module_instance *m)
{
    const u16 *v = m->manifest.version;
    return (u64)v[0] << 32 | (u64)v[1] << 16 | v[2];
}

static enum hx_status get_new(struct swap *s)
{
    const struct slot_wish *wish = s->wish;
    const struct module_instance *current = s->slot->state->current;
    s->m = wish->m;
    if (wish->file) {
        enum hx_status status =
            module_load_beside(wish->file, wish->size, wish->flags, wish->owned, &s->m);
        if (status != HX_OK) {
            return fail(s, module_phase(), status, module_reason());
        }
        s->loaded_here = true;
    }
    if (!s->m) {
        return HX_OK;
    }
    if (s->m->status != MODULE_INITIALIZED) {
        return fail(s, SLOT_READ, HX_ERR_BAD_STATE, "it is in use already");
    }
    s->table = module_table(s->m, s->slot->name, s->slot->major);
    if (!s->table) {
        return fail(s, SLOT_CHECK, HX_ERR_ABI, "it does not provide this interface");
    }
    if (current && !wish->downgrade && str_equal(current->manifest.name, s->m->manifest.name) &&
        version_of(s->m) < version_of(current)) {
        return fail(s, SLOT_CHECK, HX_ERR_ABI, "a downgrade: a newer version serves");
    }
    return phase(s, SLOT_CHECK, s->slot->ops->check(s->table), "its table is refused");
}

/* From the old one to the new, while the old one serves; again, and for good, inside the gate. */
static enum hx_status copy_state(struct swap *s, enum slot_phase in_phase)
{
    struct module_instance *old = s->slot->state->current;
    if (!old || !s->m || !old->manifest.state_version || !s->m->manifest.state_version) {
        return phase(s, in_phase, HX_OK, "");
    }
    if (old->manifest.state_schema != s->m->manifest.state_schema) {
        return fail(s, in_phase, HX_ERR_ABI, "its state is about something else");
    }
    struct module_state state = {.schema = old->manifest.state_schema,
                                 .version = old->manifest.state_version,
                                 .max = (u32)HX_KIB(64)};
    state.data = kmalloc(state.max);
    if (!state.data) {
        return fail(s, in_phase, HX_ERR_NO_MEMORY, "no memory for its state");
    }
    enum hx_status status = module_call_state(old, old->self.descriptor->ops.save_state, &state);
    if (status == HX_OK && state.size > state.max) {
        status = HX_ERR_CORRUPT;
    }
    if (status == HX_OK) {
        /* The new one may only read it, but nothing stops a bug from writing: a copy is enough. */
        status = module_call_state(s->m,
                                   (enum hx_status(*)(struct module *, struct module_state *))(
                                       uintptr_t)s->m->self.descriptor->ops.restore_state,
                                   &state);
    }
    kfree(state.data);
    return phase(s, in_phase, status, "its state was not taken over");
}

static enum hx_status prepare(struct swap *s)
{
    enum hx_status status = get_new(s);
    if (status == HX_OK) {
        status = copy_state(s, SLOT_COPY);
    }
    if (status == HX_OK) {
        status = phase(s, SLOT_VERIFY,
                       s->m ? module_call(s->m, s->m->self.descriptor->ops.verify) : HX_OK,
                       "its invariants do not hold");
    }
    return status;
}

static enum hx_status exchange_to(const struct slot *slot, struct module_instance *m,
                                  struct slot_report *out)
{
    const void *table = m ? module_table(m, slot->name, slot->major) : NULL;
    u64 deadline = time_now_ns() + SLOT_TIMEOUT_MS * HX_NS_PER_MS;
    return slot->ops->exchange(table, m, deadline, &out->pause);
}

static enum hx_status commit(struct swap *s)
{
    u64 timeout = s->wish->timeout_ms ? s->wish->timeout_ms : SLOT_TIMEOUT_MS;
    u64 deadline = time_now_ns() + timeout * HX_NS_PER_MS;
    enum hx_status status = phase(s, SLOT_GATE, HX_OK, "");
    if (status == HX_OK) {
        status = copy_state(s, SLOT_MOVE);
    }
    if (status == HX_OK) {
        status = phase(s, SLOT_START, s->m ? module_start(s->m) : HX_OK, "it did not start");
    }
    if (status == HX_OK) {
        status = phase(s, SLOT_COMMIT, HX_OK, "");
    }
    if (status == HX_OK) {
        status = s->slot->ops->exchange(s->table, s->m, deadline, &s->report->pause);
        if (status != HX_OK) {
            fail(s, SLOT_COMMIT, status, "the subsystem did not change over");
        }
        if (status == HX_ERR_BAD_STATE) { /* the new one died on the way, and took both out */
            struct slot_report ignored;
            HX_IGNORE(exchange_to(s->slot, s->slot->state->current, &ignored),
                      "if not even this works, the subsystem serves by itself");
        }
    }
    return status;
}

/* -- after the commit */

/* False: not within the time that a gate has. */
static bool wait_settled(const struct slot *slot)
{
    u64 deadline = time_now_ns() + SLOT_TIMEOUT_MS * HX_NS_PER_MS;
    while (!slot->ops->settled()) {
        if (time_now_ns() > deadline) {
            return false;
        }
        HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it is asked again");
    }
    return true;
}

/* The previous one goes for good; of its file is remembered where it is. False: something still
 * runs in it; whoever comes next tries again. */
static bool finish(const struct slot *slot)
{
    struct slot_state *state = slot->state;
    struct module_instance *old = state->previous;
    state->in_probation = false;
    if (!wait_settled(slot)) { /* inv 1 */
        return false;
    }
    if (old) {
        state->previous = NULL;
        if (!old->file_owned && old->status == MODULE_FROZEN) {
            state->last_good.file = old->file;
            state->last_good.size = old->file_size;
        }
        HX_IGNORE(module_unload(old), "a built-in one is kept; nobody depends on the others");
    }
    return true;
}

static void thaw(struct module_instance *m)
{
    if (m && m->status == MODULE_FROZEN) {
        void (*resume)(struct module * self) = m->self.descriptor->ops.resume;
        HX_IGNORE(module_call(m, (enum hx_status(*)(struct module *))(uintptr_t)resume),
                  "it says nothing, or has died");
        if (m->status == MODULE_FROZEN) {
            module_move(m, MODULE_RUNNING);
        }
    }
}

/* In probation: back to what served before. */
static enum hx_status go_back(const struct slot *slot, struct slot_report *out)
{
    struct slot_state *state = slot->state;
    struct module_instance *bad = state->current, *old = state->previous;
    if (!wait_settled(slot)) {
        return HX_ERR_TIMED_OUT;
    }
    enum hx_status status = exchange_to(slot, old, out);
    if (status != HX_OK) {
        return status;
    }
    state->current = old;
    state->previous = NULL;
    state->in_probation = false;
    state->rollbacks++;
    thaw(old);
    if (!wait_settled(slot)) {
        state->previous = bad; /* inv 1: for finish(), later */
    } else if (bad) {
        HX_IGNORE(module_unload(bad), "it serves nobody any more");
    }
    return HX_OK;
}

static enum hx_status swap_locked(const struct slot *slot, const struct slot_wish *wish,
                                  struct slot_report *out)
{
    struct slot_state *state = slot->state;
    struct swap s = {.slot = slot, .wish = wish, .report = out};
    if (!finish(slot)) {
        if (wish->owned) {
            kfree((void *)(uintptr_t)wish->file);
        }
        return fail(&s, SLOT_READ, HX_ERR_TIMED_OUT, "the swap before this one has not settled");
    }
    enum hx_status status = prepare(&s);
    if (status == HX_OK) {
        status = commit(&s);
    }
    if (status != HX_OK) { /* inv 2 */
        state->failures++;
        if (s.m && (s.loaded_here || s.m->status != MODULE_INITIALIZED)) {
            HX_IGNORE(module_unload(s.m), "nothing depends on what never served");
        }
        return status;
    }
    struct module_instance *old = state->current;
    if (old && old->status == MODULE_RUNNING) {
        module_move(old, MODULE_FROZEN);
    }
    state->previous = old;
    state->own_before = !old;
    state->current = s.m;
    state->in_probation = s.m != NULL;
    state->probation_end = time_now_ns() + SLOT_PROBATION_NS;
    state->swaps++;
    if (s.m) { /* for the end of probation, and in case it died before it was in `current` */
        event_set(&slots.wake);
    }
    out->phase = SLOT_COMMIT;
    if (!s.m) {
        HX_IGNORE(finish(slot), "the next swap tries again");
    }
    return HX_OK;
}

enum hx_status slot_swap(const struct slot *slot, const struct slot_wish *wish,
                         struct slot_report *out)
{
    *out = (struct slot_report){.status = HX_OK};
    if (!slot_lock_soon(slot)) {
        struct swap s = {.report = out};
        if (wish->owned) {
            kfree((void *)(uintptr_t)wish->file);
        }
        return fail(&s, SLOT_READ, HX_ERR_BUSY, "a swap of this slot is under way");
    }
    u64 begin = time_now_ns();
    slot->state->recent_faults = 0; /* whoever swaps takes responsibility anew */
    enum hx_status status = swap_locked(slot, wish, out);
    out->total_ns = time_now_ns() - begin;
    out->status = status;
    slot_unlock(slot);
    return status;
}

enum hx_status slot_rollback(const struct slot *slot, struct slot_report *out)
{
    *out = (struct slot_report){.status = HX_OK};
    struct slot_state *state = slot->state;
    struct swap s = {.report = out};
    if (!slot_lock_soon(slot)) {
        return fail(&s, SLOT_READ, HX_ERR_BUSY, "a swap of this slot is under way");
    }
    u64 begin = time_now_ns();
    enum hx_status status;
    if (state->in_probation) {
        status = go_back(slot, out);
    } else if (state->last_good.file) {
        struct slot_wish wish = {.file = state->last_good.file,
                                 .size = state->last_good.size,
                                 .flags = MODULE_LOAD_TRUSTED, /* it was verified then */
                                 .downgrade = true};
        status = swap_locked(slot, &wish, out);
        state->rollbacks += status == HX_OK;
    } else if (state->current) {
        struct slot_wish own = {.file = NULL};
        status = swap_locked(slot, &own, out);
        state->rollbacks += status == HX_OK;
    } else {
        status = fail(&s, SLOT_READ, HX_ERR_NOT_FOUND, "nothing served before");
    }
    out->total_ns = time_now_ns() - begin;
    out->status = status;
    slot_unlock(slot);
    return status;
}

enum hx_status slot_settle(const struct slot *slot)
{
    if (!slot_lock_soon(slot)) {
        return HX_ERR_BUSY;
    }
    bool settled = finish(slot);
    slot_unlock(slot);
    return settled ? HX_OK : HX_ERR_BUSY;
}

/* -- healing */

static void heal_timer(struct timer *timer)
{
    (void)timer;
    event_set(&slots.wake);
}

void slot_faulted(struct module_instance *m)
{
    __atomic_store_n(&m->fault_pending, true, __ATOMIC_RELEASE);
    if (!__atomic_exchange_n(&slots.pending, true, __ATOMIC_ACQ_REL)) {
        timer_start(&slots.timer, 0);
    }
}

static bool too_often(struct slot_state *state)
{
    u64 now = time_now_ns();
    if (now - state->faults_since > SLOT_FAULTS_NS) {
        state->faults_since = now;
        state->recent_faults = 0;
    }
    return ++state->recent_faults > SLOT_FAULTS_MAX;
}

/* The module of a slot was ended: the subsystem serves by itself. inv 3 */
static void heal_slot(const struct slot *slot)
{
    struct slot_state *state = slot->state;
    struct module_instance *bad = state->current;
    struct slot_report report = {.status = HX_OK};
    state->faults++;
    log_error("heal", "%s: %s ended by %s (%s); the kernel's own serves", slot->name,
              bad->manifest.name, guard_fault_name(bad->domain.report.fault),
              bad->domain.report.what);
    module_fault(bad);
    bool back = state->in_probation;
    if (back && go_back(slot, &report) == HX_OK) {
        log_warn("heal", "%s: went back to %s, which served before", slot->name,
                 slot->ops->serving());
        return;
    }
    HX_IGNORE(exchange_to(slot, NULL, &report), "it serves already: this makes it official");
    state->current = NULL;
    if (!finish(slot)) {
        state->previous = state->previous ? state->previous : bad;
        return;
    }
    const void *file = bad->file;
    size_t size = bad->file_size;
    bool owned = bad->file_owned;
    if (too_often(state) || !file) {
        module_move(bad, MODULE_QUARANTINED);
        log_error("heal", "%s: %s is quarantined", slot->name, bad->manifest.name);
        return;
    }
    struct slot_wish wish = {
        .file = file, .size = size, .flags = MODULE_LOAD_TRUSTED, .owned = owned};
    bad->file_owned = false; /* the file goes to its successor */
    HX_IGNORE(module_unload(bad), "it serves nobody any more");
    if (swap_locked(slot, &wish, &report) != HX_OK) {
        log_error("heal", "%s: restart failed in phase %s: %s", slot->name,
                  slot_phase_name(report.phase), report.why);
        return;
    }
    HX_IGNORE(finish(slot), "what is restarted has nothing to go back to");
    log_warn("heal", "%s: %s restarted", slot->name, slot->ops->serving());
}

static bool look_at(const struct slot *slot)
{
    struct slot_state *state = slot->state;
    struct module_instance *m = state->current;
    bool ended = m && __atomic_load_n(&m->fault_pending, __ATOMIC_ACQUIRE);
    bool over = state->in_probation && time_now_ns() >= state->probation_end;
    if (!ended && !over) {
        return state->in_probation || (slot->polled && m);
    }
    if (!slot_lock(slot)) {
        return true; /* whoever swaps it looks after it */
    }
    m = state->current;
    if (m && __atomic_load_n(&m->fault_pending, __ATOMIC_ACQUIRE)) {
        heal_slot(slot);
    } else if (state->in_probation && time_now_ns() >= state->probation_end) {
        HX_IGNORE(finish(slot), "the next swap tries again");
    }
    slot_unlock(slot);
    return state->in_probation || (slot->polled && state->current);
}

static void healer(void *arg)
{
    (void)arg;
    for (;;) {
        __atomic_store_n(&slots.pending, false, __ATOMIC_RELEASE);
        bool again = false;
        HX_SET_FOREACH (slots, it) {
            again |= look_at(*it);
        }
        u64 until = again ? time_now_ns() + SLOT_PROBATION_NS : WAIT_FOREVER;
        HX_IGNORE(event_wait(&slots.wake, until), "a deadline is a reason to look, too");
    }
}

static enum hx_status slots_init(void)
{
    event_init(&slots.wake, false, true);
    slots.timer.expired = heal_timer;
    struct task *task;
    enum hx_status status = task_create("healer", healer, NULL, &task);
    if (status == HX_OK) {
        task_start(task);
        task_put(task);
    }
    return status;
}

COMPONENT(slots, .name = "slots", .version = "1.0", .needs = "kernel", .init = slots_init);
