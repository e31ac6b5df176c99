/* SPDX-License-Identifier: MIT */
/* fsck.helixfs: proves an image sound, or says what is wrong where. It changes nothing: after a
 * crash there is nothing to repair, and damaged copies are repaired by scrubbing a mounted file
 * system.
 */
#include "image.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

const char *tool_name = "fsck.helixfs";

static const char help[] =
    "usage: fsck.helixfs [OPTIONS] IMAGE\n"
    "Checks everything that the last commit of a HelixFS says; writes nothing.\n"
    "  --data              read and check file contents too\n"
    "  --key-file FILE     of an encrypted file system; - is standard input\n"
    "  --json              print the result as one JSON object\n"
    "  --help              this text\n"
    "Exit status: 0 sound, 1 problems found, 2 wrong usage, 8 could not be checked.\n";

struct report {
    bool json, any;
};

static void print_problem(void *ctx, const char *text)
{
    struct report *r = ctx;
    if (!r->json) {
        printf("%s\n", text);
        return;
    }
    fputs(r->any ? "," : "", stdout);
    json_string(stdout, text, strlen(text));
    r->any = true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"data", 0, NULL, 'd'},
                                            {"key-file", 1, NULL, 'k'},
                                            {"json", 0, NULL, 'j'},
                                            {"help", 0, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct report report = {0};
    struct hfs_key_source key;
    struct hfs_verify_opts opts = {.problem = print_problem, .ctx = &report};
    bool good = true;
    for (int o; good && (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'd':
            opts.data = true;
            break;
        case 'k':
            if (!key_load(optarg, &key)) {
                return 8;
            }
            opts.key = &key;
            break;
        case 'j':
            report.json = true;
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
    if (!image_open(&image, argv[optind], false, 0)) {
        return 8;
    }
    struct hfs_verify_result r = {0};
    if (report.json) {
        printf("{\"problems\":[");
    }
    enum hx_status status = hfs_verify(&image.dev, &opts, &r);
    if (report.json) {
        printf("],\"status\":\"%s\",\"nodes\":%llu,\"files\":%llu,\"directories\":%llu,"
               "\"links\":%llu,\"extents\":%llu,\"snapshots\":%llu,\"blocks\":%llu,"
               "\"locked\":%llu}\n",
               hx_status_name(status), (unsigned long long)r.nodes, (unsigned long long)r.files,
               (unsigned long long)r.dirs, (unsigned long long)r.links,
               (unsigned long long)r.extents, (unsigned long long)r.snapshots,
               (unsigned long long)r.blocks_used, (unsigned long long)r.locked);
    }
    if (status != HX_OK) {
        fail("%s: %s", argv[optind],
             status == HX_ERR_INVALID ? "no HelixFS" : hx_status_words(status));
        return status == HX_ERR_CORRUPT ? 1 : 8;
    }
    if (!report.json) {
        printf("%s: %s: %llu files, %llu directories, %llu nodes, %llu extents, %llu snapshots\n",
               argv[optind], r.problems == 0 ? "sound" : "damaged", (unsigned long long)r.files,
               (unsigned long long)r.dirs, (unsigned long long)r.nodes,
               (unsigned long long)r.extents, (unsigned long long)r.snapshots);
        if (r.locked > 0) {
            printf("%s: %llu subvolumes are locked and were not checked\n", argv[optind],
                   (unsigned long long)r.locked);
        }
    }
    return r.problems == 0 ? (image_close(&image) ? 0 : 8) : 1;
}
