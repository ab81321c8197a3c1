// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: a model of hooks that meet large entries
 *
 * One pin of two pages of a file, which one large entry of the IOMMU translates.
 * Hooks take one page or both. An entry partly in the range of a hook is split
 * into a table of two entries; an entry in the range as a whole is exchanged for
 * a pointer to a table whose entries lead to scratch. The IOTLB may hold
 * translations of both sizes. dax_retarget.pml says what the rest of the protocol
 * is; here are only those steps that have to do with the size of entries.
 *
 * Tasks:
 *
 *   pinner    maps the pages, which are registered, and ends the pin
 *   hook      takes pages back; HOOKS of them. The blocks are freed for certain,
 *             or may stay in a file.
 *   hardware  the IOTLB looks an entry up at any time, the device writes at any
 *             time
 *
 * A flush that is smaller than a large translation need not remove it. A write is
 * one step here: what a flush waits for is in dax_retarget.pml.
 *
 * BREAK_* leave out or reorder a step; run.sh has the result of each. With
 * REACHED=event, that event is an error.
 */

#ifndef HOOKS
#define HOOKS 2
#endif

mtype = {
	/* States of a pin */
	REGISTERING, LIVE, DETACHED, GONE,
	/* The entry of both pages, or a table of two entries */
	LARGE, TABLE,
	/* What an entry or a translation leads to */
	NOTHING, BLOCK, SCRATCH,
	/* What the device knows */
	UNTOLD, TOLD, STOPPED
};

mtype state, entry, device, pte[2], tlb[2];
bool large;			/* the IOTLB has the large translation */
bool marked[2];
bool hooked[2], taken[2];	/* history: a hook came, has returned */
bool table_freed;
byte running, in_index;		/* hooks that count, that hold the rwsem */
bool leaves_index;

bool inv1_after_hook, inv2_translation_fault, inv3_scratch_without_hook;
bool inv4_translation_at_leave, inv6_replace_failed;
#define CHECK(name, condition)	assert(name || (condition))

#define splits_under_another	1
#define sizes_differ		2
#define whole_meets_table	3
#define skips_flush		4
#define live_between_passes	5
#define partly_marked		6

#ifdef REACHED
#define REACH(event, condition)	assert(event != REACHED || !(condition));
#else
#define REACH(event, condition)
#endif

#define all(set, j)	((set) & (1 << (j)))

/* Flush pages of a set; rounded out to the large entry */
inline flush(set)
{
	d_step {
#ifdef BREAK_ROUND
		if
		:: all(set, 0) -> tlb[0] = NOTHING
		:: else
		fi;
		if
		:: all(set, 1) -> tlb[1] = NOTHING
		:: else
		fi;
		if
		:: set == 3 -> large = false
		:: else
		fi
#else
		tlb[0] = NOTHING;
		tlb[1] = NOTHING;
		large = false
#endif
	}
}

/* Replace the large entry by a table with the same translations */
inline split()
{
	entry = TABLE;
	pte[0] = BLOCK;
	pte[1] = BLOCK
}

/*
 * Replace the entries of a set of pages. A large entry is exchanged as a whole;
 * it must have been split before if only one page is in the set.
 */
inline replace(set)
{
	if
	:: entry == LARGE ->
#ifdef BREAK_WHOLE
		skip;
#else
		CHECK(inv6_replace_failed, set == 3);
#endif
		entry = TABLE;
		pte[0] = SCRATCH;
		pte[1] = SCRATCH
	:: else ->
		REACH(whole_meets_table, set == 3 && pte[0] == BLOCK)
		for (k : 0 .. 1) {
			if
			:: all(set, k) ->
				CHECK(inv6_replace_failed, pte[k] != NOTHING);
				pte[k] = SCRATCH
			:: else
			fi
		}
		k = 0
	fi
}

/* Those pages of a set that are not marked */
#ifdef BREAK_SPLIT_RANGE
#define unmarked(set)	set
#else
#define unmarked(set)	((set) & (3 - marked[0] - 2 * marked[1]))
#endif

inline mark(set)
{
	d_step {
		marked[0] = marked[0] || all(set, 0);
		marked[1] = marked[1] || all(set, 1)
	}
}

