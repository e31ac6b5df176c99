/* SPDX-License-Identifier: MIT */
/* The few ACPI tables that a kernel without an interpreter needs: MADT, HPET, FADT, and the sleep
 * type of S5 out of the DSDT.
 * Owns:      what it read, constant after acpi_init().     Context: early; power-off: any.
 * Invariant: (1) no byte beyond a table's own length is read, the length is believed only after the
 *            mapping covered it, and the checksum is right before a field is used.
 * Spec:      ACPI 6.4, 5.2.5 (RSDP), 5.2.6 (header), 5.2.7/8 (RSDT, XSDT), 5.2.9 (FADT), 5.2.12
 *            (MADT), 7.4.2 (\_Sx), 4.8.3.2 (PM1 control); IA-PC HPET 1.0a, 3.2.4.
 */
#include <port/pc.h>

#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>
#include <port/x86.h>

#define HEADER_SIZE    36
#define TABLE_SIZE_MAX HX_MIB(4)
#define TABLES_MAX     64

#define PM1_SLEEP_ENABLE (1u << 13)
#define FADT_FLAG_RESET  (1u << 10)
#define SPACE_MEMORY     0
#define SPACE_IO         1

static struct {
    struct acpi_info info;
    u16 pm1a_control, pm1b_control;
    bool s5;
    u8 s5_a, s5_b;
    bool reset;
    u8 reset_space, reset_value;
    u64 reset_address;
} acpi;

const struct acpi_info *acpi_get(void)
{
    return &acpi.info;
}

static bool checksum_ok(const u8 *bytes, size_t size)
{
    u8 sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum = (u8)(sum + bytes[i]);
    }
    return sum == 0;
}

/* Firmware memory at its direct-map address where it is RAM, else mapped like a device. */
static const u8 *firmware_map(paddr_t pa, u64 size)
{
    struct hal_mapping mapping;
    u64 done = 0;
    if (pa < DIRECT_MAP_SIZE && size <= DIRECT_MAP_SIZE - pa) {
        while (done < size &&
               hal_mmu.query(&hal_kernel_space, DIRECT_MAP_BASE + pa + done, &mapping) == HX_OK) {
            done += mapping.size - ((pa + done) & (mapping.size - 1));
        }
        if (done >= size) {
            return hal_phys_to_virt(pa);
        }
    }
    vaddr_t va;
    return hal_event_device_map(pa, size, MAP_DEVICE, &va) == HX_OK ? (const u8 *)va : NULL;
}

/* The table at `pa` with a good checksum, or NULL. */
static const u8 *table_map(paddr_t pa, u32 *out_size)
{
    const u8 *header = pa ? firmware_map(pa, HEADER_SIZE) : NULL;
    if (!header) {
        return NULL;
    }
    u32 size = hx_load_le32(header + 4);
    if (size < HEADER_SIZE || size > TABLE_SIZE_MAX) {
        log_warn("acpi", "table at 0x%lx claims %u bytes and is ignored", pa, size);
        return NULL;
    }
    const u8 *table = firmware_map(pa, size);
    if (!table || !checksum_ok(table, size)) {
        log_warn("acpi", "table %.4s is damaged and ignored", (const char *)header);
        return NULL;
    }
    *out_size = size;
    return table;
}

static void madt_override(struct acpi_madt *madt, const u8 *entry)
{
    u8 isa = entry[3];
    u16 flags = hx_load_le16(entry + 8);
    if (isa < ISA_IRQS) {
        madt->isa[isa].gsi = hx_load_le32(entry + 4);
        madt->isa[isa].active_low = (flags & 3) == 3;
        madt->isa[isa].level = (flags >> 2 & 3) == 3;
    }
}

static void madt_cpu(struct acpi_madt *madt, u32 apic_id, u32 flags)
{
    if (!(flags & 1)) {
        return; /* not enabled */
    }
    if (madt->cpu_count == HAL_CPUS_MAX) {
        madt->cpus_dropped++;
        return;
    }
    madt->cpu_apic_ids[madt->cpu_count++] = apic_id;
}

