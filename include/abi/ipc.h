/* SPDX-License-Identifier: MIT */
/* Messages, as programs and the kernel see them.
 *
 * A message is a header word, up to HX_MESSAGE_MAX bytes and up to HX_MESSAGE_HANDLES handles. Up
 * to HX_MESSAGE_SHORT bytes travel in registers, as eight words; more lie in memory, in the `data`
 * of the struct hx_message that the call names. x86_64: r10 r8 r9 rbx r12 r13 r14 r15; aarch64: x10
 * to x17. What is past the length in the last word is whatever it was.
 *
 *   channel_call, channel_reply_receive, ...    1st argument: the handle; 2nd: header; 3rd: address
 *   of a struct hx_message, or 0 when nothing has to lie there (then a long message or one with
 *   handles is HX_ERR_MESSAGE_SIZE for who would get it)
 *   result: the status; in the 2nd argument's register the header of what came, in the 3rd's its
 *   source.
 */
#ifndef ABI_IPC_H
#define ABI_IPC_H

#include <helix/types.h>

#define HX_MESSAGE_MAX     256 /* bytes */
#define HX_MESSAGE_SHORT   64  /* bytes, in registers */
#define HX_MESSAGE_WORDS   8
#define HX_MESSAGE_HANDLES 4

enum hx_message_type {
    HX_MESSAGE_REQUEST,
    HX_MESSAGE_RESPONSE,
    HX_MESSAGE_EVENT,
    HX_MESSAGE_ERROR, /* a response that says: no; what, is between the two */
    HX_MESSAGE_FAULT, /* from the kernel: struct hx_fault */
    HX_MESSAGE_TYPES
};

/* The header word: length in bits 0-15, number of handles in 16-23, type in 24-31, flags in 32-47;
 * the rest is 0. */
#define HX_MESSAGE_HEADER(type, flags, handles, length)                                            \
    ((u64)(length) | (u64)(handles) << 16 | (u64)(type) << 24 | (u64)(flags) << 32)
#define HX_MESSAGE_LENGTH(header)       ((u32)(header)&0xffffu)
#define HX_MESSAGE_HANDLE_COUNT(header) ((u32)((header) >> 16) & 0xffu)
#define HX_MESSAGE_TYPE(header)         ((u32)((header) >> 24) & 0xffu)
#define HX_MESSAGE_FLAGS(header)        ((u32)((header) >> 32))

#define HX_MESSAGE_PRIORITY  (1u << 0) /* before what waits already; absent: behind it */
#define HX_MESSAGE_RESPOND   (1u << 1) /* somebody waits for the response; the kernel says which */
#define HX_MESSAGE_BROADCAST (1u << 2) /* went to more than one receiver */
#define HX_MESSAGE_TIMED     (1u << 3) /* deadline_ns counts; absent: wait for ever */
#define HX_MESSAGE_FLAGS_ALL 0xfu

struct hx_message {
    u64 header;      /* HX_MESSAGE_HEADER() */
    u64 source;      /* out: id of the process that sent it; 0: the kernel */
    u64 destination; /* out: the handle that it came by */
    u64 deadline_ns; /* in, with HX_MESSAGE_TIMED: since boot, for all of the call */
    u32 handles[HX_MESSAGE_HANDLES];
    u8 data[HX_MESSAGE_MAX] __attribute__((aligned(8)));
};
_Static_assert(sizeof(struct hx_message) == 304, "the kernel reads and writes parts of it");

/* HX_MESSAGE_FAULT: what a thread did, in the words of a request; and what becomes of it, in those
 * of the response. */
enum hx_fault_kind {
    HX_FAULT_MEMORY,      /* `address` cannot be accessed like that */
    HX_FAULT_INSTRUCTION, /* not one, or not allowed */
    HX_FAULT_ARITHMETIC,
    HX_FAULT_BREAKPOINT, /* pc is behind it */
    HX_FAULT_ALIGNMENT,
    HX_FAULT_OTHER
};
#define HX_FAULT_READ    0
#define HX_FAULT_WRITE   1
#define HX_FAULT_EXECUTE 2

struct hx_fault {
    u64 kind;    /* enum hx_fault_kind */
    u64 access;  /* memory: HX_FAULT_READ ... */
    u64 address; /* memory, alignment */
    u64 pc, sp;
    u64 result; /* the register that holds a function's result */
    u64 thread; /* id of the thread */
    u64 code;   /* the processor's own word for it */
};
_Static_assert(sizeof(struct hx_fault) == HX_MESSAGE_SHORT, "it fits registers");

/* The response: what is not resumed dies as if nobody had handled the fault. */
struct hx_fault_answer {
    u64 resume; /* 1: go on at pc with sp and result as they are here. 0: die */
    u64 pc, sp, result;
};

/* queue_create, topic_subscribe: what happens when there is no room. */
enum hx_queue_policy {
    HX_QUEUE_BLOCK,       /* the sender waits until its deadline */
    HX_QUEUE_FAIL,        /* HX_ERR_NO_SPACE */
    HX_QUEUE_DROP_OLDEST, /* the oldest message goes, and is counted */
    HX_QUEUE_POLICIES
};
#define HX_QUEUE_SLOTS_MAX 4096 /* messages; a power of two */

/* topic_subscribe: what a subscriber gets that has fallen behind. */
enum hx_delivery {
    HX_DELIVER_DROP_OLDEST, /* what is still there; what was lost is counted in `gap` */
    HX_DELIVER_COALESCE,    /* of each key only the latest, the rest being counted in `merged` */
    HX_DELIVERIES
};
#define HX_TOPIC_SLOTS_MAX 1024 /* events kept; a power of two */

struct hx_event {
    u64 sequence; /* of this event in its topic, from 0 */
    u64 gap;      /* events lost to this subscriber before this one */
    u64 merged;   /* events that a later one with their key replaced, before this one */
    u64 key;
    u64 source;
    u32 length, reserved;
    u8 data[HX_MESSAGE_MAX] __attribute__((aligned(8)));
};
_Static_assert(sizeof(struct hx_event) == 304, "the kernel writes parts of it");

/* The registry. */
#define HX_SERVICE_NAME_MAX 63

struct hx_service_info {
    u32 size; /* of this struct */
    u32 type; /* enum hx_object_type */
    u64 version;
    u64 features; /* bits, by agreement */
    u64 process;  /* who registered it */
};

#endif
