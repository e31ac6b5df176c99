/* SPDX-License-Identifier: MIT */
/* Of each key the latest event, as a module; the policy is core/ipc/delivery.c.
 */
#include <core/bus.h>
#include <helix/module.h>

MODULE(coalesce, .version = {1, 0, 0}, .summary = "bus delivery: of each key the latest event",
       .provides = {{"bus.delivery", BUS_DELIVERY_ABI, 0}}, .capabilities = MODULE_CAP_BUS);
MODULE_CODE(coalesce, .interfaces = {&bus_coalesce});
