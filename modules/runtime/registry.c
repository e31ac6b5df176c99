/* SPDX-License-Identifier: MIT */
/* All instances of modules: their lives, and what they need of each other.
 * Owns:      the list of instances.      Callers: shell, slots, healing.
 * Context:   thread.      Locks: registry.mutex, held over a module's init and cleanup: those are
 *            bounded by guards, and two loads at once are of no use to anybody.
 * Invariant: (1) an instance's status changes by move() alone, along the picture in
 * <core/module.h>. (2) no instance that is Initialized or later lacks an interface that it
 * requires. (3) what a module took is on its ledger: nothing of it outlives cleanup and reclaim.
 */
#include "loader_priv.h"

#include <core/memory.h>
#include <core/orchestrator.h>
#include <core/sync.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>

extern const char __text_start[], __text_end[];

static struct {
    struct mutex mutex;
    struct list_node instances;
    u32 next_number;
    struct module_reason reason; /* of the last failure */
    enum slot_phase phase;       /* and where it was */
} registry = {.mutex = MUTEX_INIT(registry.mutex),
              .instances = LIST_INIT(registry.instances),
              .next_number = 1};

static const char *const status_names[] = {
    [MODULE_CREATED] = "created", [MODULE_INITIALIZED] = "initialized",
    [MODULE_RUNNING] = "running", [MODULE_FROZEN] = "frozen",
    [MODULE_STOPPED] = "stopped", [MODULE_UNLOADED] = "unloaded",
    [MODULE_FAULTED] = "faulted", [MODULE_QUARANTINED] = "quarantined"};
_Static_assert(HX_ARRAY_SIZE(status_names) == MODULE_STATUS_COUNT, "a status without a name");

const char *module_status_name(enum module_status status)
{
    return status < MODULE_STATUS_COUNT ? status_names[status] : "?";
}

const char *module_reason(void)
{
    return registry.reason.text;
}

/* inv 1: by status, a bit for each one it may go to. */
static const u16 moves[MODULE_STATUS_COUNT] = {
    [MODULE_CREATED] = 1u << MODULE_INITIALIZED | 1u << MODULE_FAULTED | 1u << MODULE_STOPPED,
    [MODULE_INITIALIZED] = 1u << MODULE_RUNNING | 1u << MODULE_FAULTED | 1u << MODULE_STOPPED,
    [MODULE_RUNNING] = 1u << MODULE_FROZEN | 1u << MODULE_FAULTED | 1u << MODULE_STOPPED,
    [MODULE_FROZEN] = 1u << MODULE_RUNNING | 1u << MODULE_FAULTED | 1u << MODULE_STOPPED,
    [MODULE_STOPPED] = 1u << MODULE_UNLOADED,
    [MODULE_FAULTED] = 1u << MODULE_STOPPED | 1u << MODULE_QUARANTINED,
    [MODULE_QUARANTINED] = 1u << MODULE_STOPPED,
};

void module_move(struct module_instance *m, enum module_status to)
{
    HX_ASSERT(moves[m->status] & 1u << to); /* inv 1 */
    m->status = to;
}

/* -- calling it */

static void died(struct module_instance *m)
{
    char where[64] = "";
    if (m->domain.report.address) {
        format_buffer(where, sizeof(where), " of 0x%lx", m->domain.report.address);
    }
    log_error("module", "%s ended by %s: %s%s at 0x%lx (code from 0x%lx)", m->manifest.name,
              guard_fault_name(m->domain.report.fault), m->domain.report.what, where,
              m->domain.report.pc, m->domain.text);
    if (m->status != MODULE_FAULTED && m->status != MODULE_STOPPED) {
        module_move(m, MODULE_FAULTED);
    }
}

static enum hx_status call(struct module_instance *m, guarded_fn *fn, u64 a1, u32 ticks)
{
    if (!fn) {
        return HX_OK;
    }
    u64 value = 0;
    enum hx_status status = guard_call(&m->domain, ticks, fn, (u64)&m->self, a1, 0, 0, &value);
    if (status != HX_OK) {
        died(m);
        return status;
    }
    return (enum hx_status)(s32)value;
}

static u32 init_ticks(const struct module_instance *m)
{
    return m->manifest.init_ms ? m->manifest.init_ms : MODULE_MS_DEFAULT;
}

enum hx_status module_call(struct module_instance *m, enum hx_status (*op)(struct module *self))
{
    return call(m, (guarded_fn *)(uintptr_t)op, 0, init_ticks(m));
}

