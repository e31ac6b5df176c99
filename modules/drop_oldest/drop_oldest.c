/* SPDX-License-Identifier: MIT */
/* What is still there, in order, as a module; the policy is core/ipc/delivery.c.
 */
#include <core/bus.h>
#include <helix/module.h>

MODULE(drop_oldest, .version = {1, 0, 0}, .summary = "bus delivery: what is still there, in order",
       .provides = {{"bus.delivery", BUS_DELIVERY_ABI, 0}}, .capabilities = MODULE_CAP_BUS);
MODULE_CODE(drop_oldest, .interfaces = {&bus_drop_oldest});
