/* SPDX-License-Identifier: MIT */
/* PS/2 keyboard on an 8042 controller, as a source of ASCII and VT100 sequences.
 * Owns:      ports 0x60 and 0x64 (the keyboard's side).     Context: init: thread; input: IRQ.
 * Layout:    US. Scan codes: set 1, which the controller translates to.
 * Invariant: (1) waiting for the controller is bounded: a machine without one is the usual case.
 * Spec:      IBM PS/2 technical reference, keyboard and auxiliary device controller.
 */
#include <port/pc.h>

#include <hal/events.h>
#include <helix/irq.h>
#include <helix/log.h>
#include <port/x86.h>

#define DATA                    0x60
#define STATUS                  0x64
#define STATUS_OUTPUT_FULL      0x01
#define STATUS_INPUT_FULL       0x02
#define STATUS_FROM_MOUSE       0x20
#define COMMAND_READ_CONFIG     0x20
#define COMMAND_WRITE_CONFIG    0x60
#define COMMAND_ENABLE_KEYBOARD 0xae
#define CONFIG_KEYBOARD_IRQ     0x01
#define CONFIG_KEYBOARD_OFF     0x10
#define CONFIG_TRANSLATE        0x40
#define KEYBOARD_ISA_IRQ        1
#define POLL_LIMIT              10000

#define SCAN_RELEASE     0x80
#define SCAN_EXTENDED    0xe0
#define SCAN_CTRL        0x1d
#define SCAN_SHIFT_LEFT  0x2a
#define SCAN_SHIFT_RIGHT 0x36
#define SCAN_CAPS_LOCK   0x3a

static const char plain[0x3a] = "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./"
                                "\0*\0 ";
static const char shifted[0x3a] =
    "\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?"
    "\0*\0 ";

static struct {
    bool shift, ctrl, caps, extended;
    struct irq_action action;
} keyboard;

static void send(const char *sequence)
{
    for (; *sequence; sequence++) {
        hal_event_input((u8)*sequence);
    }
}

static void key_extended(u8 code)
{
    switch (code) {
    case 0x48:
        send("\033[A");
        break;
    case 0x50:
        send("\033[B");
        break;
    case 0x4d:
        send("\033[C");
        break;
    case 0x4b:
        send("\033[D");
        break;
    case 0x47:
        send("\033[H");
        break;
    case 0x4f:
        send("\033[F");
        break;
    case 0x53:
        send("\033[3~");
        break;
    case 0x1c:
        send("\r");
        break;
    default:
        break;
    }
}

static void key_pressed(u8 code)
{
    if (code >= sizeof(plain)) {
        return;
    }
    char c = plain[code];
    bool letter = c >= 'a' && c <= 'z';
    if (keyboard.shift != (letter && keyboard.caps)) {
        c = shifted[code];
    }
    if (keyboard.ctrl && c >= '@' && c < 0x7f) {
        c &= 0x1f;
    }
    if (c) {
        hal_event_input((u8)c);
    }
}

static void scan_code(u8 code)
{
    bool released = code & SCAN_RELEASE, extended = keyboard.extended;
    u8 key = code & ~SCAN_RELEASE;
    if (code == SCAN_EXTENDED) {
        keyboard.extended = true;
        return;
    }
    keyboard.extended = false;
    if (key == SCAN_CTRL) {
        keyboard.ctrl = !released;
    } else if (!extended && (key == SCAN_SHIFT_LEFT || key == SCAN_SHIFT_RIGHT)) {
        keyboard.shift = !released;
    } else if (released) {
        return;
    } else if (extended) {
        key_extended(key);
    } else if (key == SCAN_CAPS_LOCK) {
        keyboard.caps = !keyboard.caps;
    } else {
        key_pressed(key);
    }
}

static bool keyboard_interrupt(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    u8 status = io_read8(STATUS);
    if (!(status & STATUS_OUTPUT_FULL)) {
        return false;
    }
    u8 code = io_read8(DATA);
    if (!(status & STATUS_FROM_MOUSE)) {
        scan_code(code);
    }
    return true;
}

/* Waits for a status bit to be `set`. */
static bool wait_for(u8 bit, bool set)
{
    for (u32 i = 0; i < POLL_LIMIT; i++) {
        if (!(io_read8(STATUS) & bit) == !set) {
            return true;
        }
        hal_cpu_relax();
    }
    return false;
}

static bool command(u8 value)
{
    if (!wait_for(STATUS_INPUT_FULL, false)) {
        return false;
    }
    io_write8(STATUS, value);
    return true;
}

static bool config_read(u8 *out)
{
    if (!command(COMMAND_READ_CONFIG) || !wait_for(STATUS_OUTPUT_FULL, true)) {
        return false;
    }
    *out = io_read8(DATA);
    return true;
}

void ps2_init(void)
{
    u8 config;
    if (io_read8(STATUS) == 0xff) {
        return; /* a bus that nobody drives */
    }
    for (u32 i = 0; i < 16 && (io_read8(STATUS) & STATUS_OUTPUT_FULL); i++) {
        (void)io_read8(DATA);
    }
    if (!command(COMMAND_ENABLE_KEYBOARD) || !config_read(&config)) {
        return;
    }
    config = (u8)((config | CONFIG_KEYBOARD_IRQ | CONFIG_TRANSLATE) & ~CONFIG_KEYBOARD_OFF);
    if (!command(COMMAND_WRITE_CONFIG) || !wait_for(STATUS_INPUT_FULL, false)) {
        return;
    }
    io_write8(DATA, config);
    keyboard.action = (struct irq_action){.handler = keyboard_interrupt, .name = "keyboard"};
    enum hx_status status = irq_register(KEYBOARD_ISA_IRQ, &keyboard.action, IRQ_TRIGGER_DEFAULT);
    if (status != HX_OK) {
        log_warn("ps2", "keyboard without an interrupt: %s", hx_status_words(status));
        return;
    }
    log_info("ps2", "keyboard, US layout");
}
