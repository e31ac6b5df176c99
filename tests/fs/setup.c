/* SPDX-License-Identifier: MIT */
/* Images and command lines of the fuzzers, see setup.h. */
#include "setup.h"

#include <fs/os.h>
#include <time.h>

static s64 wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (s64)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool args_parse(int argc, char **argv, struct args *args)
{
    struct {
        const char *name;
        u64 *value;
    } known[] = {{"--seed", &args->seed},
                 {"--seeds", &args->seeds},
                 {"--ops", &args->ops},
                 {"--states", &args->states},
                 {"--seconds", &args->seconds}};
    args->started_ns = wall_ns();
    for (int i = 1; i < argc; i += 2) {
        u32 k = 0;
        while (k < HX_ARRAY_SIZE(known) && strcmp(argv[i], known[k].name) != 0) {
            k++;
        }
        if (k == HX_ARRAY_SIZE(known) || i + 1 == argc) {
            fprintf(stderr, "%s: bad option %s; known: --seed --seeds --ops --states --seconds N\n",
                    argv[0], argv[i]);
            return false;
        }
        *known[k].value = strtoull(argv[i + 1], NULL, 0);
    }
    return true;
}

bool args_go_on(struct args *args, u64 done)
{
    if (args->seconds > 0) {
        return wall_ns() - args->started_ns < (s64)args->seconds * 1000000000;
    }
    return done < args->seeds;
}

bool image_make(struct image *image, u64 seed, struct work *w)
{
    static const u64 sizes[] = {1536, 2048, 4096, 3000, 40000};
    memset(image, 0, sizeof(*image));
    hostport_seed(seed);
    sim_init(&image->sim, sizes[seed % 5]);
    w->sim = &image->sim;
    w->file_max = sizes[seed % 5] < 2000 ? 60000 : 120000;
    w->may_fill = sizes[seed % 5] < 10000;
    image->cache_bytes = seed % 3 == 0 ? HX_KIB(256) : HX_MIB(2);
    image->encrypted = seed % 7 == 3;
    image->no_log = seed % 11 == 5;
    memset(image->secret, (int)seed, sizeof(image->secret));
    image->key = (struct hfs_key_source){.secret = image->secret, .len = sizeof(image->secret)};
    struct hfs_mkfs_opts opts = {.copies = 1 + (seed / 2) % 2,
                                 .alg = (u32)(seed / 3 % 3),
                                 .key = image->encrypted ? &image->key : NULL};
    return hfs_mkfs(&image->sim.dev, &opts) == HX_OK;
}

struct hfs_mount_opts image_mount_opts(struct image *image, struct work *w)
{
    struct hfs_mount_opts opts = work_mount_opts(w, image->cache_bytes);
    opts.key = image->encrypted ? &image->key : NULL;
    opts.flags = image->no_log ? HFS_MOUNT_NOLOG : 0;
    return opts;
}

bool image_mount(struct image *image, struct work *w)
{
    struct hfs_mount_opts opts = image_mount_opts(image, w);
    struct hfs *fs;
    enum hx_status status = hfs_mount(&image->sim.dev, &opts, &fs);
    if (status != HX_OK || !work_attach(w, fs)) {
        snprintf(w->error, sizeof(w->error), "mount: %s", hx_status_name(status));
        return false;
    }
    return true;
}

static void print_problem(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "  verify: %s\n", text);
}

bool image_verify(struct bdev *dev, const struct hfs_key_source *key, bool loud)
{
    struct hfs_verify_opts opts = {
        .data = true, .key = key, .problem = loud ? print_problem : NULL};
    struct hfs_verify_result result;
    enum hx_status status = hfs_verify(dev, &opts, &result);
    if (status != HX_OK && loud) {
        fprintf(stderr, "  verify: %s\n", hx_status_name(status));
    }
    return status == HX_OK && result.problems == 0 && result.locked == 0;
}

bool image_remount(struct image *image, struct work *w)
{
    bool pull = rng_below(&w->rng, 2) == 0;
    enum hx_status status = HX_OK;
    work_detach(w);
    if (pull) {
        status = hfs_sync(w->fs);
        hfs_abandon(w->fs);
    } else {
        status = hfs_unmount(w->fs);
    }
    w->fs = NULL;
    if (status != HX_OK) {
        snprintf(w->error, sizeof(w->error), "unmount: %s", hx_status_name(status));
        return false;
    }
    if (!image_verify(&image->sim.dev, image->encrypted ? &image->key : NULL, true)) {
        snprintf(w->error, sizeof(w->error), "verify after op %llu", (unsigned long long)w->ops);
        return false;
    }
    return image_mount(image, w);
}

void image_close(struct image *image, struct work *w, bool clean)
{
    if (w->fs != NULL) {
        if (clean) {
            work_detach(w);
        }
        hfs_abandon(w->fs);
        w->fs = NULL;
    }
    sim_fini(&image->sim);
}
