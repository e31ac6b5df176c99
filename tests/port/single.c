/* SPDX-License-Identifier: MIT */
/* One CPU and one thread, for host units of code that waits and wakes: waking changes nothing, and
 * waiting is a mistake of the test, for nobody could ever wake it.
 */
#include <core/cpu.h>
#include <core/execution.h>
#include <core/memory.h>
#include <core/sync.h>
#include <core/task.h>
#include <stdlib.h>

struct cpu cpus[HAL_CPUS_MAX];

static __attribute__((constructor)) void adopt(void)
{
    hal_cpu_local_set(&cpus[0].hal);
}

u64 cpu_online_mask(void)
{
    return 1;
}

void event_set(struct event *event)
{
    event->set = true;
}

enum hx_status event_wait(struct event *event, u64 deadline_ns)
{
    (void)deadline_ns;
    if (!event->set) {
        abort();
    }
    event->set = false;
    return HX_OK;
}

enum hx_status task_sleep_until(u64 deadline_ns)
{
    (void)deadline_ns;
    abort();
}

bool space_fault(struct space *space, vaddr_t address, u32 access, bool present,
                 const char **out_reason)
{
    (void)space;
    (void)address;
    (void)access;
    (void)present;
    *out_reason = "no user memory on the host";
    return false;
}

void execution_user_fault(struct hal_trap_frame *frame, const struct hal_trap *trap,
                          const char *reason)
{
    (void)frame;
    (void)trap;
    (void)reason;
    abort();
}
