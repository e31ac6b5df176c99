/* SPDX-License-Identifier: MIT */
/* Workloads in rt-app's JSON, and what Helix adds to it: a task may have an "intent". */
#ifndef DIS_SIM_WORKLOAD_H
#define DIS_SIM_WORKLOAD_H

#include "json.h"
#include "sim.h"

struct workload;

/* Reads the text; NULL after saying on standard error, by `path` and line, what is wrong. */
struct workload *workload_read(const char *path, const char *text, size_t size);

/* Seconds that the file asks for; 0: it does not say. */
double workload_seconds(const struct workload *w);

/* Creates its tasks in the machine. False after saying why on standard error. */
bool workload_start(struct workload *w);
void workload_free(struct workload *w);

#endif
