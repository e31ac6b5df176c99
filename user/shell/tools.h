/* SPDX-License-Identifier: MIT */
/* The one list of the tools: commands about files, each a function of one program, bin/tools, which
 * is started under their names.
 */
#ifndef TOOLS_TOOLS_H
#define TOOLS_TOOLS_H

/* X(name, usage, summary) */
#define TOOLS(X)                                                                                   \
    X(ls, "[-l] [-a] [--json] [PATH...]", "list folders and files")                                \
    X(cat, "[FILE...]", "print files, or what comes in")                                           \
    X(write, "[-a] FILE [WORD...]",                                                                \
      "write the words, or what comes in, to a file; -a: at its end")                              \
    X(cp, "[-r] FROM... TO", "copy files")                                                         \
    X(mv, "FROM... TO", "move or rename files")                                                    \
    X(rm, "[-r] [-f] FILE...", "remove files")                                                     \
    X(mkdir, "[-p] FOLDER...", "make folders")                                                     \
    X(rmdir, "FOLDER...", "remove empty folders")                                                  \
    X(ln, "[-s] TARGET NAME", "give a file another name; -s: a symbolic link")                     \
    X(stat, "[--json] FILE...", "what the file system knows of files")                             \
    X(chmod, "MODE FILE...", "set permission bits, in octal")                                      \
    X(touch, "FILE...", "set files' times to now; make those that are missing")                    \
    X(du, "[--json] [PATH...]", "the space that folders take")                                     \
    X(df, "[--json]", "the space of the mounted file systems")                                     \
    X(fsinfo, "[--json] [PATH]", "the file system of a path")                                      \
    X(sync, "[FILE...]", "make what was written durable")                                          \
    X(mkfs, "TYPE DEVICE", "make an empty file system on a device; what was there is lost")        \
    X(mount, "[--json] | [-r] TYPE PATH [DEVICE [KEYFILE]]",                                       \
      "list what is mounted, or mount a file system")                                              \
    X(umount, "PATH", "take a mounted file system away")                                           \
    X(hexdump, "[FILE]", "bytes in hexadecimal")                                                   \
    X(sha256sum, "[FILE...]", "SHA-256 of files, or of what comes in")                             \
    X(xattr, "list FILE | get FILE NAME | set FILE NAME VALUE | remove FILE NAME",                 \
      "extended attributes")                                                                       \
    X(wc, "[FILE...]", "count lines, words and bytes")                                             \
    X(grep, "[-v] TEXT [FILE...]", "lines that hold a text; -v: that do not")                      \
    X(head, "[-n LINES] [FILE...]", "the first lines")                                             \
    X(spin, "[--threads N] [--ms MS]", "keep CPUs busy, for ever or so long")

#endif
