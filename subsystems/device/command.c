/* SPDX-License-Identifier: MIT */
/* The command that lists devices.
 * Context: the shell's thread.
 */
#include <device/device.h>

#include <core/shell.h>
#include <helix/format.h>

static const char *class_name(u32 class_code)
{
    static const char *const names[] = {
        "old",    "storage",    "network", "display", "multimedia", "memory",    "bridge",
        "serial", "peripheral", "input",   "docking", "processor",  "serial bus"};
    u32 class = class_code >> 16;
    return class < HX_ARRAY_SIZE(names) ? names[class] : "other";
}

static void identity(const struct device *dev, char *buf, size_t size)
{
    if (dev->bus == DEVICE_PCI) {
        format_buffer(buf, size, "%04x:%04x %s", dev->vendor, dev->id, class_name(dev->class_code));
    } else if (dev->bus == DEVICE_VIRTIO) {
        format_buffer(buf, size, "type %u", dev->id);
    } else {
        format_buffer(buf, size, "%s", dev->compatible ? dev->compatible : "");
    }
}

static const char *driver_name(const struct device *dev)
{
    return dev->driver ? dev->driver->name : dev->claimed ? "hal" : "-";
}

static void show_json(struct device *dev, const char *what)
{
    shell_printf("{\"name\":");
    shell_print_json_string(dev->name);
    shell_printf(",\"bus\":\"%s\",\"id\":", device_bus_name(dev->bus));
    shell_print_json_string(what);
    shell_printf(",\"driver\":\"%s\",\"status\":\"%s\",\"irq\":%d,\"held\":%u,\"regions\":[",
                 driver_name(dev), hx_status_name(dev->status),
                 dev->irq == HX_IRQ_NONE ? -1 : (int)dev->irq, ledger_count(&dev->ledger));
    const char *comma = "";
    for (u32 i = 0; i < DEVICE_REGIONS_MAX; i++) {
        if (dev->regions[i].size) {
            shell_printf("%s{\"base\":%lu,\"size\":%lu,\"io\":%s}", comma, dev->regions[i].base,
                         dev->regions[i].size, dev->regions[i].io ? "true" : "false");
            comma = ",";
        }
    }
    shell_printf("]}\n");
}

static int command_devices(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    struct device *dev;
    char what[64];
    if (argc > (json ? 2 : 1)) {
        return shell_usage("devices");
    }
    if (!json) {
        shell_printf("%-7s %-24s %-28s %5s %5s  %s\n", "bus", "name", "what", "line", "held",
                     "driver");
    }
    for (u32 i = 0; (dev = device_at(i)); i++) {
        identity(dev, what, sizeof(what));
        if (json) {
            show_json(dev, what);
            continue;
        }
        char line[12] = "-";
        if (dev->irq != HX_IRQ_NONE) {
            format_buffer(line, sizeof(line), "%u", dev->irq);
        }
        shell_printf("%-7s %-24s %-28s %5s %5u  %s\n", device_bus_name(dev->bus), dev->name, what,
                     line, ledger_count(&dev->ledger), driver_name(dev));
    }
    return SHELL_OK;
}

SHELL_COMMAND(devices, "devices", "[--json]", "the devices, and the drivers that have them",
              "held: mappings, memory, interrupts and queues that the driver has of the device.",
              command_devices);
