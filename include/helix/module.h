/* SPDX-License-Identifier: MIT */
/* What a module is, as its author writes it and as the kernel reads it. A module is one relocatable
 * ELF object (NAME.hxm, docs/modules.md): a manifest, which is plain data and is read before
 * anything of the file is mapped, and a descriptor, which points at its code. A module that is
 * linked into the kernel has the same two, in the linker set `modules`.
 *
 *     static const struct sched_policy_ops table = {...};
 *     MODULE(round_robin, .version = {1, 0, 0}, .summary = "equal slices in turn",
 *            .provides = {{"sched.policy", 1, 0}}, .capabilities = MODULE_CAP_SCHED);
 *     MODULE_CODE(round_robin, .interfaces = {&table}, .ops = {.init = round_robin_init});
 */
#ifndef HELIX_MODULE_H
#define HELIX_MODULE_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define MODULE_MAGIC         0x314d5848u /* "HXM1" */
#define MODULE_ABI           1u          /* of manifest, descriptor and ops */
#define MODULE_NAME_MAX      24          /* with its NUL; so are interfaces' names */
#define MODULE_SUMMARY_MAX   72
#define MODULE_PROVIDES_MAX  2
#define MODULE_REQUIRES_MAX  6
#define MODULE_STATE_MAX     HX_MIB(1) /* bytes of saved state */
#define MODULE_MS_DEFAULT    1000u     /* init and the like, where the manifest says 0 */
#define MODULE_TICKS_DEFAULT 4u        /* one call through a slot, where the manifest says 0 */

/* What a module may do: a kernel function is bound only if the manifest names its capability.
 * Absent all: log, allocate from its own ledger, copy memory. */
#define MODULE_CAP_SCHED   (1u << 0) /* orders scheduling contexts */
#define MODULE_CAP_FRAMES  (1u << 1) /* sees the frame table; allocates frames */
#define MODULE_CAP_HEAP    (1u << 2) /* manages heap pages */
#define MODULE_CAP_FS      (1u << 3) /* serves files */
#define MODULE_CAP_BLOCK   (1u << 4) /* serves blocks */
#define MODULE_CAP_CONSOLE (1u << 5) /* shows text */
#define MODULE_CAP_BUS     (1u << 6) /* orders messages of topics */
#define MODULE_CAP_DEVICE  (1u << 7) /* registers, DMA memory and interrupts of a device */
#define MODULE_CAP_TIME    (1u << 8) /* reads clocks, arms timers */
#define MODULE_CAP_ALL     0x1ffu

/* An interface that a module provides. A minor version only adds to what the one before has. */
struct module_interface {
    char name[MODULE_NAME_MAX]; /* "sched.policy"; empty: no more of them */
    u16 major, minor;
};

/* An interface that it calls: of this major version, from minor to minor_last. 0 in minor_last
 * when it is below minor: any later one will do. */
struct module_requirement {
    char name[MODULE_NAME_MAX];
    u16 major, minor, minor_last;
};

/* Plain data, no pointers: every field is checked by who reads it. */
struct module_manifest {
    u32 magic;                        /* MODULE_MAGIC */
    u16 abi;                          /* MODULE_ABI */
    u16 size;                         /* sizeof(struct module_manifest) */
    char name[MODULE_NAME_MAX];       /* a-z, 0-9, _; not empty */
    char summary[MODULE_SUMMARY_MAX]; /* one line in words */
    u16 version[3];                   /* semantic: major, minor, patch */
    u16 state_version;                /* of what save_state writes; 0: it has no state to keep */
    u32 state_schema;                 /* what that is about: MODULE_SCHEMA of its table of fields */
    u32 capabilities;                 /* MODULE_CAP_* */
    u32 init_ms;                      /* limit of init, restore_state, start, verify; 0: default */
    u32 op_ticks; /* timer ticks that one call may take without progress; 0: default */
    struct module_interface provides[MODULE_PROVIDES_MAX];
    struct module_requirement requires[MODULE_REQUIRES_MAX];
};

_Static_assert(sizeof(struct module_manifest) == 364, "a file format");

/* Saved state: records in a buffer, little-endian, without pointers, see MODULE_STATE below.
 * `size` is how much is valid; of a buffer that is being filled, `max` how much there is. */
