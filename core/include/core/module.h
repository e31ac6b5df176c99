/* SPDX-License-Identifier: MIT */
/* Modules, as the rest of the kernel sees them: instances by name, their states, and who depends on
 * whom. What a module is, is in <helix/module.h>; modules/runtime implements this.
 *
 *   Created -> Initialized -> Running -> Stopped -> Unloaded
 *                             Running -> Frozen -> Running     a swap, and its undoing
 *                                        Frozen -> Stopped     the swap has proved itself
 *   any with code -> Faulted -> Stopped
 *   Faulted -> Quarantined                            it has failed too often; it stays out
 */
#ifndef CORE_MODULE_H
#define CORE_MODULE_H

#include <core/guard.h>
#include <core/ledger.h>
#include <helix/module.h>

enum module_status {
    MODULE_CREATED,     /* in memory, none of its code has run */
    MODULE_INITIALIZED, /* init has succeeded */
    MODULE_RUNNING,     /* it serves */
    MODULE_FROZEN,      /* kept whole behind the one that took its place */
    MODULE_STOPPED,     /* has given back what init took */
    MODULE_UNLOADED,    /* gone: only its report is left */
    MODULE_FAULTED,     /* ended by an exception, an assertion or a hang */
    MODULE_QUARANTINED, /* faulted too often: is not started again */
    MODULE_STATUS_COUNT
};

const char *module_status_name(enum module_status status);

/* The phases of a load and a swap, by their numbers; <core/slot.h> has the picture. */
enum slot_phase {
    SLOT_PHASE_NONE,
    SLOT_READ,
    SLOT_SIGNATURE,
    SLOT_CHECK,
    SLOT_MEMORY,
    SLOT_RELOCATE,
    SLOT_BIND,
    SLOT_MAP,
    SLOT_INIT,
    SLOT_COPY,
    SLOT_VERIFY,
    SLOT_GATE,
    SLOT_MOVE,
    SLOT_START,
    SLOT_COMMIT,
    SLOT_PROBATION,
    SLOT_FINISH,
    SLOT_PHASE_COUNT
};

/* An instance. Marking: I immutable after creation; m the registry's mutex. */
struct module_instance {
    struct module self;              /* first: what the module is handed */
    struct module_manifest manifest; /* I: outlives its memory */
    u32 number;                 /* I: never used twice; FRAME_FIRST_MODULE + it owns its frames */
    bool built_in;              /* I */
    enum module_status status;  /* m */
    struct guard_domain domain; /* I but for its counts */
    struct ledger ledger;
    bool fault_pending;       /* a: ended while it served a slot */
    u32 users;                /* a: what it serves outside of slots; it stays loaded then */
    u32 leaked;               /* m: ledger entries reclaimed */
    const void *file;         /* I: its file, verified; NULL: built in */
    size_t file_size;         /* I */
    bool file_owned;          /* I: the heap's, freed with it */
    struct module_area *area; /* m: NULL when its memory is gone */
    struct list_node node;    /* m: in the order of loading */
};

#define MODULE_LOAD_TRUSTED (1u << 0) /* absent: its signature has to be right */

/* Why the last call below failed, in words. For the caller's thread, right after it. */
const char *module_reason(void);

/* Puts a module file into memory and runs its init. `file` stays as it is until the module is
 * unloaded; with `owned` it is freed then, or at once when this fails. Return: HX_OK;
 * HX_ERR_EXISTS, one of that name is loaded; HX_ERR_SIGNATURE; HX_ERR_NOT_FOUND, an interface or a
 * function that it needs is not there; HX_ERR_ABI, is there in another version; HX_ERR_ACCESS;
 * HX_ERR_FAULT, init was ended; what module_file_check() or init answered. Nothing is left of it
 * then. Context: thread. */
enum hx_status module_load(const void *file, size_t size, u32 flags, bool owned,
                           struct module_instance **out) HX_MUST_CHECK;

/* The same as a second instance of whatever name, for a swap. */
enum hx_status module_load_beside(const void *file, size_t size, u32 flags, bool owned,
                                  struct module_instance **out) HX_MUST_CHECK;

/* Lets an initialized one serve: runs its start. Return: HX_OK; HX_ERR_BAD_STATE; what start said;
 * HX_ERR_FAULT. Context: thread. */
enum hx_status module_start(struct module_instance *m) HX_MUST_CHECK;

/* Stops it, takes back whatever it still holds and frees its memory. `m` is gone then. Return:
 * HX_OK; HX_ERR_BUSY, somebody depends on it (module_reason() says who), or it serves a slot;
 * HX_ERR_NOT_SUPPORTED, it is built in. Context: thread. */
enum hx_status module_unload(struct module_instance *m) HX_MUST_CHECK;

/* The youngest instance of a name that is not unloaded, or NULL. Context: thread. */
struct module_instance *module_find(const char *name);

/* Calls visit for each instance, in the order of loading, with the registry locked. */
void module_for_each(void (*visit)(struct module_instance *m, void *ctx), void *ctx);

/* The ledger of an instance, for whoever hands something out to it. */
struct ledger *module_ledger(struct module *self);

/* The table of an interface of this major version that the instance provides, or NULL. */
const void *module_table(const struct module_instance *m, const char *interface, u16 major);

/* Runs one of an instance's functions guarded by its limit in ms: what it answered, or HX_ERR_FAULT
 * when it was ended: the instance is Faulted then. NULL: HX_OK. Context: thread. */
enum hx_status module_call(struct module_instance *m,
                           enum hx_status (*op)(struct module *self)) HX_MUST_CHECK;
enum hx_status module_call_state(struct module_instance *m,
                                 enum hx_status (*op)(struct module *self, struct module_state *s),
                                 struct module_state *state) HX_MUST_CHECK;

/* Asks it how it is, through a guard: its health, or, where it has none, whether its code can be
 * entered at all. Return: what it said; HX_ERR_FAULT. Thread. */
enum hx_status module_probe(struct module_instance *m) HX_MUST_CHECK;

/* It was ended while it served a slot: it is Faulted. Thread. */
void module_fault(struct module_instance *m);

/* For slots: from one status to another. A move that the picture above does not have is an assert.
 */
void module_move(struct module_instance *m, enum module_status to);

/* The phase in which the last load failed. As module_reason(). */
enum slot_phase module_phase(void);

/* For the phases of whoever loads: HX_ERR_CANCELLED when a failpoint says so. */
enum hx_status slot_failpoint(enum slot_phase phase);

/* Is `interface` one that a slot keeps exclusive, so that its module does not start by itself? By
 * core/slot. */
bool slot_is_exclusive(const char *interface);
/* The slot that `m` serves or is kept for, or NULL. By core/slot. */
const char *slot_of_module(const struct module_instance *m);

#endif
