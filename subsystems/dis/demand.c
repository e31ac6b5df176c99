/* SPDX-License-Identifier: MIT */
/* Exact EDF schedulability: utilisation compared with 1 without rounding, then the demand bound
 * by QPA.
 * Context: pure functions.
 * Method:  EDF meets all deadlines iff for every t the demand h(t) with both release and deadline
 *          in an interval of length t, plus blocking, is at most t. Only t below a bound L can
 *          fail. QPA starts at the last deadline before L and jumps down: when h(t) < t, nothing
 *          between h(t) and t can fail, because h does not grow downwards. A set usually takes a
 *          few dozen evaluations where a walk over all deadlines takes thousands.
 * Spec:    Baruah, Rosier, Howell (1990), the criterion; Zhang and Burns, "Schedulability Analysis
 *          for Real-Time Systems with EDF Scheduling" (2009), QPA.
 */
#include <dis/demand.h>
#include <helix/bits.h>

#define STEPS_MAX (1u << 22)
#define BUSY_MAX  4096u
#define U_SHIFT   62

/* Is sum(more / period) above 1 (+1), equal (0) or below (-1)? Long division of all the fractions
 * at once, 32 binary digits a round. What is left after a round is below n units of its last
 * digit; two sums of such fractions that differ, differ by at least 1 / product(periods), so the
 * rounds that cover the bits of that product decide. `rem` is n words. */
static int utilisation_cmp(const struct dis_demand *set, u32 n, u64 *rem)
{
    u64 bits = 64;
    s64 diff = -1; /* (sum so far - 1), in units of the last digit */
    for (u32 i = 0; i < n; i++) {
        u64 whole = set[i].more / set[i].period;
        if (whole > 1) {
            return 1;
        }
        diff += (s64)whole;
        rem[i] = set[i].more % set[i].period;
        bits += hx_log2_floor(set[i].period) + 1;
    }
    for (u64 done = 0;; done += 32) {
        bool rest = false;
        for (u32 i = 0; i < n && !rest; i++) {
            rest = rem[i] != 0;
        }
        if (diff >= (rest ? 0 : 1)) {
            return 1;
        }
        if (!rest) {
            return diff == 0 ? 0 : -1;
        }
        if (diff <= -(s64)n) {
            return -1;
        }
        if (done > bits) {
            return 0;
        }
        diff *= (s64)1 << 32;
        for (u32 i = 0; i < n; i++) {
            /* period <= 2^40: two rounds of 16 digits keep the products within 64 bits */
            u64 a = rem[i] << 16, hi = a / set[i].period;
            u64 b = (a % set[i].period) << 16, lo = b / set[i].period;
            rem[i] = b % set[i].period;
            diff += (s64)(hi << 16 | lo);
        }
    }
}

/* Rounded up to units of 2^-62. */
static u64 utilisation_upper(const struct dis_demand *set, u32 n)
{
    u64 sum = 0;
    for (u32 i = 0; i < n; i++) {
        u64 r = set[i].more, u = 0;
        /* four times 15 or 16 digits: 62 in all */
        for (u32 k = 0; k < 4; k++) {
            u32 step = k < 2 ? 15 : 16;
            r = r << step;
            u = (u << step) + r / set[i].period;
            r %= set[i].period;
        }
        if (!hx_add_checked(sum, u + 1, &sum)) {
            return ~0ull;
        }
    }
    return sum;
}

static u64 demand_at(const struct dis_demand *set, u32 n, u64 t)
{
    u64 h = 0;
    for (u32 i = 0; i < n; i++) {
        if (t >= set[i].deadline) {
            h += set[i].first + (t - set[i].deadline) / set[i].period * set[i].more;
        }
    }
    return h;
}

