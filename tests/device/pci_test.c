/* SPDX-License-Identifier: MIT */
/* subsystems/device/pci.c over a configuration space that is an array: addresses given out, windows
 * that end, capability lists and bridges that lead nowhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <core/memory.h>
#include <core/sync.h>
#include <device/pci.h>
#include <hal/pci.h>

void pci_enumerate(void); /* of device_priv.h */

/* What pci.c calls, as far as one thread needs it. */

void mutex_acquire(struct mutex *mutex)
{
    assert_int_equal(mutex->owner, 0);
    mutex->owner = 1;
}

void mutex_release(struct mutex *mutex)
{
    assert_int_equal(mutex->owner, 1);
    mutex->owner = 0;
}

void *kmalloc(size_t size)
{
    return malloc(size);
}

void *kzalloc(size_t size)
{
    return calloc(1, size);
}

void kfree(void *p)
{
    free(p);
}

#define FUNCTIONS 8
#define FOUND_MAX 64

static struct device *found[FOUND_MAX];
static u32 found_count;

void device_add(struct device *dev)
{
    assert_true(found_count < FOUND_MAX);
    found[found_count++] = dev;
}

enum hx_status device_map(struct device *dev, u32 region, u64 offset, u64 size, vaddr_t *out)
{
    (void)offset;
    (void)size;
    (void)out;
    return region < DEVICE_REGIONS_MAX && dev->regions[region].size ? HX_OK : HX_ERR_INVALID;
}

/* The machine: functions with 256 bytes each; base addresses have the bits of `sizes` only. */
static struct function {
    u32 bdf;
    u8 space[256];
    u32 masks[6];
} functions[FUNCTIONS];
static u32 function_count;

static struct function *function_at(u32 bdf)
{
    for (u32 i = 0; i < function_count; i++) {
        if (functions[i].bdf == bdf) {
            return &functions[i];
        }
    }
    return NULL;
}

static u32 config_read(u32 bdf, u32 offset, u32 width)
{
    struct function *f = function_at(bdf);
    u32 value = UINT32_MAX;
    assert_true(bdf < 0x10000 && offset < 256 && offset % width == 0);
    if (f) {
        value = 0;
        memcpy(&value, f->space + offset, width);
    }
    return width == 4 ? value : value & ((1u << 8 * width) - 1);
}

static void config_write(u32 bdf, u32 offset, u32 width, u32 value)
{
    struct function *f = function_at(bdf);
    assert_true(bdf < 0x10000 && offset < 256 && offset % width == 0);
    if (f && offset >= 0x10 && offset < 0x28) {
        u32 flags = 0;
        memcpy(&flags, f->space + offset, 4);
        u32 mask = f->masks[(offset - 0x10) / 4];
        value = (value & mask) | (flags & ~mask & 0xf);
    }
    if (f) {
        memcpy(f->space + offset, &value, width);
    }
}

static enum hx_status config_irq(u32 bdf, u32 pin, irq_t *out_irq, enum hal_irq_trigger *trigger)
{
    *out_irq = 40 + ((bdf >> 3) + pin) % 4;
    *trigger = IRQ_TRIGGER_LEVEL;
    return pin == 4 ? HX_ERR_NOT_FOUND : HX_OK;
}

static struct function *add(u32 bdf, u32 class_code)
{
    struct function *f = &functions[function_count++];
    memset(f, 0, sizeof(*f));
    f->bdf = bdf;
    memcpy(f->space, &(u32){0x10001af4}, 4);
    memcpy(f->space + 8, &(u32){class_code << 8}, 4);
    return f;
}

static void bar(struct function *f, u32 index, u32 flags, u64 size)
{
    u64 mask = ~(size - 1);
    f->masks[index] = (u32)mask & ~0xfu;
    memcpy(f->space + 0x10 + 4 * index, &flags, 4);
    if ((flags & 6) == 4 && index < 5) {
        f->masks[index + 1] = (u32)(mask >> 32);
    }
}

static void begin(void)
{
    for (u32 i = 0; i < found_count; i++) {
        free(found[i]);
    }
    found_count = function_count = 0;
}

static const struct hal_pci_ops machine = {
    .name = "array",
    .bus_last = 255,
    .read = config_read,
    .write = config_write,
    .irq = config_irq,
    .memory32 = {.bus = 0x10000000, .cpu = 0x40000000, .size = HX_MIB(2)},
    .memory64 = {.bus = 0x8000000000, .cpu = 0x8000000000, .size = HX_GIB(8)},
};

