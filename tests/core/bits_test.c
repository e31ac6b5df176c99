/* SPDX-License-Identifier: MIT */
/* <helix/bits.h>: against the compiler's own 128-bit arithmetic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <helix/bits.h>
#include <helix/compiler.h>

#define ROUNDS 200000

static u64 state = 0x9e3779b97f4a7c15;

/* Numbers of every magnitude: uniform ones would hardly ever be small. */
static u64 random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> (state >> 3 & 63);
}

static void check_mul_div(u64 a, u64 b, u64 divisor)
{
    u64 want = UINT64_MAX;
    if (divisor) {
        u128 quotient = (u128)a * b / divisor;
        want = quotient > UINT64_MAX ? UINT64_MAX : (u64)quotient;
    }
    assert_true(hx_mul_div(a, b, divisor) == want);
}

static void mul_div_agrees_with_128_bits(void **unused)
{
    (void)unused;
    static const u64 edges[] = {0,
                                1,
                                2,
                                3,
                                999999999,
                                1000000000,
                                1ull << 31,
                                1ull << 32,
                                (1ull << 32) + 1,
                                (1ull << 63) - 1,
                                1ull << 63,
                                (1ull << 63) + 1,
                                UINT64_MAX - 1,
                                UINT64_MAX};
    for (u32 a = 0; a < HX_ARRAY_SIZE(edges); a++) {
        for (u32 b = 0; b < HX_ARRAY_SIZE(edges); b++) {
            for (u32 d = 0; d < HX_ARRAY_SIZE(edges); d++) {
                check_mul_div(edges[a], edges[b], edges[d]);
            }
        }
    }
    for (u32 i = 0; i < ROUNDS; i++) {
        check_mul_div(random_number(), random_number(), random_number());
    }
}

static void alignment(void **unused)
{
    (void)unused;
    for (u32 shift = 0; shift < 64; shift++) {
        u64 align = 1ull << shift;
        assert_true(hx_is_pow2(align));
        assert_int_equal(hx_log2_floor(align), shift);
        assert_int_equal(hx_log2_floor(align | (align - 1)), shift);
        assert_true(HX_BIT(shift) == align);
        for (u32 i = 0; i < 200; i++) {
            u64 v = random_number(), out = 7;
            u128 up = ((u128)v + align - 1) / align * align;
            assert_true(hx_align_down(v, align) == v / align * align);
            assert_true(hx_align_up(v, align) == (u64)up);
            assert_true(hx_is_aligned(v, align) == (v % align == 0));
            assert_true(hx_align_up_checked(v, align, &out) == (up <= UINT64_MAX));
            assert_true(out == (up <= UINT64_MAX ? (u64)up : 7));
        }
    }
    assert_false(hx_is_pow2(0));
    assert_false(hx_is_pow2(3));
    assert_false(hx_is_pow2(UINT64_MAX));
}

static void checked_sums_products_and_ranges(void **unused)
{
    (void)unused;
    for (u32 i = 0; i < ROUNDS; i++) {
        u64 a = random_number(), b = random_number(), limit = random_number(), out;
        u128 sum = (u128)a + b, product = (u128)a * b;
        assert_true(hx_add_checked(a, b, &out) == (sum <= UINT64_MAX));
        assert_true(sum > UINT64_MAX || out == (u64)sum);
        assert_true(hx_mul_checked(a, b, &out) == (product <= UINT64_MAX));
        assert_true(product > UINT64_MAX || out == (u64)product);
        assert_true(hx_range_fits(a, b, limit) == (sum <= limit));
        assert_true(hx_min_u64(a, b) == (a < b ? a : b) && hx_max_u64(a, b) == (a < b ? b : a));
    }
    assert_true(hx_range_fits(5, 0, 5) && hx_range_fits(0, 0, 0) && !hx_range_fits(6, 0, 5));
}

static void loads_take_bytes_in_their_order(void **unused)
{
    (void)unused;
    static const u8 bytes[] = {0xff, 0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8};
    assert_int_equal(hx_load_le16(bytes + 1), 0x9281);
    assert_int_equal(hx_load_le32(bytes + 1), 0xb4a39281);
    assert_true(hx_load_le64(bytes + 1) == 0xf8e7d6c5b4a39281);
    assert_int_equal(hx_load_be32(bytes + 1), 0x8192a3b4);
    assert_true(hx_load_be64(bytes + 1) == 0x8192a3b4c5d6e7f8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mul_div_agrees_with_128_bits),
        cmocka_unit_test(alignment),
        cmocka_unit_test(checked_sums_products_and_ranges),
        cmocka_unit_test(loads_take_bytes_in_their_order),
    };
    return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}
