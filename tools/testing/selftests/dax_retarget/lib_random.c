// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random numbers that follow from a seed on every machine, so that a test that
 * failed can be run again.
 */

#include "lib.h"

/* splitmix64, by Sebastiano Vigna: any state will do */
uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}
