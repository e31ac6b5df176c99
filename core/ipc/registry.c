/* SPDX-License-Identifier: MIT */
/* The registry: names of services, and how to reach them. A namespace is an object; handle 0 means
 * the system's own, which every program may use, and who shall see another gets a handle to one.
 * Owns:      names and the capabilities behind them.     Callers: system calls; the shell.
 * Context:   thread.     Locks: registry.lock, a mutex.
 * Invariant: (1) names in a registry are different; each holds one capability that no table has.
 *            (2) a name whose service is gone is as good as none: it is dropped by whoever meets
 * it.
 */
#include "ipc_priv.h"

#include <core/memory.h>
#include <core/quota.h>
#include <core/shell.h>
#include <core/sync.h>
#include <core/syscall.h>
#include <helix/panic.h>
#include <helix/string.h>

#define NAMES_MAX 1024 /* of one registry */

struct ipc_registry {
    struct object object; /* first */
    struct mutex lock;
    struct list_node names; /* l */
    u32 count;              /* l */
};

struct service {
    struct list_node node;
    char name[HX_SERVICE_NAME_MAX + 1];
    struct hx_service_info info;
    struct cap *cap;
    struct quota *quota; /* a reference */
};

static struct ipc_registry root = {
    .object = {.references = 1, .type = HX_OBJECT_REGISTRY},
    .lock = MUTEX_INIT(root.lock),
    .names = LIST_INIT(root.names),
};

static void drop_locked(struct ipc_registry *registry, struct service *service)
{
    list_remove(&service->node);
    registry->count--;
    cap_drop(service->cap);
    quota_uncharge(service->quota, HX_QUOTA_MEMORY, sizeof(*service));
    quota_put(service->quota);
    kfree(service);
}

static void registry_closed(struct object *object)
{
    struct ipc_registry *registry = HX_CONTAINER_OF(object, struct ipc_registry, object);
    struct service *service, *next;
    LIST_FOREACH_SAFE (&registry->names, service, next, node) {
        drop_locked(registry, service);
    }
    object_free(object);
}

s64 sys_registry_create(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    struct ipc_registry *registry = kzalloc(sizeof(*registry));
    if (!registry) {
        return HX_ERR_NO_MEMORY;
    }
    object_init(&registry->object, HX_OBJECT_REGISTRY, registry_closed);
    mutex_init(&registry->lock);
    list_init(&registry->names);
    return ipc_answer_handle(&registry->object, HX_RIGHT_READ | HX_RIGHT_WRITE | HX_RIGHTS_MOVE);
}

static enum hx_status registry_get(u64 handle, u32 rights, struct ipc_registry **out_registry)
{
    struct object *object = &root.object;
    enum hx_status status = HX_OK;
    if (handle == HX_HANDLE_NONE) {
        object_get(object);
    } else {
        status = handle_get(task_current()->handles, (hx_handle_t)handle, HX_OBJECT_REGISTRY,
                            rights, &object);
    }
    *out_registry = HX_CONTAINER_OF(object, struct ipc_registry, object);
    return status;
}

