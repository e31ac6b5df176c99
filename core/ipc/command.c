/* SPDX-License-Identifier: MIT */
/* `ipc` of the shell: what has been sent since boot, and who can be reached by name. `ipc send` and
 * `ipc recv` are the program ipcmsg, as the shell knows.
 * Context:   the shell's thread.
 */
#include "ipc_priv.h"

#include <core/shell.h>
#include <helix/compiler.h>
#include <helix/string.h>

static void show_stats(bool json)
{
    const struct ipc_stats *s = &ipc_stats;
    const struct {
        const char *name;
        u64 value;
    } rows[] = {
        {"calls_queued", s->calls_queued},
        {"answers_woken", s->answers},
        {"faults_handed_over", s->faults},
        {"dead_peers", s->dead_peers},
        {"sent", s->sent},
        {"received", s->received},
        {"refused", s->refused},
        {"dropped", s->dropped},
        {"published", s->published},
        {"delivered", s->delivered},
        {"gaps", s->gaps},
        {"merged", s->merged},
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(rows); i++) {
        shell_printf(json ? "{\"name\":\"%s\",\"value\":%lu}\n" : "%-20s %12lu\n", rows[i].name,
                     rows[i].value);
    }
}

static int command_ipc(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    if (argc < 2 || str_equal(argv[1], "stats") || str_equal(argv[1], "--json")) {
        show_stats(json);
        return SHELL_OK;
    }
    if (str_equal(argv[1], "names")) {
        if (!json) {
            shell_printf("%-32s %-10s %8s %10s %8s\n", "name", "type", "version", "features",
                         "process");
        }
        ipc_names_show(json);
        return SHELL_OK;
    }
    return shell_usage("ipc");
}

SHELL_COMMAND(ipc, "ipc", "[stats|names] [--json] | send NAME TEXT | recv NAME [COUNT]",
              "messages since boot; services by name",
              "stats: calls that had to wait, answers that woke their caller, faults handed to a\n"
              "program, and the counts of queues and topics. names: the system's registry.",
              command_ipc);
