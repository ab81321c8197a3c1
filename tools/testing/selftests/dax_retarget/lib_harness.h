/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kselftest harness, with the patience that an emulated machine asks for.
 *
 * A fixture begins with what it needs, and skips its tests if that is missing:
 *
 *	SKIP_IF(return, bench_open(&self->bench) ?: punch_missing());
 *	region_open(&self->bench, &self->region, "file", PAGES);
 */
#ifndef _DAX_RETARGET_HARNESS_H
#define _DAX_RETARGET_HARNESS_H

#include "../kselftest_harness.h"
#include "lib.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

/* Skip the test if @why is a reason, and not NULL */
#define SKIP_IF(statement, why) do {				\
	const char *why_skip = (why);				\
								\
	if (why_skip)						\
		SKIP(statement, "%s", why_skip);		\
} while (0)

#endif
