/* SPDX-License-Identifier: MIT */
/* EEVDF as a module; the policy is subsystems/dis/policy/fair.c.
 */
#include <dis/policy.h>
#include <helix/module.h>

MODULE(fair, .version = {1, 0, 0},
       .summary = "scheduling policy: shares by weight, earliest virtual deadline first",
       .provides = {{"sched.policy", SCHED_POLICY_ABI, 0}}, .capabilities = MODULE_CAP_SCHED);
MODULE_CODE(fair, .interfaces = {&dis_policy_fair});
