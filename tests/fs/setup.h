/* SPDX-License-Identifier: MIT */
/* What the fuzzers and the crash simulator share: an image whose geometry, codec and key follow
 * from a seed, and their command line.
 */
#ifndef TEST_FS_SETUP_H
#define TEST_FS_SETUP_H

#include "hostport.h"
#include "sim.h"
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct image {
    struct sim sim;
    struct hfs_key_source key;
    u8 secret[32];
    bool encrypted, no_log;
    u64 cache_bytes;
};

struct args {
    u64 seed, seeds, ops, states, seconds;
    s64 started_ns;
};

/* False: an error was printed. */
bool args_parse(int argc, char **argv, struct args *args);
/* By --seconds when given, else by --seeds. */
bool args_go_on(struct args *args, u64 done);

/* Makes the file system; the work's file_max is set to what fits. */
bool image_make(struct image *image, u64 seed, struct work *w);
struct hfs_mount_opts image_mount_opts(struct image *image, struct work *w);
bool image_mount(struct image *image, struct work *w);
/* Unmounts, or pulls the plug after a sync, checks the image, mounts again. */
bool image_remount(struct image *image, struct work *w);
void image_close(struct image *image, struct work *w, bool clean);
/* Is the image sound? Problems go to standard error. */
bool image_verify(struct bdev *dev, const struct hfs_key_source *key, bool loud);

#endif
