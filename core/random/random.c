/* SPDX-License-Identifier: MIT */
/* The kernel's random numbers: xoshiro256**, seeded through SplitMix64.
 * Owns:      the generator's state.     Callers: everyone.     Locks: random.lock, a leaf.
 * Sources:   hal_cpu.random (RDRAND, RNDR), the boot loader's seed (rng-seed of a device tree),
 *            devices (virtio-rng) by random_add(), the cycle counter and the wall clock, which
 * alone make nothing unpredictable. Spec:      Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators".
 */
#include <core/init.h>
#include <core/random.h>
#include <core/spinlock.h>
#include <core/time.h>
#include <hal/cpu.h>
#include <helix/bits.h>
#include <helix/cmdline.h>
#include <helix/log.h>
#include <helix/string.h>

static struct {
    struct spinlock lock;
    u64 s[4]; /* l; never all zero */
    bool seeded, repeatable;
} generator = {.lock = SPINLOCK_INIT("random", LOCK_RANK_RANDOM), .s = {1, 2, 3, 4}};

static u64 rotl(u64 v, u32 n)
{
    return v << n | v >> (64 - n);
}

static u64 split_mix(u64 *state)
{
    u64 z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void stir(u64 *state, u64 value)
{
    *state ^= value;
    *state = split_mix(state);
}

void random_init(void)
{
    const struct boot_info *info = boot_info_get();
    const char *word = cmdline_get("seed");
    u64 state = 0, value;
    if (word && str_to_u64(word, &value)) {
        state = value;
        generator.repeatable = true;
        log_info("random", "seed %lu from the command line: this run can be repeated", value);
    } else {
        for (u32 i = 0; i < 8 && hal_cpu.random(&value); i++) {
            stir(&state, value);
            generator.seeded = true;
        }
        for (u32 i = 0; i + 8 <= info->seed_size; i += 8) {
            stir(&state, hx_load_le64(info->seed + i));
            generator.seeded = true;
        }
        stir(&state, hal_counter_read());
        if (time_wall_ns(&value) == HX_OK) {
            stir(&state, value);
        }
        if (!generator.seeded) {
            log_warn("random", "nothing unpredictable to start from on this machine");
        }
    }
    for (u32 i = 0; i < 4; i++) {
        generator.s[i] = split_mix(&state);
    }
}

void random_add(const void *bytes, size_t size)
{
    u64 irqs = spin_lock_irq(&generator.lock);
    for (size_t i = 0; i < size && !generator.repeatable; i += 8) {
        u64 value = 0, *word = &generator.s[i / 8 % 4];
        memcpy(&value, (const u8 *)bytes + i, hx_min_u64(8, size - i));
        stir(word, value);
        *word |= *word == 0;
        generator.seeded = true;
    }
    spin_unlock_irq(&generator.lock, irqs);
}

u64 random_u64(void)
{
    u64 irqs = spin_lock_irq(&generator.lock);
    u64 *s = generator.s;
    u64 result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    spin_unlock_irq(&generator.lock, irqs);
    return result;
}

void random_fill(void *buf, size_t size)
{
    u8 *at = buf;
    while (size > 0) {
        u64 value = random_u64();
        size_t n = size < sizeof(value) ? size : sizeof(value);
        memcpy(at, &value, n);
        at += n;
        size -= n;
    }
}

bool random_is_seeded(void)
{
    return generator.seeded;
}
