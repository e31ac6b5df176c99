/* SPDX-License-Identifier: MIT */
/* The exact schedulability test for one CPU under EDF.
 * A demand asks for at most `first` ns within any `deadline` ns, and for `more` in each further
 * `period`: a sporadic task has first == more; a token bucket has its burst first.
 */
#ifndef DIS_DEMAND_H
#define DIS_DEMAND_H

#include <helix/types.h>

struct dis_demand {
    u64 first, more, deadline, period; /* ns; all > 0; deadline <= 2^40, period <= 2^40 */
};

enum dis_fit {
    DIS_FITS,
    DIS_FULL,
    DIS_UNDECIDED /* only for total utilisation within 1e-9 of 1 and deadlines below periods, when
                   * the analysis would have to cover astronomically many jobs */
};

/* Do all n demands, plus one section of `blocking` ns that EDF cannot interrupt, meet all
 * deadlines? Neither optimistic nor pessimistic. `scratch` is n words.
 * Context: any; time grows with n and, near utilisation 1, with how near it is. */
enum dis_fit dis_demand_fits(const struct dis_demand *set, u32 n, u64 blocking, u64 *scratch);

#endif
