/* SPDX-License-Identifier: MIT */
/* Text on a linear framebuffer.
 * Owns:      the pixels, a copy of the characters on screen.    Callers: console.
 * Context:   any; serialised by the console lock, or by there being one CPU left in a panic.
 * Why a cell buffer: reading pixels back from write-combining memory is very slow, so scrolling
 *            redraws from the characters, and only the cells that differ.
 * Invariant: (1) row < rows and column <= columns.  (2) cells[] is what the screen shows.
 */
#include <core/console.h>
#include <helix/font.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>

#define COLUMNS_MAX 240
#define ROWS_MAX    120
#define INK         0xd0d0d0u
#define PAPER       0x101018u

static struct {
    volatile u8 *pixels;
    u32 pitch, bytes_per_pixel;
    u32 columns, rows, column, row;
    u32 ink, paper; /* in the framebuffer's format */
    enum { TEXT_PLAIN, TEXT_ESCAPE, TEXT_SEQUENCE } state;
    u32 parameter;
    u8 cells[ROWS_MAX][COLUMNS_MAX];
} fb;

static u32 pixel_from_rgb(const struct boot_framebuffer *info, u32 rgb)
{
    u32 r = (rgb >> 16 & 0xff) >> (8 - info->red_bits);
    u32 g = (rgb >> 8 & 0xff) >> (8 - info->green_bits);
    u32 b = (rgb & 0xff) >> (8 - info->blue_bits);
    return r << info->red_shift | g << info->green_shift | b << info->blue_shift;
}

static void put_pixel(volatile u8 *at, u32 value)
{
    if (fb.bytes_per_pixel == 4) {
        *(volatile u32 *)at = value;
    } else if (fb.bytes_per_pixel == 2) {
        *(volatile u16 *)at = (u16)value;
    } else {
        at[0] = (u8)value;
        at[1] = (u8)(value >> 8);
        at[2] = (u8)(value >> 16);
    }
}

static void draw_cell(u32 row, u32 column, bool inverse)
{
    const unsigned char *glyph = console_font_8x16[fb.cells[row][column]];
    volatile u8 *line = fb.pixels + (u64)row * FONT_GLYPH_HEIGHT * fb.pitch +
                        (u64)column * FONT_GLYPH_WIDTH * fb.bytes_per_pixel;
    u32 ink = inverse ? fb.paper : fb.ink, paper = inverse ? fb.ink : fb.paper;
    for (u32 y = 0; y < FONT_GLYPH_HEIGHT; y++, line += fb.pitch) {
        for (u32 x = 0; x < FONT_GLYPH_WIDTH; x++) {
            put_pixel(line + x * fb.bytes_per_pixel, glyph[y] & (0x80u >> x) ? ink : paper);
        }
    }
}

static void set_cell(u32 row, u32 column, u8 c)
{
    if (fb.cells[row][column] != c) {
        fb.cells[row][column] = c;
        draw_cell(row, column, false);
    }
}

static void clear_from(u32 row, u32 column)
{
    for (; row < fb.rows; row++, column = 0) {
        for (; column < fb.columns; column++) {
            set_cell(row, column, ' ');
        }
    }
}

static void line_feed(void)
{
    fb.column = 0;
    if (++fb.row < fb.rows) {
        return;
    }
    fb.row = fb.rows - 1;
    for (u32 row = 0; row + 1 < fb.rows; row++) {
        for (u32 column = 0; column < fb.columns; column++) {
            set_cell(row, column, fb.cells[row + 1][column]);
        }
    }
    clear_from(fb.row, 0);
}

/* The VT100 sequences that the line editor sends: move left/right, erase line or screen, home. */
static void run_sequence(char final)
{
    u32 n = fb.parameter ? fb.parameter : 1;
    switch (final) {
    case 'C':
        fb.column = fb.column + n < fb.columns ? fb.column + n : fb.columns - 1;
        break;
    case 'D':
        fb.column = fb.column > n ? fb.column - n : 0;
        break;
    case 'H':
        fb.row = fb.column = 0;
        break;
    case 'J':
        clear_from(fb.parameter == 2 ? 0 : fb.row, fb.parameter == 2 ? 0 : fb.column);
        break;
    case 'K':
        for (u32 column = fb.column; column < fb.columns; column++) {
            set_cell(fb.row, column, ' ');
        }
        break;
    default:
        break;
    }
}

static void put_char(char c)
{
    if (fb.state == TEXT_ESCAPE) {
        fb.state = c == '[' ? TEXT_SEQUENCE : TEXT_PLAIN;
        fb.parameter = 0;
        return;
    }
    if (fb.state == TEXT_SEQUENCE) {
        if (c >= '0' && c <= '9') {
            fb.parameter = (fb.parameter * 10 + (u32)(c - '0')) % 1000;
        } else if (c != ';' && c != '?') {
            run_sequence(c);
            fb.state = TEXT_PLAIN;
        }
        return;
    }
    switch (c) {
    case '\033':
        fb.state = TEXT_ESCAPE;
        return;
    case '\n':
        line_feed();
        return;
    case '\r':
        fb.column = 0;
        return;
    case '\b':
        fb.column -= fb.column > 0;
        return;
    case '\t':
        fb.column = (fb.column + 8) & ~7u;
        if (fb.column >= fb.columns) {
            line_feed();
        }
        return;
    default:
        if ((u8)c < ' ') {
            return;
        }
        if (fb.column == fb.columns) {
            line_feed();
        }
        set_cell(fb.row, fb.column++, (u8)c);
    }
}

static void framebuffer_write(const char *text, size_t n)
{
    u32 at = fb.column < fb.columns ? fb.column : fb.columns - 1;
    draw_cell(fb.row, at, false); /* the cursor leaves */
    for (size_t i = 0; i < n; i++) {
        put_char(text[i]);
    }
    at = fb.column < fb.columns ? fb.column : fb.columns - 1;
    draw_cell(fb.row, at, true);
}

enum hx_status console_framebuffer_init(const struct boot_framebuffer *info)
{
    static struct console framebuffer = {.name = "framebuffer", .write = framebuffer_write};

    if (info->kind != BOOT_PIXEL_RGB) {
        return HX_ERR_NOT_FOUND;
    }
    u32 columns = info->width / FONT_GLYPH_WIDTH, rows = info->height / FONT_GLYPH_HEIGHT;
    if (columns == 0 || rows == 0) {
        return HX_ERR_NOT_FOUND;
    }
    vaddr_t va;
    enum hx_status status = console_screen_map(info, &va);
    if (status != HX_OK) {
        return status;
    }
    fb.pixels = (volatile u8 *)va;
    fb.pitch = info->pitch;
    fb.bytes_per_pixel = (info->bits_per_pixel + 7) / 8;
    fb.columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
    fb.rows = rows < ROWS_MAX ? rows : ROWS_MAX;
    fb.ink = pixel_from_rgb(info, INK);
    fb.paper = pixel_from_rgb(info, PAPER);
    clear_from(0, 0); /* cells[] is zero, so every cell differs and is drawn */
    console_register(&framebuffer);
    return HX_OK;
}
