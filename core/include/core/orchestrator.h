/* SPDX-License-Identifier: MIT */
/* The orchestrator: what the kernel consists of, in which order it comes up, how it is, and in
 * which order it goes down. A part registers as a component, beside its code; the kernel's bring-up
 * after the loader is nothing but its components in the order of their needs.
 */
#ifndef CORE_ORCHESTRATOR_H
#define CORE_ORCHESTRATOR_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define COMPONENTS_MAX 64

struct component {
    const char *name, *version;
    const char *needs; /* names with a space between, NULL: none; "*": all that say no "*" */
    bool vital; /* a failure to start is a panic; absent: it and its dependents are left out */

    /* Brings it up. NULL: nothing to do. Context: thread from "tasks" on, before that early. */
    enum hx_status (*init)(void);
    /* Flushes and ends it; what needs it has ended. NULL: nothing to do. Waits at most until
     * deadline_ns. Return: HX_OK, or what could not be ended. Context: thread. */
    enum hx_status (*shutdown)(u64 deadline_ns);
    /* How it is: HX_OK, or what is wrong, with words for a person. NULL: always well. Thread. */
    enum hx_status (*health)(char *words, size_t size);
    /* Reports figures. NULL: none. Context: thread. */
    void (*stats)(void (*report)(void *ctx, const char *name, u64 value), void *ctx);
};

/* COMPONENT(vfs, .name = "vfs", .version = "1.0", .needs = "kernel", .init = vfs_init, ...); */
#define COMPONENT(id, ...)                                                                         \
    static const struct component component_##id = {__VA_ARGS__};                                  \
    HX_SET_ADD(components, component_##id)
HX_SET_DECLARE(components, struct component);

enum component_state {
    COMPONENT_WAITING,
    COMPONENT_RUNNING,
    COMPONENT_FAILED,
    COMPONENT_LEFT_OUT, /* something that it needs is not running */
    COMPONENT_STOPPED,
    COMPONENT_STATE_COUNT
};

/* EarlyBoot -> Initializing -> Running -> ShuttingDown; from each of them to Panic, for good. */
enum system_state {
    SYSTEM_EARLY_BOOT,
    SYSTEM_INITIALIZING,
    SYSTEM_RUNNING,
    SYSTEM_SHUTTING_DOWN,
    SYSTEM_PANIC,
    SYSTEM_STATE_COUNT
};

enum system_state system_state(void);
const char *system_state_name(enum system_state state);

/* Return: HX_OK; HX_ERR_BAD_STATE, no such transition. Context: any. */
enum hx_status system_state_set(enum system_state to) HX_MUST_CHECK;

/* Puts `count` components (at most COMPONENTS_MAX) in an order in which each comes after what it
 * needs: out_order[0 .. return value - 1] are indices. A component that lacks a need, that is part
 * of a cycle, or that needs such a one, is not in it; what is wrong is said through `problem`, a
 * line each: "a needs b, which does not exist", "cycle: a -> b -> a". Context: any. */
u32 components_order(const struct component *const *components, u32 count, u8 *out_order,
                     void (*problem)(void *ctx, const char *line), void *ctx);

/* Brings all components up. Context: early, boot CPU. */
void orchestrator_start(void);

/* Takes them down again in reverse order and names what did not end. Return: HX_ERR_BAD_STATE: the
 * system is not running. Context: thread that belongs to no process. */
enum hx_status orchestrator_shutdown(void) HX_MUST_CHECK;

#endif