enum hx_status module_call_state(struct module_instance *m,
                                 enum hx_status (*op)(struct module *self, struct module_state *s),
                                 struct module_state *state)
{
    return call(m, (guarded_fn *)(uintptr_t)op, (u64)state, init_ticks(m));
}

/* A function that returns nothing leaves whatever in the register: it is not looked at. */
static void call_void(struct module_instance *m, void (*op)(struct module *self))
{
    HX_IGNORE(call(m, (guarded_fn *)(uintptr_t)op, 0, init_ticks(m)),
              "it says nothing, or has died");
}

/* For a module without health: what an entry into the guard by itself says. */
static u64 well(u64 a0, u64 a1, u64 a2, u64 a3)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)a3;
    return HX_OK;
}

enum hx_status module_probe(struct module_instance *m)
{
    enum hx_status (*health)(struct module * self) = m->self.descriptor->ops.health;
    return call(m, health ? (guarded_fn *)(uintptr_t)health : well, 0,
                m->manifest.op_ticks ? m->manifest.op_ticks : MODULE_TICKS_DEFAULT);
}

void module_fault(struct module_instance *m)
{
    mutex_acquire(&registry.mutex);
    m->fault_pending = false;
    if (m->status != MODULE_FAULTED) {
        module_move(m, MODULE_FAULTED);
    }
    mutex_release(&registry.mutex);
}

enum slot_phase module_phase(void)
{
    return registry.phase;
}

/* -- who needs whom */

static const struct module_interface *provided(const struct module_instance *m, const char *name,
                                               u16 major)
{
    for (u32 i = 0; i < MODULE_PROVIDES_MAX; i++) {
        const struct module_interface *p = &m->manifest.provides[i];
        if (str_equal(p->name, name) && p->major == major) {
            return p;
        }
    }
    return NULL;
}

static bool is_alive(const struct module_instance *m)
{
    return m->status >= MODULE_INITIALIZED && m->status <= MODULE_FROZEN;
}

static bool satisfies(const struct module_instance *m, const struct module_requirement *r)
{
    const struct module_interface *p = provided(m, r->name, r->major);
    return p && p->minor >= r->minor && (r->minor_last < r->minor || p->minor <= r->minor_last);
}

static struct module_instance *provider_of(const struct module_requirement *r,
                                           const struct module_instance *except)
{
    struct module_instance *m;
    LIST_FOREACH (&registry.instances, m, node) {
        if (m != except && is_alive(m) && satisfies(m, r)) {
            return m;
        }
    }
    return NULL;
}

/* Who requires it and could not get it from another. */
static struct module_instance *dependent_of(const struct module_instance *m)
{
    struct module_instance *other;
    LIST_FOREACH (&registry.instances, other, node) {
        if (other == m || !is_alive(other)) {
            continue;
        }
        for (u32 i = 0; i < MODULE_REQUIRES_MAX && other->manifest.requires[i].name[0]; i++) {
            const struct module_requirement *r = &other->manifest.requires[i];
            if (satisfies(m, r) && !provider_of(r, m)) {
                return other;
            }
        }
    }
    return NULL;
}

/* inv 2; a module that requires what it provides itself closes a cycle of one. */
static enum hx_status requirements_check(const struct module_instance *m)
{
    for (u32 i = 0; i < MODULE_REQUIRES_MAX && m->manifest.requires[i].name[0]; i++) {
        const struct module_requirement *r = &m->manifest.requires[i];
        if (provided(m, r->name, r->major)) {
            format_buffer(registry.reason.text, sizeof(registry.reason.text),
                          "a cycle: %s requires %s, which it provides", m->manifest.name, r->name);
            return HX_ERR_DEADLOCK;
        }
        if (!provider_of(r, m)) {
            format_buffer(registry.reason.text, sizeof(registry.reason.text),
                          "requires %s %u.%u, which no module provides", r->name, r->major,
                          r->minor);
            return HX_ERR_NOT_FOUND;
        }
    }
    return HX_OK;
}

/* -- lives */

/* It was ended in a call of somebody who could not take the mutex. */
static void fault_settle(struct module_instance *m)
{
    if (__atomic_exchange_n(&m->fault_pending, false, __ATOMIC_ACQ_REL) &&
        m->status != MODULE_FAULTED) {
        module_move(m, MODULE_FAULTED);
    }
}

