/* SPDX-License-Identifier: MIT */
/* Text on the screen alone, as a module; how it is drawn is core/console/framebuffer.c, which asks
 * here what it asks the kernel when it is a part of it. Where there is no screen, it does not
 * start.
 */
#include <core/console.h>
#include <helix/module.h>

static struct console_ops table = {
    .abi_version = CONSOLE_ABI, .size = sizeof(table), .name = "framebuffer"};

void console_register(struct console *console)
{
    table.write = console->write;
}

enum hx_status console_screen_map(const struct boot_framebuffer *fb, vaddr_t *out_va)
{
    (void)fb; /* it is the kernel's, which has mapped it */
    *out_va = console_hardware.pixels;
    return HX_OK;
}

/* Draws nothing: until it serves, the screen is another's. */
static void nowhere(const char *text, size_t n)
{
    (void)text;
    (void)n;
}

static enum hx_status framebuffer_init(struct module *self)
{
    (void)self;
    table.write = nowhere;
    return console_hardware.pixels ? HX_OK : HX_ERR_NOT_FOUND;
}

/* Begins with an empty screen. */
static enum hx_status framebuffer_start(struct module *self)
{
    (void)self;
    return console_framebuffer_init(&console_hardware.screen);
}

MODULE(framebuffer, .version = {1, 0, 0}, .summary = "console: text on the screen",
       .provides = {{"console", CONSOLE_ABI, 0}}, .capabilities = MODULE_CAP_CONSOLE);
MODULE_CODE(framebuffer, .interfaces = {&table},
            .ops = {.init = framebuffer_init, .start = framebuffer_start});
