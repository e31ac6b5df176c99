/* SPDX-License-Identifier: MIT */
/* Text on the serial line, as a module. It keeps nothing: who comes after it goes on where it was.
 */
#include <core/console.h>
#include <helix/module.h>

static void serial_write(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            console_hardware.serial_write('\r');
        }
        console_hardware.serial_write((u8)text[i]);
    }
}

static const struct console_ops table = {
    .abi_version = CONSOLE_ABI, .size = sizeof(table), .name = "serial", .write = serial_write};

MODULE(serial, .version = {1, 0, 0}, .summary = "console: text on the serial line",
       .provides = {{"console", CONSOLE_ABI, 0}}, .capabilities = MODULE_CAP_CONSOLE);
MODULE_CODE(serial, .interfaces = {&table});
