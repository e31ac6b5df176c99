/* SPDX-License-Identifier: MIT */
/* Sealed tokens: a capability as bytes, for what leads out of the kernel and back. The kernel keeps
 * what a token stands for; the token says which, for whom, with which rights and until when, under
 * a MAC with a key that never leaves the kernel and ends with it. Opening one derives a capability,
 * so that whoever sealed it can revoke it afterwards.
 */
#ifndef CORE_TOKEN_H
#define CORE_TOKEN_H

#include <core/capability.h>
#include <core/quota.h>

/* Seals `cap`, which the token takes over when this succeeds; it must expire. `audience`: who may
 * open it, by a number of the caller's choice; 0: anybody. The record is charged to `quota`.
 * Return: HX_OK; HX_ERR_INVALID, it does not expire; HX_ERR_LIMIT; HX_ERR_NO_MEMORY;
 * HX_ERR_NOT_READY, there was no entropy for a key. Thread. */
enum hx_status token_seal(struct cap *cap, u64 audience, struct quota *quota,
                          struct hx_token *out_token) HX_MUST_CHECK;

/* A capability derived from what the token stands for. `audience` is who asks.
 * Return: HX_OK; HX_ERR_SIGNATURE, not one that this kernel made, or changed since;
 * HX_ERR_ACCESS, for somebody else; HX_ERR_REVOKED, revoked or expired; HX_ERR_LOOP;
 * HX_ERR_NO_MEMORY. Thread. */
enum hx_status token_open(const struct hx_token *token, u64 audience,
                          struct cap **out_cap) HX_MUST_CHECK;

/* Forgets the tokens that have expired or were revoked. Thread. */
void token_sweep(void);

#endif
