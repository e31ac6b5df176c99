/* SPDX-License-Identifier: MIT */
/* What the files of the benchmark program share.
 */
#ifndef BENCH_H
#define BENCH_H

#include <hx/io.h>

/* Has the user named it, by itself or by a glob, or nothing at all? */
bool bench_is_wanted(const char *name, int argc, char **argv);
/* Sorts the n values and prints what they come to. */
void bench_print(const char *name, u64 *values, u32 n, bool json);

/* disk.c: the benchmarks of a file system on a disk. Return: an exit status. */
int bench_disk(int argc, char **argv, bool json);

#endif
