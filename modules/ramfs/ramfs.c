/* SPDX-License-Identifier: MIT */
/* The RAM file system as a module; what it does is fs/ramfs/ramfs.c. What that asks the kernel's
 * heap for is on the module's ledger here, so that nothing outlives it.
 */
#include <core/memory.h>
#include <fs/radix.h>
#include <fs/vfs.h>
#include <helix/module.h>

static struct module *self;

void *kmalloc(size_t size)
{
    return module_alloc(self, size);
}

void *kzalloc(size_t size)
{
    return module_alloc(self, size);
}

void kfree(void *p)
{
    module_free(self, p);
}

/* Caches are sizes here; there is one, for the nodes of trees. */
struct kmem_cache {
    size_t size;
};
static struct kmem_cache nodes;

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align)
{
    (void)name;
    (void)align;
    nodes.size = size;
    return &nodes;
}

void *kmem_cache_alloc(struct kmem_cache *cache)
{
    return module_alloc(self, cache->size);
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
    (void)cache;
    module_free(self, object);
}

static enum hx_status ramfs_init(struct module *module)
{
    self = module;
    return radix_init();
}

MODULE(ramfs, .version = {1, 0, 0}, .summary = "file system: names in memory",
       .provides = {{"fs.memory", FS_ABI, 0}}, .capabilities = MODULE_CAP_FS);
MODULE_CODE(ramfs, .interfaces = {&ramfs_ops}, .ops = {.init = ramfs_init});
