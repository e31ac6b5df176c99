/* SPDX-License-Identifier: MIT */
/* Intents of tasks, for the kernel's own use: no right is asked for.
 */
#ifndef DIS_TASK_H
#define DIS_TASK_H

#include <core/task.h>
#include <dis/intent.h>

/* Everything that there is to reserve. */
extern const struct dis_rights dis_rights_all;

/* A started task of its own name, with an intent. The caller has a reference.
 * Return: HX_OK; HX_ERR_NO_MEMORY; what dis_intent_set() says, *out_result as well. Thread. */
enum hx_status dis_task_start(const char *name, const struct hx_intent *intent,
                              void (*entry)(void *arg), void *arg,
                              struct hx_intent_result *out_result,
                              struct task **out_task) HX_MUST_CHECK;

#endif
