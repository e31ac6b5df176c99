/* SPDX-License-Identifier: MIT */
/* The kernel's command line.
 * Owns:      a copy of all words.     Callers: early steps add; anyone reads.
 * Context:   adding: early, one CPU. Reading: any.
 * Invariant: (1) words[0 .. count) point into text[], each "name\0value\0"; both are terminated.
 *            (2) what does not fit is dropped as whole words, and said so.
 */
#include <core/cmdline.h>
#include <hal/firmware.h>
#include <helix/boot_info.h>
#include <helix/log.h>
#include <helix/string.h>

#define WORDS_MAX 64
#define TEXT_MAX  8192 /* bytes */

static struct {
    struct {
        const char *name, *value;
    } words[WORDS_MAX];
    u32 count;
    size_t used; /* bytes of text */
    char text[TEXT_MAX];
} line;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one word, name and value apart, unquoting the value. Return: what follows it. */
static const char *take_word(const char *p)
{
    size_t start = line.used, at = start;
    bool quoted = false, in_value = false, fits = line.count < WORDS_MAX;
    size_t value = 0;
    for (; *p && (quoted || !is_blank(*p)); p++) {
        char c = *p;
        if (c == '=' && !in_value) {
            in_value = true;
            c = '\0';
            value = at + 1;
        } else if (c == '"') {
            quoted = !quoted;
            continue;
        } else if (c == '\\' && quoted && (p[1] == '"' || p[1] == '\\')) {
            c = *++p;
        }
        if (at + 2 < TEXT_MAX) {
            line.text[at++] = c;
        } else {
            fits = false;
        }
    }
    if (!fits) {
        log_warn("cmdline", "too long, a word was dropped");
        return p;
    }
    line.text[at++] = '\0';
    line.words[line.count].name = &line.text[start];
    line.words[line.count].value = in_value ? &line.text[value] : &line.text[at - 1];
    line.count++;
    line.used = at;
    return p;
}

void cmdline_add(const char *text)
{
    for (;;) {
        while (is_blank(*text)) {
            text++;
        }
        if (!*text) {
            return;
        }
        text = take_word(text);
    }
}

void cmdline_add_from_host(void)
{
    static char text[BOOT_CMDLINE_MAX];
    size_t size;
    enum hx_status status =
        hal_firmware.blob_read("opt/helix/cmdline", text, sizeof(text) - 1, &size);
    if (status != HX_OK) {
        return; /* no such blob is the usual case */
    }
    if (size > sizeof(text) - 1) {
        log_warn("cmdline", "the host's words are cut at %zu of %zu bytes", sizeof(text) - 1, size);
        size = sizeof(text) - 1;
    }
    text[size] = '\0';
    cmdline_add(text);
}

const char *cmdline_get(const char *name)
{
    for (u32 i = line.count; i-- > 0;) {
        if (str_equal(line.words[i].name, name)) {
            return line.words[i].value;
        }
    }
    return NULL;
}

void cmdline_report_unknown(const char *const *known)
{
    for (u32 i = 0; i < line.count; i++) {
        const char *const *k = known;
        while (*k && !str_equal(*k, line.words[i].name)) {
            k++;
        }
        if (!*k) {
            log_warn("cmdline", "unknown word '%s' is ignored", line.words[i].name);
        }
    }
}