static struct module_instance *find_locked(const char *name)
{
    struct module_instance *found = NULL, *m;
    LIST_FOREACH (&registry.instances, m, node) {
        if (str_equal(m->manifest.name, name)) {
            found = m;
        }
    }
    return found;
}

struct module_instance *module_find(const char *name)
{
    mutex_acquire(&registry.mutex);
    struct module_instance *found = find_locked(name);
    mutex_release(&registry.mutex);
    return found;
}

void module_for_each(void (*visit)(struct module_instance *m, void *ctx), void *ctx)
{
    mutex_acquire(&registry.mutex);
    struct module_instance *m;
    LIST_FOREACH (&registry.instances, m, node) {
        visit(m, ctx);
    }
    mutex_release(&registry.mutex);
}

const void *module_table(const struct module_instance *m, const char *interface, u16 major)
{
    const struct module_interface *p = provided(m, interface, major);
    return p && m->self.descriptor ? m->self.descriptor->interfaces[p - m->manifest.provides]
                                   : NULL;
}

static struct module_instance *instance_new(void)
{
    struct module_instance *m = kzalloc(sizeof(*m));
    if (m) {
        list_init(&m->node);
        ledger_init(&m->ledger);
        m->number = registry.next_number++;
    }
    return m;
}

static void instance_free(struct module_instance *m)
{
    instance_unbuild(m);
    if (m->file_owned) {
        kfree((void *)(uintptr_t)m->file);
    }
    list_remove(&m->node);
    kfree(m);
}

/* stop and cleanup, as far as it has come, then whatever is left on its ledger. inv 3 */
static void finish(struct module_instance *m)
{
    const struct module_ops *ops = &m->self.descriptor->ops;
    bool sound = m->status != MODULE_FAULTED && m->status != MODULE_QUARANTINED;
    if (sound && (m->status == MODULE_RUNNING || m->status == MODULE_FROZEN)) {
        call_void(m, ops->stop);
    }
    if (sound && m->status != MODULE_CREATED && m->status != MODULE_FAULTED) {
        call_void(m, ops->cleanup);
    }
    sound = sound && m->status != MODULE_FAULTED;
    module_move(m, MODULE_STOPPED);
    m->leaked = ledger_reclaim(&m->ledger);
    m->leaked += (u32)(m->built_in ? frame_reclaim_owner(FRAME_FIRST_MODULE + m->number) : 0);
    if (m->leaked && sound) {
        log_warn("module", "%s left %u things behind; they were reclaimed", m->manifest.name,
                 m->leaked);
    }
}

static enum hx_status load(const void *file, size_t size, u32 flags, bool owned, bool beside,
                           struct module_instance **out)
{
    mutex_acquire(&registry.mutex);
    registry.reason.text[0] = 0;
    enum hx_status status = HX_ERR_NO_MEMORY;
    struct module_instance *m = instance_new();
    if (!m) {
        goto out_file;
    }
    m->file = file;
    m->file_size = size;
    status = instance_build(m, flags, &registry.phase, &registry.reason);
    if (status != HX_OK) {
        goto out_instance;
    }
    registry.phase = SLOT_BIND;
    if (!beside && find_locked(m->manifest.name)) {
        format_buffer(registry.reason.text, sizeof(registry.reason.text), "%s is loaded already",
                      m->manifest.name);
        status = HX_ERR_EXISTS;
        goto out_instance;
    }
    status = requirements_check(m);
    if (status != HX_OK) {
        goto out_instance;
    }
    registry.phase = SLOT_INIT;
    status = module_call(m, m->self.descriptor->ops.init);
    if (status == HX_OK && (status = slot_failpoint(SLOT_INIT)) != HX_OK) {
        module_move(m, MODULE_INITIALIZED); /* as far as it came: cleanup undoes it */
    }
    if (status != HX_OK) {
        if (!registry.reason.text[0]) {
            format_buffer(registry.reason.text, sizeof(registry.reason.text), "init %s: %s",
                          m->status == MODULE_FAULTED ? "was ended" : "refused",
                          m->status == MODULE_FAULTED ? m->domain.report.what
                                                      : hx_status_words(status));
        }
        finish(m);
        goto out_instance;
    }
    module_move(m, MODULE_INITIALIZED);
    m->file_owned = owned;
    list_add_tail(&registry.instances, &m->node);
    *out = m;
    mutex_release(&registry.mutex);
    return HX_OK;

out_instance:
    instance_free(m);
out_file:
    if (owned) {
        kfree((void *)(uintptr_t)file);
    }
    mutex_release(&registry.mutex);
    return status;
}

