/* SPDX-License-Identifier: MIT */
/* First come, first served, as a module; the policy is subsystems/dis/policy/fifo.c.
 */
#include <dis/policy.h>
#include <helix/module.h>

MODULE(fifo, .version = {1, 0, 0}, .summary = "scheduling policy: first come, first served",
       .provides = {{"sched.policy", SCHED_POLICY_ABI, 0}}, .capabilities = MODULE_CAP_SCHED);
MODULE_CODE(fifo, .interfaces = {&dis_policy_fifo});