static void read_madt(const u8 *table, u32 size)
{
    static const u8 minimum[] = {[0] = 8, [1] = 12, [2] = 10, [5] = 12, [9] = 16};
    struct acpi_madt *madt = &acpi.info.madt;
    if (size < 44) {
        return;
    }
    madt->present = true;
    madt->lapic_base = hx_load_le32(table + 36);
    for (u32 i = 0; i < ISA_IRQS; i++) {
        madt->isa[i].gsi = i;
    }
    for (u32 at = 44; size - at >= 2;) {
        const u8 *entry = table + at;
        u8 type = entry[0], length = entry[1];
        if (length < 2 || length > size - at ||
            (type < sizeof(minimum) && length < minimum[type])) {
            log_warn("acpi", "MADT ends in an entry that does not fit");
            return;
        }
        switch (type) {
        case 0:
            madt_cpu(madt, entry[3], hx_load_le32(entry + 4));
            break;
        case 1:
            if (madt->ioapic_count < HX_ARRAY_SIZE(madt->ioapics)) {
                madt->ioapics[madt->ioapic_count].base = hx_load_le32(entry + 4);
                madt->ioapics[madt->ioapic_count++].gsi_base = hx_load_le32(entry + 8);
            }
            break;
        case 2:
            madt_override(madt, entry);
            break;
        case 5:
            madt->lapic_base = hx_load_le64(entry + 4);
            break;
        case 9:
            madt_cpu(madt, hx_load_le32(entry + 4), hx_load_le32(entry + 8));
            break;
        default:
            break;
        }
        at += length;
    }
}

static void read_hpet(const u8 *table, u32 size)
{
    if (size >= 56 && table[40] == SPACE_MEMORY) {
        acpi.info.hpet_base = hx_load_le64(table + 44);
    }
}

/* PCI Firmware Specification 3.3, table 4-2: 44 bytes of header, then entries of 16. */
static void read_mcfg(const u8 *table, u32 size)
{
    for (u32 at = 44; size >= 44 && size - at >= 16; at += 16) {
        u8 first = table[at + 10], last = table[at + 11];
        if (hx_load_le16(table + at + 8) == 0 && first <= last) {
            acpi.info.ecam_base = hx_load_le64(table + at);
            acpi.info.ecam_bus_first = first;
            acpi.info.ecam_bus_last = last;
            return;
        }
    }
}

/* One AML integer of a package: ZeroOp, OneOp, BytePrefix. */
static bool aml_small_integer(const u8 **p, const u8 *end, u8 *out)
{
    if (*p >= end) {
        return false;
    }
    u8 op = *(*p)++;
    if (op == 0x00 || op == 0x01) {
        *out = op;
        return true;
    }
    if (op != 0x0a || *p >= end) {
        return false;
    }
    *out = *(*p)++;
    return true;
}

/* Name (\_S5, Package () { a, b, ... }) without an interpreter: the name, PackageOp, PkgLength,
 * element count, integers (ACPI 6.4, 20.2.5.4). */
static void read_s5(const u8 *dsdt, u32 size)
{
    for (u32 i = HEADER_SIZE; i + 8 < size; i++) {
        if (memcmp(dsdt + i, "_S5_", 4) != 0 || dsdt[i + 4] != 0x12) {
            continue;
        }
        const u8 *p = dsdt + i + 5, *end = dsdt + size;
        p += 1 + (*p >> 6) + 1; /* PkgLength, its bytes said in its top bits; element count */
        if (aml_small_integer(&p, end, &acpi.s5_a) && aml_small_integer(&p, end, &acpi.s5_b)) {
            acpi.s5 = true;
            return;
        }
    }
}