enum hx_status module_load(const void *file, size_t size, u32 flags, bool owned,
                           struct module_instance **out)
{
    return load(file, size, flags, owned, false, out);
}

enum hx_status module_load_beside(const void *file, size_t size, u32 flags, bool owned,
                                  struct module_instance **out)
{
    return load(file, size, flags, owned, true, out);
}

enum hx_status module_start(struct module_instance *m)
{
    if (m->status != MODULE_INITIALIZED) {
        return HX_ERR_BAD_STATE;
    }
    enum hx_status status = module_call(m, m->self.descriptor->ops.start);
    if (status == HX_OK) {
        module_move(m, MODULE_RUNNING);
    }
    return status;
}

enum hx_status module_unload(struct module_instance *m)
{
    mutex_acquire(&registry.mutex);
    enum hx_status status = HX_OK;
    const struct module_instance *other = dependent_of(m);
    const char *slot = slot_of_module(m);
    if (m->built_in) {
        status = HX_ERR_NOT_SUPPORTED;
        format_buffer(registry.reason.text, sizeof(registry.reason.text),
                      "it is part of the kernel");
    } else if (other) {
        status = HX_ERR_BUSY;
        format_buffer(registry.reason.text, sizeof(registry.reason.text), "%s depends on it",
                      other->manifest.name);
    } else if (slot) {
        status = HX_ERR_BUSY;
        format_buffer(registry.reason.text, sizeof(registry.reason.text), "slot %s has it", slot);
    } else if (__atomic_load_n(&m->users, __ATOMIC_ACQUIRE)) {
        status = HX_ERR_BUSY;
        format_buffer(registry.reason.text, sizeof(registry.reason.text), "it is in use");
    } else {
        fault_settle(m);
        finish(m);
        module_move(m, MODULE_UNLOADED);
        instance_free(m);
    }
    mutex_release(&registry.mutex);
    return status;
}

/* -- the ledger, as a module sees it */

struct ledger *module_ledger(struct module *self)
{
    return &HX_CONTAINER_OF(self, struct module_instance, self)->ledger;
}

struct held_memory {
    struct ledger_entry entry;
    const struct module_instance *owner;
    u64 magic; /* of memory that is on a ledger */
    u8 data[] HX_ALIGNED(16);
};
#define HELD_MAGIC 0x6d656d6f7279756cull

static void memory_release(struct ledger_entry *entry)
{
    struct held_memory *memory = HX_CONTAINER_OF(entry, struct held_memory, entry);
    memory->magic = 0;
    kfree(memory);
}

/* The pointer comes from a module, so it is checked, not believed. */
static struct module_instance *instance_of(const struct module *self)
{
    struct hal_guard *g = task_current()->guard;
    struct module_instance *m =
        g ? HX_CONTAINER_OF((struct guard_domain *)g->domain, struct module_instance, domain)
          : NULL;
    if (g) { /* it calls for itself, or not at all */
        return &m->self == self ? m : NULL;
    }
    return HX_CONTAINER_OF((struct module *)(uintptr_t)self, struct module_instance,
                           self); /* the kernel calls for it */
}

void *module_alloc(struct module *self, size_t size)
{
    struct module_instance *m = instance_of(self);
    u64 total;
    if (!m || !hx_add_checked(size, sizeof(struct held_memory), &total)) {
        return NULL;
    }
    struct held_memory *memory = kzalloc(total);
    if (!memory) {
        return NULL;
    }
    memory->magic = HELD_MAGIC;
    memory->owner = m;
    ledger_add(&m->ledger, &memory->entry, LEDGER_MEMORY, memory_release);
    return memory->data;
}

/* The pointer comes from a module: only what lies on a page of the heap is looked at. That may have
 * been freed before, which the sanitizer would take for the kernel's own mistake. */
static HX_NO_SANITIZE struct held_memory *memory_find(const struct module_instance *m,
                                                      const void *p)
{
    const struct held_memory *memory =
        (const void *)((const u8 *)p - offsetof(struct held_memory, data));
    vaddr_t first = (vaddr_t)hal_phys_to_virt(0), at = (vaddr_t)memory;
    if (at % 16 || at < first || !frame_is_ram(at - first) ||
        frame_at(at - first)->owner != FRAME_HEAP || memory->magic != HELD_MAGIC ||
        memory->owner != m) {
        return NULL;
    }
    return (struct held_memory *)(uintptr_t)memory;
}