struct module_state {
    u32 schema;
    u16 version;
    u8 *data;
    u32 size, max;
};

/* An instance of a module, as the module sees it: `self` of every call. */
struct module {
    const struct module_descriptor *descriptor;
    void *data; /* the module's own; NULL before init */
};

/* Life of an instance. All are optional; absent: nothing to do. The order, and what may fail:
 *   init          allocates and checks; touches no device, is not yet reachable. May fail.
 *   restore_state takes over what another instance saved; may be called again with newer state
 * while the other one still serves. May fail. start         from now on it serves; takes a device
 * over without resetting it. May fail, and has undone everything then. verify        do its
 * invariants hold? Answers HX_ERR_CORRUPT when not. save_state    writes its state; it may go on
 * serving, or not. May fail. resume        it serves again, after save_state, as if nothing had
 * happened. Cannot fail. stop          it serves no more, for good. cleanup: gives back what init
 * took. health        answers HX_OK if it can do its work, end to end. Context of all: thread,
 * interrupts enabled, preemption on, bounded by the manifest's init_ms; what faults in one of them
 * or exceeds it is stopped there, and whatever its ledger holds is given back.
 */
struct module_ops {
    enum hx_status (*init)(struct module *self);
    enum hx_status (*restore_state)(struct module *self, const struct module_state *state);
    enum hx_status (*start)(struct module *self);
    enum hx_status (*verify)(struct module *self);
    enum hx_status (*save_state)(struct module *self, struct module_state *state);
    void (*resume)(struct module *self);
    void (*stop)(struct module *self);
    void (*cleanup)(struct module *self);
    enum hx_status (*health)(struct module *self);
};

struct module_descriptor {
    const struct module_manifest *manifest;
    const void *interfaces[MODULE_PROVIDES_MAX]; /* the table of each interface in `provides` */
    struct module_ops ops;
};

/* Built into the kernel, or as a file of its own: the build says which. */
#ifdef HX_MODULE
#define MODULE_MANIFEST_PLACE      HX_USED HX_SECTION(".hx_manifest")
#define MODULE_DESCRIPTOR_PLACE    HX_USED HX_SECTION(".hx_module")
#define MODULE_DESCRIPTOR_KNOWN(d) _Static_assert(sizeof(d) != 0, "")
#else
#define MODULE_MANIFEST_PLACE
#define MODULE_DESCRIPTOR_PLACE
#define MODULE_DESCRIPTOR_KNOWN(d) HX_SET_ADD(modules, d)
HX_SET_DECLARE(modules, struct module_descriptor);
#endif

#define MODULE(id, ...)                                                                            \
    MODULE_MANIFEST_PLACE static const struct module_manifest module_manifest_##id = {             \
        .magic = MODULE_MAGIC,                                                                     \
        .abi = MODULE_ABI,                                                                         \
        .size = sizeof(struct module_manifest),                                                    \
        .name = #id,                                                                               \
        __VA_ARGS__}

#define MODULE_CODE(id, ...)                                                                       \
    MODULE_DESCRIPTOR_PLACE static const struct module_descriptor module_##id = {                  \
        .manifest = &module_manifest_##id, __VA_ARGS__};                                           \
    MODULE_DESCRIPTOR_KNOWN(module_##id)

/* What a module may call whatever its capabilities. Memory is the ledger's: whatever the module has
 * not given back when it is unloaded, or dies, is reclaimed and reported. Context: thread,
 * interrupts enabled. Return: NULL, none left. */
void *module_alloc(struct module *self, size_t size); /* zeroed */
void module_free(struct module *self, void *p);       /* NULL is nothing */

/* Takes note of something that the module holds, and of how to give it back: for the parts of the
 * kernel that hand things out (interrupts, timers, mapped registers, DMA memory). `what` is a word
 * for listings and lives for ever. release(object) runs when the module is gone and has not dropped
 * the note. Return: HX_OK, HX_ERR_NO_MEMORY, HX_ERR_LIMIT. Context: thread. */
enum hx_status module_hold(struct module *self, const char *what, void *object,
                           void (*release)(void *object)) HX_MUST_CHECK;
/* Drops the note. False: there was none. */
bool module_drop(struct module *self, void *object);

#endif