static void read_fadt(const u8 *table, u32 size)
{
    if (size < 116) {
        return;
    }
    acpi.pm1a_control = (u16)hx_load_le32(table + 64);
    acpi.pm1b_control = (u16)hx_load_le32(table + 68);
    if (hx_load_le32(table + 76) && table[91] == 4) {
        acpi.info.pm_timer_port = (u16)hx_load_le32(table + 76);
        acpi.info.pm_timer_32bit = hx_load_le32(table + 112) >> 8 & 1;
    }
    u32 flags = hx_load_le32(table + 112);
    if ((flags & FADT_FLAG_RESET) && size >= 129) {
        acpi.reset = true;
        acpi.reset_space = table[116];
        acpi.reset_address = hx_load_le64(table + 120);
        acpi.reset_value = table[128];
    }
    paddr_t dsdt = hx_load_le32(table + 40);
    if (size >= 148 && hx_load_le64(table + 140)) {
        dsdt = hx_load_le64(table + 140);
    }
    u32 dsdt_size;
    const u8 *aml = table_map(dsdt, &dsdt_size);
    if (aml) {
        read_s5(aml, dsdt_size);
    }
}

static void read_table(paddr_t pa)
{
    u32 size;
    const u8 *table = table_map(pa, &size);
    if (!table) {
        return;
    }
    if (memcmp(table, "APIC", 4) == 0) {
        read_madt(table, size);
    } else if (memcmp(table, "HPET", 4) == 0) {
        read_hpet(table, size);
    } else if (memcmp(table, "FACP", 4) == 0) {
        read_fadt(table, size);
    } else if (memcmp(table, "MCFG", 4) == 0) {
        read_mcfg(table, size);
    }
}

void acpi_init(paddr_t rsdp_pa)
{
    const u8 *rsdp = rsdp_pa ? firmware_map(rsdp_pa, 20) : NULL;
    if (!rsdp) {
        log_warn("acpi", "no tables: one CPU, 8259 interrupts, no power-off");
        return;
    }
    if (memcmp(rsdp, "RSD PTR ", 8) != 0 || !checksum_ok(rsdp, 20)) {
        log_warn("acpi", "root pointer is damaged: no tables");
        return;
    }
    paddr_t root_pa = hx_load_le32(rsdp + 16);
    u32 width = 4;
    if (rsdp[15] >= 2) {
        const u8 *rsdp2 = firmware_map(rsdp_pa, 36);
        if (rsdp2 && checksum_ok(rsdp2, 36) && hx_load_le64(rsdp2 + 24)) {
            root_pa = hx_load_le64(rsdp2 + 24);
            width = 8;
        }
    }
    u32 size;
    const u8 *root = table_map(root_pa, &size);
    if (!root) {
        return;
    }
    acpi.info.present = true;
    u32 count = (size - HEADER_SIZE) / width;
    for (u32 i = 0; i < count && i < TABLES_MAX; i++) {
        const u8 *entry = root + HEADER_SIZE + i * width;
        read_table(width == 8 ? hx_load_le64(entry) : hx_load_le32(entry));
    }
    if (acpi.info.madt.cpus_dropped) {
        log_warn("acpi", "%u CPUs beyond the first %u ignored", acpi.info.madt.cpus_dropped,
                 HAL_CPUS_MAX);
    }
}

enum hx_status acpi_poweroff(void)
{
    if (!acpi.s5 || !acpi.pm1a_control) {
        return HX_ERR_NOT_SUPPORTED;
    }
    io_write16(acpi.pm1a_control, (u16)(acpi.s5_a << 10 | PM1_SLEEP_ENABLE));
    if (acpi.pm1b_control) {
        io_write16(acpi.pm1b_control, (u16)(acpi.s5_b << 10 | PM1_SLEEP_ENABLE));
    }
    for (u32 i = 0; i < 1000000; i++) {
        hal_cpu_relax();
    }
    return HX_ERR_IO;
}

enum hx_status acpi_reset(void)
{
    if (!acpi.reset || acpi.reset_space != SPACE_IO || acpi.reset_address > 0xffff) {
        return HX_ERR_NOT_SUPPORTED;
    }
    io_write8((u16)acpi.reset_address, acpi.reset_value);
    for (u32 i = 0; i < 1000000; i++) {
        hal_cpu_relax();
    }
    return HX_ERR_IO;
}
