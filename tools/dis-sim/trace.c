/* SPDX-License-Identifier: MIT */
/* What happened, as a file that ui.perfetto.dev opens (Chrome's JSON trace format) and as an SVG
 * timeline for documents.
 * Owns:      the buffer of events of this run.   Context: one host thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct record {
    u64 now, arg;
    u32 id;
    u8 cpu, event;
};

static struct {
    struct record *records;
    size_t nr, room;
} trace;

static const char *const event_names[DIS_EVENT_COUNT] = {
    "switch",    "wake",   "block",   "overrun", "miss",  "throttle",
    "replenish", "demote", "migrate", "strike",  "eject", "policy"};
static const char *const layer_names[DIS_LAYER_COUNT] = {"stop", "deadline", "prompt",
                                                         "fair", "idle",     "none"};
static const char *const layer_colours[DIS_LAYER_COUNT] = {"#444444", "#c0392b", "#e67e22",
                                                           "#2980b9", "#95a5a6", "#ffffff"};

_Static_assert(sizeof(event_names) / sizeof(event_names[0]) == DIS_EVENT_COUNT, "all named");

void sim_trace_reset(void)
{
    free(trace.records);
    trace.records = NULL;
    trace.nr = trace.room = 0;
}

void sim_trace_add(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    if (trace.nr == trace.room) {
        size_t room = trace.room == 0 ? 4096 : trace.room * 2;
        struct record *more = realloc(trace.records, room * sizeof(*more));
        if (more == NULL) {
            fprintf(stderr, "dis-sim: no memory for the trace\n");
            exit(1);
        }
        trace.records = more;
        trace.room = room;
    }
    trace.records[trace.nr++] = (struct record){now, arg, id, (u8)cpu, (u8)event};
}

static const char *name_of(u32 id)
{
    for (struct sim_task *t = sim_tasks(); t != NULL; t = t->next) {
        if (t->ctx.id == id) {
            return t->name;
        }
    }
    return id == SCHED_ID_NONE ? "idle" : "?";
}

/* Names come from a workload file: nothing but printable characters without quoting reaches the
 * output. */
static void put_name(FILE *f, const char *name)
{
    for (; *name != '\0'; name++) {
        fputc(*name >= ' ' && *name <= '~' && strchr("\"\\<>&'", *name) == NULL ? *name : '_', f);
    }
}

static u64 stint_end(size_t from)
{
    for (size_t i = from + 1; i < trace.nr; i++) {
        if (trace.records[i].cpu == trace.records[from].cpu &&
            trace.records[i].event == DIS_EVENT_SWITCH) {
            return trace.records[i].now;
        }
    }
    return sim_now();
}

bool sim_trace_write_perfetto(const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return false;
    }
    fprintf(f, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    fprintf(f, "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"CPUs\"}}");
    for (size_t i = 0; i < trace.nr; i++) {
        const struct record *r = &trace.records[i];
        double us = (double)r->now / 1000.0;
        if (r->event == DIS_EVENT_SWITCH) {
            if (r->id == SCHED_ID_NONE) {
                continue;
            }
            fprintf(f, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"name\":\"",
                    r->cpu, us, (double)(stint_end(i) - r->now) / 1000.0);
            put_name(f, name_of(r->id));
            fprintf(f, "\",\"cat\":\"%s\",\"args\":{\"id\":%u}}", layer_names[r->arg], r->id);
        } else {
            fprintf(f,
                    ",\n{\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"name\":\"%s ",
                    r->cpu, us, event_names[r->event]);
            put_name(f, name_of(r->id));
            fprintf(f, "\",\"args\":{\"id\":%u,\"arg\":%" PRIu64 "}}", r->id, r->arg);
        }
    }
    fprintf(f, "\n]}\n");
    return fclose(f) == 0;
}

/* One row per task; colour says the layer; marks say wake-ups and misses. */
bool sim_trace_write_svg(const char *path, u64 from, u64 to)
{
    const double width = 1000.0;
    double scale = width / (double)(to - from);
    FILE *f = fopen(path, "w");
    u32 rows = 0;
    if (f == NULL) {
        return false;
    }
    for (struct sim_task *t = sim_tasks(); t != NULL; t = t->next) {
        t->vars[7] = rows++;
    }
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1180\" height=\"%u\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n",
            rows * 22 + 40);
    for (struct sim_task *t = sim_tasks(); t != NULL; t = t->next) {
        u32 y = 10 + (u32)t->vars[7] * 22;
        fprintf(f, "<text x=\"4\" y=\"%u\">", y + 12);
        put_name(f, t->name);
        fprintf(f, "</text><line x1=\"150\" x2=\"1150\" y1=\"%u\" y2=\"%u\" stroke=\"#ddd\"/>\n",
                y + 16, y + 16);
    }
    for (size_t i = 0; i < trace.nr; i++) {
        const struct record *r = &trace.records[i];
        struct sim_task *t = sim_tasks();
        double x = 150.0 + ((double)r->now - (double)from) * scale;
        while (t != NULL && t->ctx.id != r->id) {
            t = t->next;
        }
        if (t == NULL || r->now >= to) {
            continue;
        }
        u32 y = 10 + (u32)t->vars[7] * 22;
        if (r->event == DIS_EVENT_SWITCH) {
            u64 end = stint_end(i);
            if (end <= from) {
                continue;
            }
            u64 begin = r->now < from ? from : r->now;
            end = end > to ? to : end;
            fprintf(f,
                    "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"14\" fill=\"%s\">"
                    "<title>CPU %u %s</title></rect>\n",
                    150.0 + (double)(begin - from) * scale, y + 2, (double)(end - begin) * scale,
                    layer_colours[r->arg], r->cpu, layer_names[r->arg]);
        } else if (r->now >= from && (r->event == DIS_EVENT_WAKE || r->event == DIS_EVENT_MISS)) {
            fprintf(f, "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"%u\" y2=\"%u\" stroke=\"%s\"/>\n", x, x,
                    y, y + 16, r->event == DIS_EVENT_MISS ? "red" : "green");
        }
    }
    fprintf(f, "<text x=\"150\" y=\"%u\">%.3f ms</text><text x=\"1090\" y=\"%u\">%.3f ms</text>\n",
            rows * 22 + 30, (double)from / 1e6, rows * 22 + 30, (double)to / 1e6);
    fprintf(f, "</svg>\n");
    return fclose(f) == 0;
}