/* A name from user memory: printable characters, at least one. */
static enum hx_status name_in(u64 at, u64 length, char *out_name)
{
    if (length == 0) {
        return HX_ERR_INVALID;
    }
    if (length > HX_SERVICE_NAME_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    enum hx_status status = user_copy_in(out_name, at, length);
    out_name[length] = '\0';
    for (u64 i = 0; i < length && status == HX_OK; i++) {
        if (out_name[i] <= ' ' || out_name[i] > '~') {
            status = HX_ERR_INVALID;
        }
    }
    return status;
}

/* inv 2 */
static struct service *find_locked(struct ipc_registry *registry, const char *name)
{
    struct service *service, *next;
    LIST_FOREACH_SAFE (&registry->names, service, next, node) {
        if (str_equal(service->name, name)) {
            if (!ipc_object_is_closed(service->cap->object)) {
                return service;
            }
            drop_locked(registry, service);
            return NULL;
        }
    }
    return NULL;
}

static enum hx_status add(struct ipc_registry *registry, const char *name,
                          const struct hx_service_info *info, struct cap *cap)
{
    struct quota *quota = task_current()->quota;
    enum hx_status status = quota_charge(quota, HX_QUOTA_MEMORY, sizeof(struct service));
    if (status != HX_OK) {
        return status;
    }
    struct service *service = kzalloc(sizeof(*service));
    status = service ? HX_OK : HX_ERR_NO_MEMORY;
    mutex_acquire(&registry->lock);
    if (status == HX_OK && find_locked(registry, name)) {
        status = HX_ERR_EXISTS;
    } else if (status == HX_OK && registry->count == NAMES_MAX) {
        status = HX_ERR_NO_SPACE;
    }
    if (status == HX_OK) {
        HX_IGNORE(str_copy(service->name, name, sizeof(service->name)), "it was checked");
        service->info = *info;
        service->cap = cap;
        service->quota = quota_get(quota);
        list_add_tail(&registry->names, &service->node);
        registry->count++;
    }
    mutex_release(&registry->lock);
    if (status != HX_OK) {
        kfree(service);
        quota_uncharge(quota, HX_QUOTA_MEMORY, sizeof(*service));
    }
    return status;
}

s64 sys_name_register(u64 registry_handle, u64 name_at, u64 name_length, u64 handle, u64 version,
                      u64 features)
{
    char name[HX_SERVICE_NAME_MAX + 1];
    struct ipc_registry *registry;
    enum hx_status status = name_in(name_at, name_length, name);
    if (status == HX_OK) {
        status = registry_get(registry_handle, HX_RIGHT_WRITE, &registry);
    }
    if (status != HX_OK) {
        return status;
    }
    /* The registry gets a capability of its own; the caller keeps its handle. */
    struct handle_table *table = task_current()->handles;
    struct hx_handle_info held;
    hx_handle_t copy;
    struct cap *cap = NULL;
    status = handle_info(table, (hx_handle_t)handle, &held);
    if (status == HX_OK) {
        status = handle_duplicate(table, (hx_handle_t)handle, held.rights, &copy);
    }
    if (status == HX_OK) {
        status = handle_take_many(table, &copy, 1, &cap);
    }
    if (status == HX_OK) {
        struct hx_service_info info = {.size = sizeof(info),
                                       .type = (u32)cap->object->type,
                                       .version = version,
                                       .features = features,
                                       .process = ipc_source()};
        status = add(registry, name, &info, cap);
        if (status != HX_OK) {
            cap_drop(cap);
        }
    }
    object_put(&registry->object);
    return status;
}

s64 sys_name_find(u64 registry_handle, u64 name_at, u64 name_length, u64 version, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    char name[HX_SERVICE_NAME_MAX + 1];
    struct ipc_registry *registry;
    struct cap *cap = NULL;
    enum hx_status status = name_in(name_at, name_length, name);
    if (status == HX_OK) {
        status = registry_get(registry_handle, HX_RIGHT_READ, &registry);
    }
    if (status != HX_OK) {
        return status;
    }
    mutex_acquire(&registry->lock);
    struct service *service = find_locked(registry, name);
    if (!service) {
        status = HX_ERR_NOT_FOUND;
    } else if (service->info.version < version) {
        status = HX_ERR_ABI;
    } else {
        status = ipc_cap_copy(service->cap, &cap);
    }
    mutex_release(&registry->lock);
    object_put(&registry->object);
    hx_handle_t handle;
    if (status == HX_OK) {
        status = handle_give_many(task_current()->handles, &cap, 1, &handle);
        if (status != HX_OK) {
            cap_drop(cap);
        }
    }
    return status == HX_OK ? (s64)handle : (s64)status;
}

s64 sys_name_query(u64 registry_handle, u64 name_at, u64 name_length, u64 info_at, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    char name[HX_SERVICE_NAME_MAX + 1];
    struct hx_service_info info;
    struct ipc_registry *registry;
    enum hx_status status = name_in(name_at, name_length, name);
    if (status == HX_OK) {
        status = registry_get(registry_handle, HX_RIGHT_READ, &registry);
    }
    if (status != HX_OK) {
        return status;
    }
    mutex_acquire(&registry->lock);
    struct service *service = find_locked(registry, name);
    if (service) {
        info = service->info;
    }
    mutex_release(&registry->lock);
    object_put(&registry->object);
    return service ? (s64)user_copy_out(info_at, &info, sizeof(info)) : HX_ERR_NOT_FOUND;
}

/* Who registered a name may remove it, and who administers the registry. */
s64 sys_name_remove(u64 registry_handle, u64 name_at, u64 name_length, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    char name[HX_SERVICE_NAME_MAX + 1];
    struct ipc_registry *registry;
    enum hx_status status = name_in(name_at, name_length, name);
    if (status == HX_OK) {
        status = registry_get(registry_handle, HX_RIGHT_WRITE, &registry);
    }
    if (status != HX_OK) {
        return status;
    }
    mutex_acquire(&registry->lock);
    struct service *service = find_locked(registry, name);
    if (!service) {
        status = HX_ERR_NOT_FOUND;
    } else if (service->info.process != ipc_source()) {
        status = HX_ERR_ACCESS;
    } else {
        drop_locked(registry, service);
    }
    mutex_release(&registry->lock);
    object_put(&registry->object);
    return status;
}

void ipc_names_show(bool json)
{
    struct service *service, *next;
    mutex_acquire(&root.lock);
    LIST_FOREACH_SAFE (&root.names, service, next, node) {
        if (ipc_object_is_closed(service->cap->object)) {
            drop_locked(&root, service);
            continue;
        }
        shell_printf(json ? "{\"name\":\"%s\",\"type\":\"%s\",\"version\":%lu,\"features\":%lu,"
                            "\"process\":%lu}\n"
                          : "%-32s %-10s %8lu %#10lx %8lu\n",
                     service->name, ipc_type_name(service->info.type), service->info.version,
                     service->info.features, service->info.process);
    }
    mutex_release(&root.lock);
}
