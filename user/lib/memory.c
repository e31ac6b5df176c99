/* SPDX-License-Identifier: MIT */
/* Pages: the wrappers of their calls.
 * Owns: nothing.   Context: any thread.
 */
#include <hx/memory.h>
#include <hx/syscall.h>

enum hx_status hx_memory_map(void *address, size_t size, u64 flags, void **out_address)
{
    s64 result = hx_sys_memory_map((u64)(uintptr_t)address, size, flags);
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out_address = (void *)(uintptr_t)result;
    return HX_OK;
}

enum hx_status hx_memory_unmap(void *address, size_t size)
{
    return (enum hx_status)hx_sys_memory_unmap((u64)(uintptr_t)address, size);
}

enum hx_status hx_memory_protect(void *address, size_t size, u64 flags)
{
    return (enum hx_status)hx_sys_memory_protect((u64)(uintptr_t)address, size, flags);
}
