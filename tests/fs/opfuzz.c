/* SPDX-License-Identifier: MIT */
/* Operation fuzzer: random operations against the model, with clean and unclean remounts, over all
 * geometries, codecs and keys.
 *
 *   opfuzz [--seed N] [--seeds COUNT] [--ops COUNT] [--seconds S]
 *
 * Each seed is one image. A disagreement prints the seed that repeats it and exits 1.
 */
#include "setup.h"

static bool one_seed(u64 seed, u32 ops)
{
    struct image image;
    struct work w;
    work_init(&w, seed);
    w.with_snapshots = seed % 2 == 0;
    if (!image_make(&image, seed, &w)) {
        fprintf(stderr, "opfuzz: seed %llu: cannot be set up\n", (unsigned long long)seed);
        return false;
    }
    bool good = image_mount(&image, &w);
    for (u32 i = 0; good && i < ops; i++) {
        good = work_step(&w);
        if (good && rng_below(&w.rng, 400) == 0) {
            good = work_compare(&w) && image_remount(&image, &w) && work_compare(&w);
        }
    }
    if (good) {
        good = work_compare(&w) && image_remount(&image, &w) && work_compare(&w);
    }
    if (!good) {
        fprintf(stderr, "opfuzz: seed %llu: %s\n", (unsigned long long)seed, w.error);
    }
    image_close(&image, &w, good);
    work_fini(&w);
    return good;
}

int main(int argc, char **argv)
{
    struct args args = {.seed = 1, .seeds = 60, .ops = 1500, .seconds = 0};
    if (!args_parse(argc, argv, &args)) {
        return 2;
    }
    u64 seed = args.seed, failed = 0, done = 0;
    for (; args_go_on(&args, done); seed++, done++) {
        failed += !one_seed(seed, (u32)args.ops);
    }
    printf("opfuzz: %llu images of %llu operations, %llu failed\n", (unsigned long long)done,
           (unsigned long long)args.ops, (unsigned long long)failed);
    return failed > 0;
}
