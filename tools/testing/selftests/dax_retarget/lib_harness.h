/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kselftest harness, with the patience that an emulated machine asks for.
 */
#ifndef _DAX_RETARGET_HARNESS_H
#define _DAX_RETARGET_HARNESS_H

#include "../kselftest_harness.h"
#include "lib.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#endif
