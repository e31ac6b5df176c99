/* SPDX-License-Identifier: MIT */
/* DIS on the kernel: the port, and starting it.
 * Owns:      the timer of each run queue; the housekeeper.     Context: as <dis/port.h> says.
 * Locks:     a dis_lock is a spinlock, with the interrupt state that it restores in its last word.
 *            The core takes a run queue's spinlock directly, interrupts masked by itself.
 */
#include <core/cmdline.h>
#include <core/cpu.h>
#include <core/orchestrator.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/spinlock.h>
#include <core/sync.h>
#include <core/time.h>
#include <hal/smp.h>
#include <helix/log.h>

#include "dis_priv.h"

#define SAVED_STATE 3 /* word of a dis_lock */

/* What admission adds to what programs declare: a switch, the timer interrupt of a job and the
 * longest section with interrupts masked, counted in instructions and rounded up. */
#define SWITCH_NS 1500
#define IRQ_NS    1500
#define BLOCK_NS  20000

_Static_assert(sizeof(struct spinlock) <= SAVED_STATE * sizeof(u64), "a spinlock fits");
_Static_assert(sizeof(struct mutex) <= sizeof(struct dis_mutex), "a mutex fits");
_Static_assert(offsetof(struct dis_rq, lock) == 0, "the core takes it: <core/dis.h>");
_Static_assert(offsetof(struct dis_lock, word) == 0, "as above");

static struct {
    struct timer timer[HAL_CPUS_MAX]; /* own CPU */
} kernel;

/* the port */

static struct spinlock *spin_of(const struct dis_lock *lock)
{
    return (struct spinlock *)(uintptr_t)lock->word;
}

static struct mutex *mutex_of(struct dis_mutex *mutex)
{
    return (struct mutex *)(void *)mutex->word;
}

void dis_port_lock_init(struct dis_lock *lock, enum dis_rank rank)
{
    switch (rank) {
    case DIS_RANK_DONATION:
        *spin_of(lock) = (struct spinlock)SPINLOCK_INIT("donation", LOCK_RANK_DONATION);
        break;
    case DIS_RANK_RUNQUEUE:
        *spin_of(lock) = (struct spinlock)SPINLOCK_INIT("run queue", LOCK_RANK_RUNQUEUE);
        break;
    case DIS_RANK_INBOX:
        *spin_of(lock) = (struct spinlock)SPINLOCK_INIT("inbox", LOCK_RANK_INBOX);
        break;
    case DIS_RANK_POOL:
        *spin_of(lock) = (struct spinlock)SPINLOCK_INIT("CPU time pool", LOCK_RANK_POOL);
        break;
    default:
        *spin_of(lock) = (struct spinlock)SPINLOCK_INIT("context ids", LOCK_RANK_CTX_IDS);
        break;
    }
}

void dis_port_mutex_init(struct dis_mutex *mutex)
{
    mutex_init(mutex_of(mutex));
}

void dis_port_mutex_lock(struct dis_mutex *mutex)
{
    mutex_acquire(mutex_of(mutex));
}

void dis_port_mutex_unlock(struct dis_mutex *mutex)
{
    mutex_release(mutex_of(mutex));
}

void dis_port_lock(struct dis_lock *lock)
{
    u64 state = hal_irq_save();
    spin_lock(spin_of(lock));
    lock->word[SAVED_STATE] = state;
}

void dis_port_unlock(struct dis_lock *lock)
{
    u64 state = lock->word[SAVED_STATE];
    spin_unlock(spin_of(lock));
    hal_irq_restore(state);
}

bool dis_port_lock_try(struct dis_lock *lock)
{
    u64 state = hal_irq_save();
    if (!spin_lock_try(spin_of(lock))) {
        hal_irq_restore(state);
        return false;
    }
    lock->word[SAVED_STATE] = state;
    return true;
}

bool dis_port_lock_is_held(const struct dis_lock *lock)
{
    (void)lock;
    return lockdep_holds(spin_of(lock));
}

u64 dis_port_now(void)
{
    return time_now_ns();
}

u32 dis_port_cpu(void)
{
    return hal_cpu_number();
}

void dis_port_timer_arm(u32 cpu, u64 at)
{
    timer_start(&kernel.timer[cpu], at);
}

void dis_port_kick(u32 cpu)
{
    sched_kick(cpu);
}

void *dis_port_alloc(size_t size)
{
    return kzalloc(size);
}

void dis_port_free(void *p, size_t size)
{
    (void)size;
    kfree(p);
}

void dis_port_trace(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    (void)now;
    (void)id;
    (void)arg;
    if (hx_unlikely(event == DIS_EVENT_EJECT)) {
        log_error("sched", "policy ejected on CPU %u: %s", cpu, dis_policy_ejected());
    }
}

static void timer_expired(struct timer *timer)
{
    struct cpu *cpu = cpu_this();
    (void)timer;
    spin_lock(spin_of(&cpu->rq->lock));
    if (dis_timer(cpu->rq, time_now_ns())) {
        cpu->resched = true;
    }
    spin_unlock(spin_of(&cpu->rq->lock));
}

/* start */

HX_COLD enum hx_status sched_policy_set(const char *name)
{
    HX_SET_FOREACH (sched_policies, it) {
        if (str_equal((*it)->name, name)) {
            return dis_policy_set(*it);
        }
    }
    return HX_ERR_NOT_FOUND;
}

const char *sched_policy_name(void)
{
    return dis_policy_current()->name;
}

/* A share in permille from the command line, where the profile can set it too. */
static HX_COLD void read_share(const char *name, u32 most, u32 *share)
{
    const char *word = cmdline_get(name);
    u64 value;
    if (!word) {
        return;
    }
    if (str_to_u64(word, &value) && value <= most) {
        *share = (u32)value;
    } else {
        log_warn("sched", "%s=%s is not a number of permille up to %u", name, word, most);
    }
}

HX_COLD enum hx_status sched_init(void)
{
    struct dis_config config = DIS_CONFIG_DEFAULT((u32)hx_min_u64(hal_smp.count(), HAL_CPUS_MAX));
    config.online = HX_BIT(hal_cpu_number());
    config.switch_ns = SWITCH_NS;
    config.irq_ns = IRQ_NS;
    config.block_ns = BLOCK_NS;
    read_share("realtime", 1000, &config.rt_permille);
    read_share("guard", 250, &config.guard_permille);
    read_share("system", 250, &config.system_permille);
    for (u32 cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        kernel.timer[cpu].expired = timer_expired;
    }
    enum hx_status status = dis_init(&config, &dis_policy_fair);
    const char *policy = cmdline_get("sched");
    if (status == HX_OK && policy && sched_policy_set(policy) != HX_OK) {
        log_warn("sched", "sched=%s is no policy; `sched policy` lists them", policy);
    }
    return status;
}

#define HOUSEKEEP_NS (100 * HX_NS_PER_MS)

static HX_COLD void housekeeper(void *arg)
{
    (void)arg;
    for (;;) {
        HX_IGNORE(task_sleep_until(time_now_ns() + HOUSEKEEP_NS), "nobody kills it");
        dis_housekeep(time_now_ns());
    }
}

/* On one CPU there is nothing to keep even. */
static HX_COLD enum hx_status start_housekeeper(void)
{
    struct task *task;
    if (dis.config.cpus == 1) {
        return HX_OK;
    }
    enum hx_status status = task_create("housekeeper", housekeeper, NULL, &task);
    if (status == HX_OK) {
        task_start(task);
    }
    return status;
}

COMPONENT(sched_housekeeper, .name = "sched-housekeeper", .version = "1.0", .needs = "kernel",
          .init = start_housekeeper);
