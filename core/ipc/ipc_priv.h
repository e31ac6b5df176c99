/* SPDX-License-Identifier: MIT */
/* What the objects of core/ipc share.
 */
#ifndef IPC_PRIV_H
#define IPC_PRIV_H

#include <abi/ipc.h>
#include <core/handle.h>
#include <core/ipc.h>
#include <core/task.h>
#include <core/time.h>

#define MESSAGE_HEADER_MASK                                                                        \
    HX_MESSAGE_HEADER(0xff, HX_MESSAGE_FLAGS_ALL, 0xff, 0xffff) /* reserved bits are 0 */

/* Wakes a task at a time; lives on its stack. `expired` is set before it is woken. */
struct ipc_deadline {
    struct timer timer;
    struct task *task;
    bool armed;
    bool expired; /* a */
};

/* ns: since boot; HX_DEADLINE_NEVER arms nothing. The end is on every way out. Thread. */
void ipc_deadline_begin(struct ipc_deadline *deadline, u64 ns);
void ipc_deadline_end(struct ipc_deadline *deadline);

/* The next number for an object that a listing or a trace names. Any. */
u64 ipc_new_id(void);

/* Gives the caller's process a handle; the reference is used up either way. Return: the handle or
 * a status. */
s64 ipc_answer_handle(struct object *object, u32 rights);

/* The same for a new object's two ends: {first, second} as two handles at `user`. Return: HX_OK or
 * a status. */
s64 ipc_answer_pair(struct object *first, u32 first_rights, struct object *second,
                    u32 second_rights, vaddr_t user);

/* A message or event that the current thread sends without waiting for a reply, and so without
 * handles: its bytes, from registers or `buffer`. Return: HX_OK; HX_ERR_INVALID;
 * HX_ERR_MESSAGE_SIZE; HX_ERR_FAULT. */
enum hx_status ipc_event_in(u64 header, vaddr_t buffer, u64 *out_words) HX_MUST_CHECK;

/* One that it gets. Return: HX_OK; HX_ERR_MESSAGE_SIZE, long and no buffer; HX_ERR_FAULT. */
enum hx_status ipc_event_out(u64 header, u64 source, const u64 *words, vaddr_t buffer);

/* Whether the service behind an object has gone, so that nothing will answer through it. Any. */
bool ipc_object_is_closed(const struct object *object);

bool ipc_channel_is_closed(const struct object *object);
bool ipc_queue_is_closed(const struct object *object);

/* Another capability like `cap`, which the caller keeps alive. Return: as cap_duplicate(). */
enum hx_status ipc_cap_copy(struct cap *cap, struct cap **out_cap) HX_MUST_CHECK;

/* "channel", ... */
const char *ipc_type_name(u32 type);

/* For the command: the system's registry; every channel, queue and topic. Context: thread. */
void ipc_names_show(bool json);

/* Id of the current thread's process. */
u64 ipc_source(void);

/* The rights to pass a new handle on, beside those to use it. */
#define HX_RIGHTS_MOVE                                                                             \
    (HX_RIGHT_DELEGATE | HX_RIGHT_TRANSFER | HX_RIGHT_REVOKE | HX_RIGHT_EXCLUSIVE)

/* Counts of what happened since boot, for `ipc stats`. Updated without a lock, so a few may be lost
 * where CPUs meet. */
struct ipc_stats {
    u64 calls_queued, answers, faults, dead_peers;
    u64 sent, received, refused, dropped;
    u64 published, delivered, gaps, merged;
};
extern struct ipc_stats ipc_stats;

static inline void ipc_count(u64 *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

#endif
