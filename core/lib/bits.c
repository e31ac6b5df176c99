/* SPDX-License-Identifier: MIT */
/* 128-bit arithmetic that the compiler would call its own library for.
 * Owns: nothing.   Context: any.
 */
#include <helix/bits.h>

u64 hx_mul_div(u64 a, u64 b, u64 divisor)
{
    u128 product = (u128)a * b;
    u64 high = (u64)(product >> 64), low = (u64)product;
    if (high >= divisor) {
        return UINT64_MAX;
    }
    /* Long division in binary: `high` is the remainder so far and stays below the divisor. */
    for (u32 i = 0; i < 64; i++) {
        bool carry = high >> 63;
        high = high << 1 | low >> 63;
        low <<= 1;
        if (carry || high >= divisor) {
            high -= divisor;
            low |= 1;
        }
    }
    return low;
}
