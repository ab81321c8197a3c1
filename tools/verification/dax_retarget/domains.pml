// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: a model of a pin with mappings in several domains
 *
 * One pin of one page of a file. A consumer, VFIO or iommufd, maps the page into
 * domains that devices use already, and unmaps it, while hooks take the page back.
 * dax_retarget.pml says what the rest of the protocol is; here are only those steps
 * that have to do with mappings.
 *
 * Tasks:
 *
 *   hook      takes the page back in two passes, as its block may stay in a file; or in
 *             one (freeing), as the block is freed; HOOKS and FREES of them
 *   consumer  maps the page in each domain and unmaps it, in any order, and ends the
 *             pin at any time
 *   device    one a domain: looks the entry up, and writes by what the IOTLB has
 *
 * A write lands when it is made: that a flush waits for writes in flight is in the
 * other models. The IOMMU does not fail.
 *
 * BREAK_* leave out or reorder a step; run.sh has the result of each. With
 * REACHED=event, that event is an error.
 */

#ifndef HOOKS
#define HOOKS 1
#endif
#ifndef FREES
#define FREES 0
#endif
#ifndef DOMAINS
#define DOMAINS 2
#endif

mtype = {
	/* States of a pin */
	REGISTERING, LIVE, DETACHED,
	/* What an entry or a translation leads to */
	NOTHING, BLOCK, SCRATCH,
	/* Of a domain */
	UNUSED, MAPPED, FREED
};

mtype state, entry[DOMAINS], tlb[DOMAINS], domain[DOMAINS];
bool listed[DOMAINS];		/* hooks find the mapping */
bool mutex, marked, leaves_index;
byte batches;			/* mapped in a live pin */
byte in_index;			/* hooks that hold the rwsem */
byte in_hook;			/* hooks between their begin and their end */
bool taken;			/* a hook has returned */

bool inv1_after_hook, inv2_translation_fault, inv4_translation_at_leave;
bool domain_freed, inv6_replace_failed;
#define CHECK(name, condition)	assert(name || (condition))

#define maps_scratch		1
#define comes_between		2
#define comes_after		3
#define goes_under_hook		4
#define hook_meets_none		5

#ifdef REACHED
#define REACH(event, condition)	assert(event != REACHED || !(condition));
#else
#define REACH(event, condition)
#endif

#define lock(m)		atomic { !m -> m = true }
#define unlock(m)	m = false

/* One entry after the other: a device may look each up at any moment */
inline replace_listed()
{
	for (d : 0 .. DOMAINS - 1) {
		if
		:: listed[d] ->
			CHECK(inv6_replace_failed, entry[d] != NOTHING);
			entry[d] = SCRATCH;
			owed[d] = true
		:: else
		fi
	}
	d = 0
}

inline flush_owed()
{
	for (d : 0 .. DOMAINS - 1) {
		if
		:: owed[d] ->
			atomic {
				CHECK(domain_freed, domain[d] != FREED);
				REACH(goes_under_hook, !listed[d])
				tlb[d] = NOTHING;
				owed[d] = false
			}
		:: else
		fi
	}
	d = 0
}

proctype hook(bool freeing)
{
	byte d, seen;
	bool owed[DOMAINS];

	/* The file's rwsem, for reading. No hook finds a pin that left the index. */
end:	atomic {
		!leaves_index ->
		in_index++;
		in_hook++;
		seen = batches
	}
	lock(mutex);
	REACH(hook_meets_none, state == LIVE && !listed[0] && !listed[1])
	if
	:: state == LIVE -> replace_listed()
	:: else
	fi;
	if
	:: freeing || state == REGISTERING -> marked = true
	:: else
	fi;
	unlock(mutex);
	flush_owed();
	if
	:: !freeing ->
		lock(mutex);
#ifndef BREAK_BATCHES
		if
		:: batches != seen && state == LIVE ->
			REACH(comes_between, !marked)
			replace_listed();
			flush_owed()
		:: else
		fi;
#endif
		/* Here the page is written back */
		marked = true;
		unlock(mutex)
	:: else
	fi;
	atomic {
		taken = true;
		in_hook--;
		in_index--
	}
}