/* The latest deadline below t, 0 if there is none. */
static u64 deadline_before(const struct dis_demand *set, u32 n, u64 t)
{
    u64 best = 0;
    for (u32 i = 0; i < n; i++) {
        if (set[i].deadline < t) {
            u64 d = (t - 1 - set[i].deadline) / set[i].period * set[i].period + set[i].deadline;
            best = hx_max_u64(best, d);
        }
    }
    return best;
}

/* sum(max(0, first - deadline * U_i)) + blocking over 1 - U, rounded up; ~0 when U is too near to
 * 1 to say. */
static u64 bound_by_slack(const struct dis_demand *set, u32 n, u64 blocking)
{
    u64 upper = utilisation_upper(set, n), excess = blocking, room, quotient;
    u32 shift;
    if (upper >= 1ull << U_SHIFT) {
        return ~0ull;
    }
    for (u32 i = 0; i < n; i++) {
        /* deadline * more / period, rounded down in steps that fit: d = a * period + b */
        u64 a = set[i].deadline / set[i].period, b = set[i].deadline % set[i].period;
        u64 part, used = a * set[i].more;
        if (hx_mul_checked(b, set[i].more, &part)) {
            used += part / set[i].period;
        } else {
            used += (b >> 20) * (set[i].more >> 20) / ((set[i].period >> 40) + 1);
        }
        excess += set[i].first > used ? set[i].first - used : 0;
    }
    room = (1ull << U_SHIFT) - upper;
    shift = excess == 0 ? 0 : hx_log2_floor(excess);
    shift = shift >= U_SHIFT ? 0 : U_SHIFT - shift;
    shift = shift > U_SHIFT ? U_SHIFT : shift;
    room >>= U_SHIFT - shift;
    if (room == 0) {
        return ~0ull;
    }
    quotient = (excess << shift) / room;
    return quotient + 1;
}

/* Length of the longest interval without idle time; ~0 when it did not settle soon. */
static u64 bound_by_busy(const struct dis_demand *set, u32 n, u64 blocking)
{
    u64 w = blocking, last = 0;
    for (u32 i = 0; i < n; i++) {
        w += set[i].first;
    }
    for (u32 step = 0; step < BUSY_MAX; step++) {
        last = w;
        w = blocking;
        for (u32 i = 0; i < n; i++) {
            w += set[i].first + (last - 1) / set[i].period * set[i].more;
        }
        if (w == last) {
            return w;
        }
        if (w > 1ull << 56) {
            break;
        }
    }
    return ~0ull;
}

enum dis_fit dis_demand_fits(const struct dis_demand *set, u32 n, u64 blocking, u64 *scratch)
{
    bool implicit = blocking == 0;
    u64 least = ~0ull, bound, t;
    int full;
    if (n == 0) {
        return DIS_FITS;
    }
    full = utilisation_cmp(set, n, scratch);
    if (full > 0) {
        return DIS_FULL;
    }
    for (u32 i = 0; i < n; i++) {
        if (set[i].first + blocking > set[i].deadline) {
            return DIS_FULL;
        }
        implicit = implicit && set[i].deadline >= set[i].period && set[i].first == set[i].more;
        least = hx_min_u64(least, set[i].deadline);
    }
    if (implicit) {
        return DIS_FITS; /* then h(t) <= U * t: the utilisation decides */
    }
    bound = bound_by_slack(set, n, blocking);
    if (bound > least) {
        bound = hx_min_u64(bound, bound_by_busy(set, n, blocking));
    }
    if (bound > 1ull << 56) {
        return DIS_UNDECIDED;
    }
    t = deadline_before(set, n, bound + 1);
    for (u32 step = 0; step < STEPS_MAX; step++) {
        u64 h;
        if (t < least) {
            return DIS_FITS;
        }
        h = demand_at(set, n, t) + blocking;
        if (h > t) {
            return DIS_FULL;
        }
        if (h < least) {
            return DIS_FITS;
        }
        t = h < t ? h : deadline_before(set, n, t);
    }
    return DIS_UNDECIDED;
}
