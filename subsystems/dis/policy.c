/* SPDX-License-Identifier: MIT */
/* Exchanging and ejecting the policy of the fair layers.
 * Owns:      dis.policy, dis.policy_gen: what every queue should run.
 * Context:   as each function says. Run queue locks are taken one at a time.
 *
 *   set:   check table -> init a spare view of every queue -> publish, kick all CPUs
 *          -> each CPU flips its queues at its next decision (queue.c)
 *          -> its contexts follow, a few per decision -> not busy
 *   eject: publish the built-in, mark the old generation dead, kick all CPUs
 *
 * Invariant: (1) at most two generations hold contexts of a queue. (2) a dead one is not called.
 */
#include "dis_priv.h"

static enum hx_status ops_check(const struct sched_policy_ops *ops)
{
    if (ops == NULL) {
        return HX_ERR_INVALID;
    }
    if (ops->abi_version != SCHED_POLICY_ABI || ops->size != sizeof(*ops)) {
        return HX_ERR_ABI;
    }
    if (ops->name == NULL || ops->init == NULL || ops->enqueue == NULL || ops->dequeue == NULL ||
        ops->pick == NULL || ops->start == NULL || ops->charge == NULL || ops->put == NULL) {
        return HX_ERR_INVALID;
    }
    return HX_OK;
}

static void kick_all(void)
{
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        if ((dis.online & HX_BIT(cpu)) != 0) {
            dis_port_kick(cpu);
        }
    }
}

/* Makes the spare view of each queue of rq ready for ops. */
static enum hx_status views_init(struct dis_rq *rq, const struct sched_policy_ops *ops)
{
    struct dis_queue *q;
    LIST_FOREACH (&rq->queues, q, rq_node) {
        struct sched_queue *view = q->view == &q->views[0] ? &q->views[1] : &q->views[0];
        enum hx_status status;
        dis_port_lock(&rq->lock);
        memset(view, 0, sizeof(*view));
        view->cpu = rq->cpu;
        status = ops->init(view);
        dis_port_unlock(&rq->lock);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

enum hx_status dis_policy_set(const struct sched_policy_ops *ops)
{
    enum hx_status status = ops_check(ops);
    if (status != HX_OK) {
        return status;
    }
    dis_port_mutex_lock(&dis.admission);
    if (dis_policy_busy()) {
        status = HX_ERR_BUSY;
        goto out_unlock;
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        status = views_init(dis.rq[cpu], ops);
        if (status != HX_OK) {
            goto out_unlock;
        }
    }
    dis.strikes = 0;
    dis.policy_dead = false;
    dis.policy = ops;
    dis.exchanges++;
    __atomic_store_n(&dis.policy_gen, dis.policy_gen + 1, __ATOMIC_RELEASE);
    kick_all();

out_unlock:
    dis_port_mutex_unlock(&dis.admission);
    return status;
}

bool dis_policy_busy(void)
{
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        struct dis_rq *rq = dis.rq[cpu];
        struct dis_queue *q;
        bool busy;
        dis_port_lock(&rq->lock);
        busy = rq->policy_gen != dis.policy_gen;
        if (busy && (dis.online & HX_BIT(cpu)) == 0) { /* nobody decides there */
            dis_policy_follow(rq, dis_port_now());
            busy = false;
        }
        LIST_FOREACH (&rq->queues, q, rq_node) {
            busy = busy || q->old_ops != NULL;
        }
        dis_port_unlock(&rq->lock);
        if (busy) {
            return true;
        }
    }
    return false;
}

void dis_policy_settle(void)
{
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        struct dis_rq *rq = dis.rq[cpu];
        struct dis_queue *q;
        bool more = true;
        while (more) {
            more = false;
            dis_port_lock(&rq->lock);
            u64 now = dis_port_now();
            if (rq->policy_gen != dis.policy_gen) {
                dis_policy_follow(rq, now);
            }
            LIST_FOREACH (&rq->queues, q, rq_node) {
                u32 before = q->nr - q->attached;
                if (before != 0 && q->ops != &dis_policy_builtin) {
                    dis_queue_drain(q, 32, now);
                    /* What runs follows when it stops: one of a queue is not waited for. */
                    more = more || q->nr - q->attached > 1;
                }
            }
            dis_port_unlock(&rq->lock); /* between rounds, interrupts get their turn */
        }
    }
}

void dis_policy_eject(const char *why)
{
    if (dis.policy == &dis_policy_builtin) {
        return;
    }
    dis.ejected = why;
    dis.ejections++;
    dis.policy_dead = true;
    dis.policy = &dis_policy_builtin;
    __atomic_store_n(&dis.policy_gen, dis.policy_gen + 1, __ATOMIC_RELEASE);
    dis_port_trace(dis_port_cpu(), dis_port_now(), DIS_EVENT_EJECT, SCHED_ID_NONE, dis.policy_gen);
    kick_all();
}

const struct sched_policy_ops *dis_policy_current(void)
{
    return dis.policy;
}

const char *dis_policy_ejected(void)
{
    return dis.ejected;
}
