/* SPDX-License-Identifier: MIT */
/* The one table of system calls, and nothing else: the kernel's dispatcher and argument checks, the
 * user stubs and the listing of calls are all made from it.
 *
 * A call returns s64: negative is a status of <helix/status.h>, otherwise a value. Arguments are
 * 64 bits each. Registers: x86_64 rax = number, rdi rsi rdx r10 r8 r9, result in rax; rcx and r11
 * are lost. aarch64 x8 = number, x0 - x5, result in x0.
 *
 * An argument is described by its kind:
 *   V(name)               a value; the call itself says what is allowed
 *   F(name, mask)         flags; any bit outside the mask is HX_ERR_INVALID before any work
 *   I(name, length)       a buffer to be read, and the argument that says its length in bytes
 *   O(name, length)       a buffer to be written
 *   H(name, type, rights) a handle to an object of that type (HX_OBJECT_NONE: any), with at least
 *                         these rights
 *   N                     none; ignored
 * Lines are sorted by number. A number may be missing: it answers HX_ERR_BAD_SYSCALL. Numbers are
 * never used again for something else.
 */
#ifndef ABI_SYSCALLS_H
#define ABI_SYSCALLS_H

#include <abi/file.h>
#include <abi/types.h>

/* X(number, name, arguments...) */
#define HX_SYSCALLS(X)                                                                             \
    X(0, null, N, N, N, N, N, N)                                                                   \
    X(1, process_exit, V(status), N, N, N, N, N)                                                   \
    X(2, log_write, I(text, length), V(length), N, N, N, N)                                        \
    X(3, yield, N, N, N, N, N, N)                                                                  \
    X(4, sleep_until, V(deadline_ns), N, N, N, N, N)                                               \
    X(5, clock_read, V(clock), N, N, N, N, N)                                                      \
    X(6, thread_create, V(entry), V(stack), V(arg), V(tls), N, N)                                  \
    X(7, thread_exit, V(value), N, N, N, N, N)                                                     \
    X(8, thread_join, H(thread, HX_OBJECT_THREAD, HX_RIGHT_WAIT), V(deadline_ns), O(value, 8), N,  \
      N, N)                                                                                        \
    X(9, memory_map, V(address), V(size), F(flags, HX_MAP_FLAGS), N, N, N)                         \
    X(10, memory_unmap, V(address), V(size), N, N, N, N)                                           \
    X(11, memory_protect, V(address), V(size), F(flags, HX_MAP_PROTECT_FLAGS), N, N, N)            \
    X(12, process_spawn, I(name, name_length), V(name_length), I(args, args_length),               \
      V(args_length), F(flags, 0), N)                                                              \
    X(13, process_wait, H(process, HX_OBJECT_PROCESS, HX_RIGHT_WAIT), V(deadline_ns),              \
      O(status, 8), N, N, N)                                                                       \
    X(14, process_kill, H(process, HX_OBJECT_PROCESS, HX_RIGHT_DELETE), V(status), N, N, N, N)     \
    X(15, handle_close, H(handle, HX_OBJECT_NONE, 0), N, N, N, N, N)                               \
    X(16, random_read, O(buffer, length), V(length), N, N, N, N)                                   \
    X(17, thread_tls_set, V(tls), N, N, N, N, N)                                                   \
    X(20, handle_duplicate, H(handle, HX_OBJECT_NONE, HX_RIGHT_DELEGATE),                          \
      F(rights, HX_RIGHTS_ALL), N, N, N, N)                                                        \
    X(21, handle_derive, H(handle, HX_OBJECT_NONE, HX_RIGHT_DELEGATE), F(rights, HX_RIGHTS_ALL),   \
      V(expires_ns), F(flags, HX_DERIVE_FLAGS), N, N)                                              \
    X(22, handle_revoke, H(handle, HX_OBJECT_NONE, HX_RIGHT_REVOKE), N, N, N, N, N)                \
    X(23, handle_info, H(handle, HX_OBJECT_NONE, 0), O(info, 40), N, N, N, N)                      \
    X(24, handle_next, V(index), O(info, 40), N, N, N, N)                                          \
    X(25, quota_read, V(kind), O(count, 24), N, N, N, N)                                           \
    X(26, quota_limit, H(process, HX_OBJECT_PROCESS, HX_RIGHT_ADMIN), V(kind), V(limit), N, N, N)  \
    X(27, token_export, H(handle, HX_OBJECT_NONE, HX_RIGHT_DELEGATE | HX_RIGHT_TRANSFER),          \
      F(rights, HX_RIGHTS_ALL), V(expires_ns), V(audience), O(token, 64), N)                       \
    X(28, token_import, I(token, 64), N, N, N, N, N)                                               \
    X(29, process_id, V(process), N, N, N, N, N)                                                   \
    X(40, channel_create, O(handles, 8), N, N, N, N, N)                                            \
    X(42, channel_receive, H(channel, HX_OBJECT_CHANNEL_SERVER, HX_RIGHT_READ), V(header),         \
      V(buffer), N, N, N)                                                                          \
    X(44, channel_reply, V(header), V(buffer), N, N, N, N)                                         \
    X(45, reply_keep, N, N, N, N, N, N)                                                            \
    X(46, reply_send, H(reply, HX_OBJECT_REPLY, HX_RIGHT_WRITE), V(header), V(buffer), N, N, N)    \
    X(47, queue_create, V(slots), V(policy), O(handles, 8), N, N, N)                               \
    X(48, queue_send, H(queue, HX_OBJECT_QUEUE, HX_RIGHT_WRITE), V(header), V(buffer), N, N, N)    \
    X(49, queue_receive, H(queue, HX_OBJECT_QUEUE_RECEIVER, HX_RIGHT_READ), V(header), V(buffer),  \
      N, N, N)                                                                                     \
    X(50, topic_create, V(slots), N, N, N, N, N)                                                   \
    X(51, topic_publish, H(topic, HX_OBJECT_TOPIC, HX_RIGHT_WRITE), V(header), V(key), V(buffer),  \
      N, N)                                                                                        \
    X(52, topic_subscribe, H(topic, HX_OBJECT_TOPIC, HX_RIGHT_READ), V(delivery), N, N, N, N)      \
    X(53, topic_read, H(subscription, HX_OBJECT_SUBSCRIPTION, HX_RIGHT_READ), O(event, 304),       \
      V(deadline_ns), N, N, N)                                                                     \
    X(54, registry_create, N, N, N, N, N, N)                                                       \
    X(55, name_register, V(registry), I(name, name_length), V(name_length),                        \
      H(handle, HX_OBJECT_NONE, HX_RIGHT_DELEGATE), V(version), V(features))                       \
    X(56, name_find, V(registry), I(name, name_length), V(name_length), V(version), N, N)          \
    X(57, name_query, V(registry), I(name, name_length), V(name_length), O(info, 32), N, N)        \
    X(58, name_remove, V(registry), I(name, name_length), V(name_length), N, N, N)                 \
    X(59, fault_handler_set, V(process), V(channel), N, N, N, N)                                   \
    X(70, file_open, V(directory), I(path, path_length), V(path_length), F(flags, HX_OPEN_FLAGS),  \
      V(mode), N)                                                                                  \
    X(71, file_read, H(file, HX_OBJECT_FILE, HX_RIGHT_READ), O(buffer, length), V(length), N, N,   \
      N)                                                                                           \
    X(72, file_write, H(file, HX_OBJECT_FILE, HX_RIGHT_WRITE), I(buffer, length), V(length), N, N, \
      N)                                                                                           \
    X(73, file_read_at, H(file, HX_OBJECT_FILE, HX_RIGHT_READ), O(buffer, length), V(length),      \
      V(offset), N, N)                                                                             \
    X(74, file_write_at, H(file, HX_OBJECT_FILE, HX_RIGHT_WRITE), I(buffer, length), V(length),    \
      V(offset), N, N)                                                                             \
    X(75, file_seek, H(file, HX_OBJECT_FILE, 0), V(offset), V(whence), N, N, N)                    \
    X(76, file_stat, V(directory), I(path, path_length), V(path_length), O(stat, length),          \
      V(length), F(flags, HX_STAT_NOFOLLOW))                                                       \
    X(77, directory_read, H(directory, HX_OBJECT_DIRECTORY, HX_RIGHT_READ), O(buffer, length),     \
      V(length), N, N, N)                                                                          \
    X(78, directory_create, V(directory), I(path, path_length), V(path_length), V(mode), N, N)     \
    X(79, file_unlink, V(directory), I(path, path_length), V(path_length),                         \
      F(flags, HX_UNLINK_DIRECTORY), N, N)                                                         \
    X(80, file_rename, V(directories), I(path, path_length), V(path_length), I(to, to_length),     \
      V(to_length), F(flags, HX_RENAME_NOREPLACE | HX_RENAME_EXCHANGE))                            \
    X(81, file_link, V(directories), I(path, path_length), V(path_length), I(to, to_length),       \
      V(to_length), F(flags, 0))                                                                   \
    X(82, file_symlink, V(directory), I(path, path_length), V(path_length), I(to, to_length),      \
      V(to_length), N)                                                                             \
    X(83, file_readlink, V(directory), I(path, path_length), V(path_length), O(buffer, length),    \
      V(length), N)                                                                                \
    X(84, file_truncate, H(file, HX_OBJECT_FILE, HX_RIGHT_WRITE), V(size), N, N, N, N)             \
    X(85, file_sync, V(file), N, N, N, N, N)                                                       \
    X(86, file_attr_set, V(directory), I(path, path_length), V(path_length), I(attr, length),      \
      V(length), F(flags, HX_STAT_NOFOLLOW))                                                       \
    X(87, xattr_get, V(file), I(name, name_length), V(name_length), O(buffer, length), V(length),  \
      N)                                                                                           \
    X(88, xattr_set, V(file), I(name, name_length), V(name_length), I(buffer, length), V(length),  \
      F(flags, HX_XATTR_CREATE | HX_XATTR_REPLACE))                                                \
    X(89, xattr_remove, V(file), I(name, name_length), V(name_length), N, N, N)                    \
    X(90, xattr_list, V(file), O(buffer, length), V(length), N, N, N)                              \
    X(91, pipe_create, O(handles, 8), F(flags, HX_PIPE_NOWAIT), N, N, N, N)                        \
    X(92, mount, I(name, name_length), V(name_length), I(path, path_length), V(path_length),       \
      V(options), F(flags, HX_MOUNT_FLAGS))                                                        \
    X(93, unmount, I(path, path_length), V(path_length), N, N, N, N)                               \
    X(94, fs_stat, V(directory), I(path, path_length), V(path_length), O(stat, length), V(length), \
      N)                                                                                           \
    X(95, process_start, I(spawn, length), V(length), N, N, N, N)                                  \
    X(110, system_command, H(system, HX_OBJECT_SYSTEM, HX_RIGHT_READ), I(args, args_length),       \
      V(args_length), V(output), N, N)                                                             \
    X(140, intent_set, V(thread), I(intent, 80), O(result, 40), V(right), N, N)                    \
    X(141, sched_stats, O(buffer, length), V(length), N, N, N, N)                                  \
    X(142, channel_call, H(channel, HX_OBJECT_CHANNEL, HX_RIGHT_WRITE), V(header), V(buffer), N,   \
      N, N)                                                                                        \
    X(143, channel_reply_receive, H(channel, HX_OBJECT_CHANNEL_SERVER, HX_RIGHT_READ), V(header),  \
      V(buffer), N, N, N)

enum hx_syscall {
#define HX_SYSCALL_NUMBER(number, name, ...) HX_SYS_##name = number,
    HX_SYSCALLS(HX_SYSCALL_NUMBER)
#undef HX_SYSCALL_NUMBER
        HX_SYSCALL_COUNT
};

#endif
