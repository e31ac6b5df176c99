/* SPDX-License-Identifier: MIT */
/* The one list of results. Zero is success, negatives are failures; system calls return the same
 * numbers, so a value never changes once released: new ones go to the end.
 */
#ifndef HELIX_STATUS_H
#define HELIX_STATUS_H

#include <helix/compiler.h>

/* X(name, number, words for a person) */
#define HX_STATUS_LIST(X)                                                                          \
    X(HX_OK, 0, "success")                                                                         \
    X(HX_ERR_INVALID, -1, "an argument is outside its documented range")                           \
    X(HX_ERR_NO_MEMORY, -2, "out of memory")                                                       \
    X(HX_ERR_NOT_FOUND, -3, "no such object")                                                      \
    X(HX_ERR_EXISTS, -4, "the object exists already")                                              \
    X(HX_ERR_NOT_SUPPORTED, -5, "this machine or object cannot do that")                           \
    X(HX_ERR_NOT_READY, -6, "used before it was set up")                                           \
    X(HX_ERR_BUSY, -7, "in use; try again when it is not")                                         \
    X(HX_ERR_TIMED_OUT, -8, "the deadline passed")                                                 \
    X(HX_ERR_WOULD_BLOCK, -9, "cannot be done without waiting")                                    \
    X(HX_ERR_IO, -10, "the device reported an error")                                              \
    X(HX_ERR_CORRUPT, -11, "stored or received data contradicts itself")                           \
    X(HX_ERR_OVERFLOW, -12, "a number or a size does not fit")                                     \
    X(HX_ERR_NO_SPACE, -13, "the table, buffer or device is full")                                 \
    X(HX_ERR_FAULT, -14, "an address is not accessible")                                           \
    X(HX_ERR_ACCESS, -15, "the handle lacks a right that this needs")                              \
    X(HX_ERR_BAD_HANDLE, -16, "not a handle, or of another type")                                  \
    X(HX_ERR_REVOKED, -17, "the authority was revoked")                                            \
    X(HX_ERR_LIMIT, -18, "a quota is exhausted")                                                   \
    X(HX_ERR_CLOSED, -19, "the other side is gone")                                                \
    X(HX_ERR_CANCELLED, -20, "the operation was cancelled")                                        \
    X(HX_ERR_DEADLOCK, -21, "waiting here would close a cycle")                                    \
    X(HX_ERR_BAD_SYSCALL, -22, "no such system call")                                              \
    X(HX_ERR_BAD_STATE, -23, "not allowed in the object's present state")                          \
    X(HX_ERR_ABI, -24, "built against another version of an interface")                            \
    X(HX_ERR_SIGNATURE, -25, "a signature or an authentication tag is wrong")                      \
    X(HX_ERR_NO_FIT, -26, "admission control refused")                                             \
    X(HX_ERR_NOT_DIR, -27, "a path component is not a directory")                                  \
    X(HX_ERR_IS_DIR, -28, "is a directory")                                                        \
    X(HX_ERR_NOT_EMPTY, -29, "the directory is not empty")                                         \
    X(HX_ERR_NAME_TOO_LONG, -30, "a name or a path is too long")                                   \
    X(HX_ERR_LOOP, -31, "too many symbolic links, or a chain too deep")                            \
    X(HX_ERR_CROSS_DEVICE, -32, "not within one file system")                                      \
    X(HX_ERR_READ_ONLY, -33, "the file system or object is read-only")                             \
    X(HX_ERR_TOO_MANY_LINKS, -34, "too many links to the file")                                    \
    X(HX_ERR_INTERRUPTED, -35, "interrupted before anything was done")                             \
    X(HX_ERR_MESSAGE_SIZE, -36, "the message does not fit")                                        \
    X(HX_ERR_END, -37, "no more entries or data")                                                  \
    X(HX_ERR_DEAD_PEER, -38, "whoever had the message ended before answering")

enum hx_status {
#define HX_STATUS_ENUM(name, number, words) name = number,
    HX_STATUS_LIST(HX_STATUS_ENUM)
#undef HX_STATUS_ENUM
};

#define HX_STATUS_LAST 38 /* the largest failure number, without its sign */

/* The name of a status as it is spelled here ("HX_ERR_BUSY"), "HX_ERR_?" for a number that is
 * none. Context: any. */
const char *hx_status_name(enum hx_status status);

/* The words for a person. Context: any. */
const char *hx_status_words(enum hx_status status);

#endif
