/* SPDX-License-Identifier: MIT */
/* mkfs.helixfs: writes an empty HelixFS. */
#include "image.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char *tool_name = "mkfs.helixfs";

static const char help[] =
    "usage: mkfs.helixfs [OPTIONS] IMAGE\n"
    "Writes an empty HelixFS to a file or a device.\n"
    "  --size SIZE         make or grow the file to that size first (K, M, G, T)\n"
    "  --label TEXT        up to 63 bytes\n"
    "  --copies 1|2        of every tree node (default 2)\n"
    "  --compress ALG      none, lz4, zstd or zstd:LEVEL with level 1 to 3 (default none)\n"
    "  --key-file FILE     encrypt; 32 bytes are a key, one line of text is a passphrase, - is\n"
    "                      standard input\n"
    "  --force             write over an existing HelixFS\n"
    "  --json              print what was made as one JSON object\n"
    "  --help              this text\n"
    "Exit status: 0 made, 1 failed, 2 wrong usage.\n";

static bool parse_alg(const char *text, struct hfs_mkfs_opts *opts)
{
    if (strcmp(text, "none") == 0) {
        opts->alg = HFS_ALG_NONE;
    } else if (strcmp(text, "lz4") == 0) {
        opts->alg = HFS_ALG_LZ4;
    } else if (strncmp(text, "zstd", 4) == 0) {
        opts->alg = HFS_ALG_ZSTD;
        opts->alg_level = 1;
        if (text[4] == ':' && text[5] >= '1' && text[5] <= '3' && text[6] == '\0') {
            opts->alg_level = (u32)(text[5] - '0');
        } else if (text[4] != '\0') {
            return false;
        }
    } else {
        return false;
    }
    return true;
}

/* Is there one already? */
static bool is_helixfs(struct bdev *dev)
{
    static u8 block[BDEV_BLOCK];
    struct hfs_super super;
    if (dev->blocks == 0 || bdev_read(dev, 0, 1, block) != HX_OK) {
        return false;
    }
    memcpy(&super, block, sizeof(super));
    return super.magic == HFS_MAGIC_SUPER;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"size", 1, NULL, 's'},     {"label", 1, NULL, 'l'},    {"copies", 1, NULL, 'c'},
        {"compress", 1, NULL, 'z'}, {"key-file", 1, NULL, 'k'}, {"force", 0, NULL, 'f'},
        {"json", 0, NULL, 'j'},     {"help", 0, NULL, 'h'},     {NULL, 0, NULL, 0}};
    struct hfs_mkfs_opts opts = {0};
    struct hfs_key_source key;
    u64 size = 0;
    bool force = false, json = false, good = true;
    for (int o; good && (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 's':
            good = parse_size(optarg, &size) && size > 0;
            break;
        case 'l':
            opts.label = optarg;
            break;
        case 'c':
            good = strcmp(optarg, "1") == 0 || strcmp(optarg, "2") == 0;
            opts.copies = (u32)(optarg[0] - '0');
            break;
        case 'z':
            good = parse_alg(optarg, &opts);
            break;
        case 'k':
            if (!key_load(optarg, &key)) {
                return 1;
            }
            opts.key = &key;
            break;
        case 'f':
            force = true;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            good = false;
            break;
        }
    }
    if (!good || optind + 1 != argc) {
        fputs(help, stderr);
        return 2;
    }
    struct image_file image;
    if (!image_open(&image, argv[optind], true, size)) {
        return 1;
    }
    if (!force && is_helixfs(&image.dev)) {
        fail("%s: holds a HelixFS already; --force writes over it", argv[optind]);
        return 1;
    }
    enum hx_status status = hfs_mkfs(&image.dev, &opts);
    if (status != HX_OK) {
        fail("%s: %s%s", argv[optind], hx_status_words(status),
             status == HX_ERR_INVALID ? "; 4 MiB is the least" : "");
        return 1;
    }
    u64 bytes = image.dev.blocks * BDEV_BLOCK;
    if (json) {
        printf("{\"image\":");
        json_string(stdout, argv[optind], strlen(argv[optind]));
        printf(",\"bytes\":%llu,\"copies\":%u,\"encrypted\":%s}\n", (unsigned long long)bytes,
               opts.copies != 0 ? opts.copies : 2, opts.key != NULL ? "true" : "false");
    } else {
        printf("%s: HelixFS of %llu MiB\n", argv[optind], (unsigned long long)(bytes >> 20));
    }
    return image_close(&image) ? 0 : 1;
}