/* retarget_region_map_domain() */
inline map(me)
{
#ifdef BREAK_LOOK_FIRST
	was_marked = marked;
#endif
	lock(mutex);
#ifndef BREAK_LOOK_FIRST
	was_marked = marked;
#endif
#ifdef BREAK_MARKS
	was_marked = false;
#endif
	domain[me] = MAPPED;
	REACH(maps_scratch, was_marked)
	entry[me] = (was_marked -> SCRATCH : BLOCK);
#ifdef BREAK_LIST_LATE
	unlock(mutex);
	lock(mutex);
#endif
	listed[me] = true;
#ifdef BREAK_COUNT_LATE
	unlock(mutex);
#endif
	if
	:: state == LIVE ->
		batches++;
		REACH(comes_after, taken)
	:: else -> state = LIVE
	fi;
#ifndef BREAK_COUNT_LATE
	unlock(mutex);
#endif
	was_marked = false
}

inline flush(me)
{
	tlb[me] = NOTHING
}

/* retarget_region_unmap_domain(): the device has been told to stop */
inline unmap(me)
{
#ifdef BREAK_LEAVE_FIRST
	lock(mutex);
	listed[me] = false;
	unlock(mutex);
#endif
	lock(mutex);
	entry[me] = SCRATCH;
	unlock(mutex);
#ifndef BREAK_GO_FLUSH
	flush(me);
#endif
	lock(mutex);
	listed[me] = false;
	unlock(mutex);
#ifndef BREAK_WAIT
	/* synchronize_srcu() waits for fewer: later hooks do not find the mapping */
	in_hook == 0;
#endif
	atomic { entry[me] = NOTHING; domain[me] = UNUSED };
	atomic { flush(me); domain[me] = FREED }
}

proctype consumer()
{
	byte d;
	bool was_marked;

	do
	:: domain[0] == UNUSED -> map(0)
	:: domain[1] == UNUSED -> map(1)
	:: domain[0] == MAPPED -> unmap(0)
	:: domain[1] == MAPPED -> unmap(1)
	:: break
	od;

	/* dax_pin_end(): detach, leave the index, unmap */
	for (d : 0 .. DOMAINS - 1) {
		lock(mutex);
		if
		:: listed[d] -> entry[d] = SCRATCH
		:: else
		fi;
		unlock(mutex);
		if
		:: domain[d] == MAPPED -> flush(d)
		:: else
		fi
	}
	atomic { !mutex -> state = DETACHED };
	leaves_index = true;
	atomic {
		in_index == 0 ->
		CHECK(inv4_translation_at_leave,
		      tlb[0] != BLOCK && tlb[1] != BLOCK)
	}
	for (d : 0 .. DOMAINS - 1) {
		if
		:: domain[d] == MAPPED ->
			listed[d] = false;
			atomic { entry[d] = NOTHING; domain[d] = UNUSED };
			atomic { flush(d); domain[d] = FREED }
		:: else
		fi
	}
}

proctype device(byte me)
{
end:	do
	:: atomic {
		domain[me] == MAPPED && entry[me] != NOTHING &&
		tlb[me] == NOTHING ->
		tlb[me] = entry[me]
	   }
	/* A write, by an entry that the device may use */
	:: atomic {
		tlb[me] != NOTHING ->
		CHECK(inv1_after_hook, !taken || tlb[me] != BLOCK);
		CHECK(inv2_translation_fault,
		      domain[me] != MAPPED || entry[me] != NOTHING)
	   }
	od
}

init {
	byte n;

	atomic {
		state = REGISTERING;
		for (n : 0 .. DOMAINS - 1) {
			entry[n] = NOTHING;
			tlb[n] = NOTHING;
			domain[n] = UNUSED;
			run device(n)
		}
		for (n : 1 .. HOOKS + FREES) {
			run hook(n > HOOKS)
		}
		run consumer();
		n = 0
	}
}