proctype hook()
{
	byte set, owed, part, k;
	bool stays, divided, found;

	/* The file's rwsem, for reading. No hook finds a pin that left the index. */
end:	atomic {
		!leaves_index && state != GONE ->
		in_index++;
		running++;
		if
		:: set = 1
		:: set = 2
		:: set = 3
		fi;
		if
		:: stays = true
		:: stays = false
		fi;
		hooked[0] = hooked[0] || all(set, 0);
		hooked[1] = hooked[1] || all(set, 1)
	}
	/* First pass: split what is partly in the range */
	atomic {
		part = unmarked(set);
		REACH(partly_marked,
		      state == LIVE && entry == LARGE && set == 3 && part != 3)
		if
		:: state == LIVE && entry == LARGE && (part == 1 || part == 2) ->
			divided = true;
#ifdef BREAK_FILL
			entry = TABLE;
			pte[0] = NOTHING;
			pte[1] = NOTHING
#else
#ifndef BREAK_WHOLE
			split()
#endif
#endif
#ifndef BREAK_SPLIT_MARK
		:: state == REGISTERING ->
			mark(set)
#endif
		:: else
		fi;
		part = 0
	}
#ifdef BREAK_FILL
	d_step {
		if
		:: divided -> split()
		:: else
		fi
	}
#endif
	if
	:: divided ->
		REACH(splits_under_another, running > 1)
#ifdef BREAK_SPLIT_FLUSH
		divided = false
#else
		atomic { divided = false; flush(3) }
#endif
	:: else
	fi;
	/* Second pass: replace */
	atomic {
#ifdef BREAK_SPLIT_RANGE
		part = set & (3 - marked[0] - 2 * marked[1]);
#else
		part = unmarked(set);
#endif
		if
		:: state == LIVE ->
			owed = set;
			REACH(live_between_passes, part == 0 && entry == LARGE)
			if
			:: part != 0 ->
				found = true;
				replace(part)
			:: else
			fi
		:: else
		fi;
		part = 0;
		if
		:: !stays -> mark(set)
		:: else
		fi
	}
	if
	:: owed != 0 && (found || running > 1) ->
		flush(owed)
	:: else ->
		REACH(skips_flush, owed != 0)
		skip
	fi;
	/* Third pass, after write-back */
	if
	:: stays ->
		atomic { stays = false; mark(set) }
	:: else
	fi;
	d_step {
		owed = 0;
		found = false;
		taken[0] = taken[0] || all(set, 0);
		taken[1] = taken[1] || all(set, 1);
		set = 0;
		running--;
		in_index--
	}
}

proctype pinner()
{
	byte k;

	entry = LARGE;
	state = LIVE;
	/* Marked pages lead to scratch before the device is told an IOVA */
	if
	:: marked[0] || marked[1] ->
		atomic {
			if
			:: entry == LARGE && marked[0] != marked[1] ->
				split()
			:: else
			fi;
			replace((marked[0] + 2 * marked[1]))
		}
		flush(3)
	:: else
	fi;
	device = TOLD;

	if
	:: true
	:: true ->
end_live:	false
	fi;
	device = STOPPED;

	/* All pages, in batches; a batch ends where a large entry ends */
	running++;
#ifdef BREAK_BATCH
	atomic { replace(1) }
	atomic { replace(2) }
#else
	atomic { replace(3) }
#endif
	flush(3);
	state = DETACHED;
	running--;
	leaves_index = true;
	atomic {
		in_index == 0 ->
		CHECK(inv4_translation_at_leave,
		      !large && tlb[0] != BLOCK && tlb[1] != BLOCK);
		state = GONE
	}
}

proctype hardware()
{
end:	do
	/* A walk of the page table. Hardware may keep a part of a large entry. */
	:: atomic {
		entry == LARGE && !large -> large = true
	   }
	:: atomic {
		tlb[0] == NOTHING && (entry == LARGE || entry == TABLE) ->
		tlb[0] = (entry == LARGE -> BLOCK : pte[0])
	   }
	:: atomic {
		tlb[1] == NOTHING && (entry == LARGE || entry == TABLE) ->
		tlb[1] = (entry == LARGE -> BLOCK : pte[1])
	   }
	/* A write, by a translation of either size */
	:: d_step {
		device != UNTOLD && (large || tlb[0] == BLOCK) ->
		CHECK(inv1_after_hook, !taken[0])
	   }
	:: d_step {
		device != UNTOLD && (large || tlb[1] == BLOCK) ->
		CHECK(inv1_after_hook, !taken[1])
	   }
	:: d_step {
		device == TOLD && (tlb[0] == SCRATCH && !hooked[0] ||
				   tlb[1] == SCRATCH && !hooked[1]) ->
		CHECK(inv3_scratch_without_hook, false)
	   }
	:: d_step {
		device == TOLD && entry == TABLE &&
		(pte[0] == NOTHING || pte[1] == NOTHING) ->
		CHECK(inv2_translation_fault, false)
	   }
#ifdef REACHED
	:: d_step {
		large && (tlb[0] == SCRATCH || tlb[1] == SCRATCH) ->
		REACH(sizes_differ, true)
		skip
	   }
#endif
	od
}

init {
	byte n;

	atomic {
		state = REGISTERING;
		entry = NOTHING;
		device = UNTOLD;
		pte[0] = NOTHING;
		pte[1] = NOTHING;
		tlb[0] = NOTHING;
		tlb[1] = NOTHING;
		run hardware();
		run pinner();
		for (n : 1 .. HOOKS) {
			run hook()
		}
		n = 0
	}
}