void module_free(struct module *self, void *p)
{
    struct module_instance *m = instance_of(self);
    struct held_memory *memory = m && p ? memory_find(m, p) : NULL;
    if (memory) {
        ledger_remove(&m->ledger, &memory->entry);
        memory_release(&memory->entry);
    } else if (m && p) {
        log_warn("module", "%s frees 0x%lx, which it does not have", m->manifest.name, (u64)p);
    }
}

struct held_object {
    struct ledger_entry entry;
    const char *what;
    void *object;
    void (*release)(void *object);
};

static void object_release(struct ledger_entry *entry)
{
    struct held_object *held = HX_CONTAINER_OF(entry, struct held_object, entry);
    held->release(held->object);
    kfree(held);
}

/* A walk: modules hold tens of things, and give back what they took last. */
static struct ledger_entry *object_find(struct module_instance *m, const void *object)
{
    struct ledger_entry *entry, *found = NULL;
    u64 irqs = spin_lock_irq(&m->ledger.lock);
    LIST_FOREACH (&m->ledger.entries, entry, node) {
        if (entry->kind == LEDGER_OBJECT &&
            HX_CONTAINER_OF(entry, struct held_object, entry)->object == object) {
            found = entry;
            break;
        }
    }
    spin_unlock_irq(&m->ledger.lock, irqs);
    return found;
}

enum hx_status module_hold(struct module *self, const char *what, void *object,
                           void (*release)(void *object))
{
    struct module_instance *m = instance_of(self);
    struct held_object *held = m ? kzalloc(sizeof(*held)) : NULL;
    if (!held) {
        return m ? HX_ERR_NO_MEMORY : HX_ERR_INVALID;
    }
    *held = (struct held_object){.what = what, .object = object, .release = release};
    ledger_add(&m->ledger, &held->entry, LEDGER_OBJECT, object_release);
    return HX_OK;
}

bool module_drop(struct module *self, void *object)
{
    struct module_instance *m = instance_of(self);
    struct ledger_entry *entry = m ? object_find(m, object) : NULL;
    if (!entry) {
        return false;
    }
    ledger_remove(&m->ledger, entry);
    kfree(HX_CONTAINER_OF(entry, struct held_object, entry));
    return true;
}

/* -- what is linked in */

/* A fault in a built-in module is in the kernel's own text, which no domain has: it is not
 * survived. To outlive one, load its .hxm in its place. */
static enum hx_status builtins_init(void)
{
    u32 count = 0;
    HX_SET_FOREACH (modules, it) {
        struct module_instance *m = instance_new();
        if (!m) {
            return HX_ERR_NO_MEMORY;
        }
        m->self.descriptor = *it;
        m->manifest = *(*it)->manifest;
        m->built_in = true;
        m->domain.name = m->manifest.name;
        mutex_acquire(&registry.mutex);
        enum hx_status status = module_manifest_check(&m->manifest, &registry.reason);
        if (status == HX_OK) {
            status = module_call(m, (*it)->ops.init);
        }
        if (status != HX_OK) {
            log_error("module", "%s: %s", m->manifest.name, hx_status_words(status));
            kfree(m);
        } else {
            module_move(m, MODULE_INITIALIZED);
            list_add_tail(&registry.instances, &m->node);
            count++;
        }
        mutex_release(&registry.mutex);
        if (status == HX_OK && !slot_is_exclusive(m->manifest.provides[0].name)) {
            status = module_start(m);
            if (status != HX_OK) {
                log_error("module", "%s: start: %s", m->manifest.name, hx_status_words(status));
            }
        }
    }
    log_info("module", "%u built in", count);
    return area_init();
}

static enum hx_status modules_health(char *words, size_t size)
{
    struct module_instance *m;
    LIST_FOREACH (&registry.instances, m, node) {
        if (m->status == MODULE_RUNNING && m->self.descriptor->ops.health) {
            enum hx_status status = module_probe(m);
            if (status != HX_OK) {
                format_buffer(words, size, "%s: %s", m->manifest.name, hx_status_words(status));
                return status;
            }
        }
    }
    return HX_OK;
}

COMPONENT(modules, .name = "modules", .version = "1.0", .needs = "slots", .init = builtins_init,
          .health = modules_health);
