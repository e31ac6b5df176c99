/* SPDX-License-Identifier: MIT */
/* Round robin as a module; the policy is subsystems/dis/policy/round_robin.c.
 */
#include <dis/policy.h>
#include <helix/module.h>

MODULE(round_robin, .version = {1, 0, 0},
       .summary = "scheduling policy: everyone in turn for one quantum",
       .provides = {{"sched.policy", SCHED_POLICY_ABI, 0}}, .capabilities = MODULE_CAP_SCHED);
MODULE_CODE(round_robin, .interfaces = {&dis_policy_round_robin});
