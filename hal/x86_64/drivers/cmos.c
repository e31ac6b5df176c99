/* SPDX-License-Identifier: MIT */
/* The PC's real-time clock, UTC by convention.
 * Owns:      ports 0x70 and 0x71.     Context: early or thread, interrupts masked inside.
 * Invariant: (1) a date is believed only when two reads with no update between them agree.
 * Spec:      Motorola MC146818A data sheet; register A bit 7 (update in progress), register B.
 */
#include <hal/clock.h>
#include <port/pc.h>
#include <port/x86.h>

#define INDEX      0x70
#define DATA       0x71
#define REG_A      0x0a
#define REG_B      0x0b
#define A_UPDATING 0x80
#define B_BINARY   0x04
#define B_24_HOURS 0x02
#define HOUR_PM    0x80
#define TRIES      10000

enum field { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, FIELDS };
static const u8 registers[FIELDS] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09};

static u8 cmos_get(u8 reg)
{
    io_write8(INDEX, reg);
    return io_read8(DATA);
}

static bool snapshot(u8 *out)
{
    for (u32 i = 0; cmos_get(REG_A) & A_UPDATING; i++) {
        if (i == TRIES) {
            return false;
        }
    }
    for (u32 i = 0; i < FIELDS; i++) {
        out[i] = cmos_get(registers[i]);
    }
    return true;
}

static u32 plain(u8 value, u8 mode)
{
    return mode & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

/* Days since 1970-01-01 of a Gregorian date; years from March on, so that leap days come last. */
static u64 days_from_date(u32 year, u32 month, u32 day)
{
    u32 y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static enum hx_status cmos_read(u64 *out_seconds)
{
    u8 a[FIELDS], b[FIELDS];
    u64 irqs = hal_irq_save();
    bool same = false;
    for (u32 tries = 0; !same && tries < 8; tries++) { /* inv 1 */
        same = snapshot(a) && snapshot(b);
        for (u32 i = 0; same && i < FIELDS; i++) {
            same = a[i] == b[i];
        }
    }
    u8 mode = cmos_get(REG_B);
    hal_irq_restore(irqs);
    bool pm = !(mode & B_24_HOURS) && (a[HOUR] & HOUR_PM);
    u32 hour = plain(a[HOUR] & (u8) ~(mode & B_24_HOURS ? 0 : HOUR_PM), mode);
    if (!(mode & B_24_HOURS)) {
        hour = hour % 12 + (pm ? 12 : 0);
    }
    u32 second = plain(a[SECOND], mode), minute = plain(a[MINUTE], mode);
    u32 day = plain(a[DAY], mode), month = plain(a[MONTH], mode), year = plain(a[YEAR], mode);
    if (!same || second > 59 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 ||
        month > 12 || year > 99) {
        return HX_ERR_IO;
    }
    year += year < 70 ? 2000 : 1900;
    *out_seconds = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return HX_OK;
}

static const struct hal_clock_ops cmos_ops = {
    .name = "CMOS",
    .read = cmos_read,
};

enum hx_status cmos_register(void)
{
    return hal_clock_register(&cmos_ops);
}
