/* SPDX-License-Identifier: MIT */
/* The page that `top` and `sched stats` read without locks: one writer, a sequence number.
 * Context:   thread. The hot path only increments counters of its own CPU; they are gathered here.
 * Invariant: while `sequence` is even the page is consistent. The fences order the data against
 *            it on both sides (a sequence lock; the reader's data loads may tear, and are dropped).
 */
#include "dis_priv.h"

void dis_stats_publish(struct dis_stats_page *page, u64 now)
{
    u32 seq = page->sequence;
    __atomic_store_n(&page->sequence, seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    page->version = DIS_STATS_VERSION;
    page->size = sizeof(*page);
    page->cpus = dis.config.cpus;
    page->now = now;
    page->misses = dis.misses;
    page->overruns = dis.overruns;
    page->refused = dis.refused;
    page->admitted = dis.admitted;
    page->last_miss_ns = dis.last_miss_ns;
    page->last_miss_id = dis.last_miss_id;
    page->last_overrun_ns = dis.last_overrun_ns;
    page->last_overrun_id = dis.last_overrun_id;
    page->policy_generation = dis.policy_gen;
    page->strikes = dis.strikes;
    page->ejections = dis.ejections;
    page->exchanges = dis.exchanges;
    size_t n = strnlen(dis.policy->name, sizeof(page->policy) - 1);
    memcpy(page->policy, dis.policy->name, n);
    page->policy[n] = '\0';
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        struct dis_rq *rq = dis.rq[cpu];
        dis_port_lock(&rq->lock);
        dis_account(rq, now);
        rq->stats.nr_running = rq->root->leaves + rq->idle->leaves;
        page->rq[cpu] = rq->stats;
        dis_port_unlock(&rq->lock);
    }
    __atomic_store_n(&page->sequence, seq + 2, __ATOMIC_RELEASE);
}

enum hx_status dis_stats_read(const struct dis_stats_page *page, struct dis_stats_page *out)
{
    for (u32 i = 0; i < 100; i++) {
        u32 seq = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
        if ((seq & 1) != 0) {
            continue;
        }
        memcpy(out, page, sizeof(*out));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&page->sequence, __ATOMIC_RELAXED) == seq) {
            return HX_OK;
        }
    }
    return HX_ERR_BUSY;
}

void dis_stats_ctx(struct sched_ctx *ctx, u64 now, struct sched_account *out)
{
    struct dis_rq *rq = dis_ctx_lock(ctx);
    if (rq->curr == ctx) {
        dis_account(rq, now);
    }
    *out = ctx->acct;
    dis_port_unlock(&rq->lock);
}