static void addresses_are_given_in_windows(void **state)
{
    (void)state;
    begin();
    struct function *f = add(HAL_PCI_BDF(0, 3, 0), 0x010000);
    bar(f, 0, 0, 0x1000);
    bar(f, 1, 1, 0x20); /* ports: nobody gives those out */
    bar(f, 2, 4, HX_MIB(1));
    bar(f, 4, 4, HX_GIB(4)); /* too large for the first window */
    f->space[0x3d] = 1;
    pci_enumerate();
    assert_int_equal(found_count, 1);
    const struct device *dev = found[0];
    assert_int_equal(dev->regions[0].base, 0x40000000);
    assert_int_equal(dev->regions[0].size, 0x1000);
    assert_int_equal(dev->regions[1].size, 0);
    assert_int_equal(dev->regions[2].base, 0x40100000);
    assert_int_equal(dev->regions[4].base, 0x8000000000);
    assert_int_equal(dev->regions[4].size, HX_GIB(4));
    assert_int_equal(config_read(f->bdf, 0x10, 4), 0x10000000);
    assert_int_equal(config_read(f->bdf, 0x24, 4), 0x80);
    assert_int_equal(dev->irq, 40);
}

static void windows_end(void **state)
{
    (void)state;
    begin();
    struct function *f = add(HAL_PCI_BDF(0, 4, 0), 0x020000);
    bar(f, 0, 0, HX_MIB(2)); /* does not fit behind what the test before took */
    bar(f, 5, 4, HX_MIB(1)); /* half of a pair: no such thing */
    pci_enumerate();
    assert_int_equal(found_count, 1);
    for (u32 i = 0; i < DEVICE_REGIONS_MAX; i++) {
        assert_int_equal(found[0]->regions[i].size, 0);
    }
}

static void sizes_that_are_none_are_no_regions(void **state)
{
    (void)state;
    begin();
    struct function *f = add(HAL_PCI_BDF(0, 4, 0), 0x020000);
    f->masks[0] = 0x0f0f0000; /* holes in the mask */
    f->masks[1] = 0;
    pci_enumerate();
    assert_int_equal(found[0]->regions[0].size, 0);
    assert_int_equal(found[0]->regions[1].size, 0);
}

static void capability_lists_end(void **state)
{
    (void)state;
    begin();
    struct function *f = add(HAL_PCI_BDF(0, 5, 0), 0x010000);
    f->space[6] = 0x10;
    f->space[0x34] = 0x50;
    memcpy(f->space + 0x50, "\x09\x60", 2);
    memcpy(f->space + 0x60, "\x11\x50", 2); /* round and round */
    pci_enumerate();
    assert_int_equal(found[0]->msix_cap, 0x60);
    assert_int_equal(found[0]->msi_cap, 0);
    assert_int_equal(pci_capability_find(found[0], PCI_CAP_VENDOR, 0), 0x50);
    assert_int_equal(pci_capability_find(found[0], 0x42, 0), 0);
    f->space[0x34] = 0x20; /* into the header */
    assert_int_equal(pci_capability_find(found[0], PCI_CAP_VENDOR, 0), 0);
    f->space[0x34] = 0xfc;
    memcpy(f->space + 0xfc, "\x09\xff", 2);
    assert_int_equal(pci_capability_find(found[0], PCI_CAP_VENDOR, 0), 0xfc);
    f->space[6] = 0;
    assert_int_equal(pci_capability_find(found[0], PCI_CAP_VENDOR, 0), 0);
}

static struct function *bridge(u32 bdf, u32 secondary)
{
    struct function *f = add(bdf, 0x060400);
    f->space[0x0e] = 1;
    f->space[0x19] = (u8)secondary;
    return f;
}

/* The test forgets no bus that was visited: each case has numbers of its own. */
static void bridges_lead_downwards_once(void **state)
{
    (void)state;
    begin();
    bridge(HAL_PCI_BDF(0, 1, 0), 7);
    bridge(HAL_PCI_BDF(0, 2, 0), 7); /* the same again */
    bridge(HAL_PCI_BDF(0, 3, 0), 0); /* not numbered */
    add(HAL_PCI_BDF(7, 0, 0), 0x010000);
    bridge(HAL_PCI_BDF(7, 1, 0), 7); /* to itself */
    bridge(HAL_PCI_BDF(7, 2, 0), 0); /* upwards */
    pci_enumerate();
    assert_int_equal(found_count, 6);
    assert_string_equal(found[3]->name, "07:00.0");
}

static void only_functions_that_say_so_are_many(void **state)
{
    (void)state;
    begin();
    struct function *f = add(HAL_PCI_BDF(0, 6, 0), 0x010000);
    add(HAL_PCI_BDF(0, 6, 5), 0x010000);
    pci_enumerate();
    assert_int_equal(found_count, 1);
    f->space[0x0e] = 0x80;
    pci_enumerate();
    assert_int_equal(found_count, 3);
}

static int register_machine(void **state)
{
    (void)state;
    return hal_pci_register(&machine) == HX_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_given_in_windows),
        cmocka_unit_test(windows_end),
        cmocka_unit_test(sizes_that_are_none_are_no_regions),
        cmocka_unit_test(capability_lists_end),
        cmocka_unit_test(bridges_lead_downwards_once),
        cmocka_unit_test(only_functions_that_say_so_are_many),
    };
    int result = cmocka_run_group_tests(tests, register_machine, NULL);
    begin();
    return result;
}
