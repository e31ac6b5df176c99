/* SPDX-License-Identifier: MIT */
/* The command that lists block devices, and what a read costs: instructions from the call to its
 * return that this CPU did not wait through.
 * Context: the shell's thread.
 */
#include <fs/block.h>

#include <core/bench.h>
#include <core/cpu.h>
#include <core/memory.h>
#include <core/shell.h>

static void show_json(const struct block_info *info, const struct block_stats *stats)
{
    shell_printf("{\"name\":\"%s\",\"driver\":\"%s\",\"label\":", info->name, info->driver);
    shell_print_json_string(info->label);
    shell_printf(",\"start\":%lu,\"sectors\":%lu,\"block_bytes\":%u,\"read_only\":%s,"
                 "\"partition\":%s,\"cache\":%s,\"discard\":%s,\"reads\":%lu,\"writes\":%lu,"
                 "\"flushes\":%lu,\"discards\":%lu,\"zeroes\":%lu,\"commands\":%lu,\"merged\":%lu,"
                 "\"errors\":%lu,\"timeouts\":%lu,\"resets\":%lu,\"in_flight\":%u}\n",
                 info->start, info->sectors, info->block_bytes, info->read_only ? "true" : "false",
                 info->partition ? "true" : "false", info->cache ? "true" : "false",
                 info->discard ? "true" : "false", stats->requests[BLOCK_READ],
                 stats->requests[BLOCK_WRITE], stats->requests[BLOCK_FLUSH],
                 stats->requests[BLOCK_DISCARD], stats->requests[BLOCK_WRITE_ZEROES],
                 stats->commands, stats->merged, stats->errors, stats->timeouts, stats->resets,
                 stats->in_flight);
}

static int command_disks(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    struct block_device *dev;
    if (argc > (json ? 2 : 1)) {
        return shell_usage("disks");
    }
    if (!json) {
        shell_printf("%-10s %-12s %10s %6s %10s %10s %8s %7s  %s\n", "name", "driver", "MiB",
                     "block", "reads", "writes", "flushes", "errors", "label");
    }
    for (u32 i = 0; (dev = block_device_at(i)); i++) {
        struct block_info info;
        struct block_stats stats;
        block_device_info(dev, &info);
        block_device_stats(dev, &stats);
        if (json) {
            show_json(&info, &stats);
        } else {
            shell_printf("%-10s %-12s %10lu %6u %10lu %10lu %8lu %7lu  %s\n", info.name,
                         info.driver, info.sectors >> 11, info.block_bytes,
                         stats.requests[BLOCK_READ], stats.requests[BLOCK_WRITE],
                         stats.requests[BLOCK_FLUSH], stats.errors, info.label);
        }
        block_device_put(dev);
    }
    return SHELL_OK;
}

SHELL_COMMAND(disks, "disks", "[--json]", "the disks and partitions, and what was done with them",
              "The counts of a partition are those of its disk.", command_disks);

/* One request of 4 KiB after another, each waited for. */
static enum hx_status read_4k(struct bench_samples *s, const char *name)
{
    struct block_device *dev = block_device_find(name);
    struct block_info info;
    enum hx_status status = dev ? HX_OK : HX_ERR_NOT_SUPPORTED;
    void *page = kmalloc(HX_PAGE_SIZE);
    if (dev) {
        block_device_info(dev, &info);
        status = info.sectors < 8 ? HX_ERR_NOT_SUPPORTED : page ? HX_OK : HX_ERR_NO_MEMORY;
    }
    for (u32 i = 0; i < s->max && status == HX_OK; i++) {
        const struct cpu *cpu = &cpus[0]; /* figures are of machines with one CPU */
        u64 idle = cpu->idle_cycles, start = hal_cycles_read();
        status = block_read(dev, (u64)i * 8 % (info.sectors - 7), 8, page);
        u64 end = hal_cycles_read();
        bench_add(s, start, end - (cpu->idle_cycles - idle), 1);
    }
    kfree(page);
    block_device_put(dev);
    return status;
}

static enum hx_status virtio_read_4k(struct bench_samples *s)
{
    return read_4k(s, "vda");
}

static enum hx_status ram_read_4k(struct bench_samples *s)
{
    return read_4k(s, "ram0");
}

BENCHMARK(block_read_4k, "block.read_4k", 500, virtio_read_4k);
BENCHMARK(block_ram_read_4k, "block.ramdisk_read_4k", 500, ram_read_4k);
