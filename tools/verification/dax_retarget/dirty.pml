// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: a model of dirty bits
 *
 * One pin of one page of a file, for writing, whose entry has a dirty bit. The
 * IOMMU sets the bit when the device writes, so that only pages that are dirty have
 * to be written back. dax_retarget.pml says what the rest of the protocol is; here
 * are only those steps that have to do with dirty bits.
 *
 * Tasks:
 *
 *   sync     makes durable what the device wrote, again and again; SYNCS of them
 *   hook     takes the page back; its block may stay in a file; HOOKS of them
 *   pinner   maps the page, which is registered, and ends the pin
 *   unbind   the driver is unbound from the device: nothing is written back, and
 *            then the entry is gone; UNBINDS of them
 *   iommu    the IOTLB looks the entry up at any time
 *   device   the device writes again and again; WRITES of them, hence of writes in
 *            flight at a time
 *
 * The IOMMU:
 *
 *   - A write sets the dirty bit of the entry, and goes where this entry leads, in
 *     one step. From then on the IOTLB has the translation as dirty.
 *   - A write that finds the translation in the IOTLB as dirty sets no bit.
 *   - A look-up for another reason takes the dirty bit along: the IOTLB has the
 *     translation of a dirty entry as dirty.
 *   - A write is in flight for any time, and then lands: where the page is, it is in
 *     the CPU caches, and not durable until the page is written back.
 *   - Only a flush removes the translation from the IOTLB. The flush waits until the
 *     writes that are in flight have landed.
 *
 * An entry is one page here: what a larger entry or a shared table does with the bit
 * is not in the model. The IOMMU does not fail.
 *
 * BREAK_* leave out or reorder a step; run.sh has the result of each. With
 * REACHED=event, that event is an error. With LIVENESS, the LTL formulas at the end
 * are included.
 */

#ifndef SYNCS
#define SYNCS 2
#endif
#ifndef HOOKS
#define HOOKS 0
#endif
#ifndef UNBINDS
#define UNBINDS 0
#endif
#ifndef WRITES
#define WRITES 2
#endif

/* Numbers of the tasks that flush: syncs come first */
#define PINNER	SYNCS
#define UNBIND	(SYNCS + 1)
#define HOOK	(SYNCS + 2)
#define TASKS	(SYNCS + 2 + HOOKS)

mtype = {
	/* States of a pin */
	REGISTERING, LIVE, DETACHED, GONE,
	/* What an entry or a translation leads to */
	NOTHING, BLOCK, SCRATCH
};

mtype state, entry, tlb;
bool dirty, tlb_dirty;		/* the bit of the entry, and what the IOTLB has of it */
bool mutex, device_rwsem;
bool mapped;			/* retarget_region.sgt: who takes it unmaps */
bool marked;
bool told;			/* the device knows the IOVA */
byte in_index;			/* syncs and hooks that hold the rwsem */
bool leaves_index;

mtype flying[WRITES];		/* where a write in flight goes */
byte drain[TASKS];		/* writes that a flush waits for */

/* History, for the checks */
bool landed;			/* a write has landed, and is not durable */
bool due[TASKS];		/* so has one that had landed before a sync began */
bool taken;			/* a hook has returned */
bool syncing;

bool inv1_after_hook, inv4_translation_at_leave;
bool inv9_fsync, inv9_after_hook, inv9_end;
#define CHECK(name, condition)	assert(name || (condition))

#define writes_before_flush	1
#define waits_for_write		2
#define dirty_again		3
#define clears_scratch		4
#define sync_of_detached	5
#define sync_of_unmapped	6
#define dirty_and_marked	7

#ifdef REACHED
#define REACH(event, condition)	assert(event != REACHED || !(condition));
#else
#define REACH(event, condition)
#endif

#define lock(m)		atomic { !m -> m = true }
#define unlock(m)	m = false

inline flush(me)
{
	d_step {
		tlb = NOTHING;
		tlb_dirty = false;
		for (k : 0 .. WRITES - 1) {
			drain[me] = drain[me] |
				    (flying[k] != NOTHING -> 1 << k : 0)
		}
		k = 0;
		REACH(waits_for_write, drain[me] != 0)
	}
	drain[me] == 0
}

inline flush_live(me)
{
	if
	:: state == LIVE -> flush(me)
	/* What leads to scratch was flushed already */
	:: else
	fi
}

/* A compare-and-exchange: the dirty bit stays what the IOMMU made of it */
#ifdef BREAK_EXCHANGE
#define replace()	kept = dirty; \
			atomic { entry = SCRATCH; dirty = kept; kept = false }
#else
#define replace()	entry = SCRATCH
#endif

/* The CPU caches hold nothing of the page any more */
inline write_back_page()
{
	d_step {
		if
		:: !marked ->
			landed = false;
			for (k : 0 .. SYNCS - 1) {
				due[k] = false
			}
			k = 0
		:: else ->
			REACH(dirty_and_marked, mapped)
			skip
		fi
	}
}

/* Make the page clean; was it dirty? */
inline read_and_clear(me)
{
	atomic {
		REACH(clears_scratch, dirty && entry == SCRATCH)
		REACH(sync_of_detached, dirty && me < SYNCS && state == DETACHED)
		found = dirty;
		dirty = false
	}
}

/* write_back_dirty(), under the mutex */
inline write_back_dirty(me)
{
#if defined(BREAK_CLEAR_LAST)
	if
	:: dirty ->
		write_back_page();
		dirty = false;
		flush_live(me)
	:: else
	fi
#elif defined(BREAK_FLUSH_EARLY)
	flush_live(me);
	read_and_clear(me);
	if
	:: found -> write_back_page()
	:: else
	fi
#elif defined(BREAK_FLUSH_LATE)
	read_and_clear(me);
	if
	:: found ->
		write_back_page();
		flush_live(me)
	:: else
	fi
#else
	read_and_clear(me);
	if
	:: found ->
#ifndef BREAK_DIRTY_FLUSH
		flush_live(me);
#endif
#ifdef BREAK_SYNC_MUTEX
		unlock(mutex);
		lock(mutex);
#endif
		REACH(dirty_again, dirty && state == LIVE)
		write_back_page()
	:: else
	fi
#endif
}

/* retarget_region_write_back(), under the mutex */
inline write_back(me)
{
	if
	/* Before it is live, the device has written nothing */
	:: state == REGISTERING
#ifdef BREAK_UNMAPPED
	:: state != REGISTERING -> write_back_dirty(me)
#else
	:: state != REGISTERING && mapped -> write_back_dirty(me)
	/* The entry is gone, and its dirty bit */
	:: state != REGISTERING && !mapped ->
		REACH(sync_of_unmapped, me < SYNCS)
		write_back_page()
#endif
	fi;
	found = false
}

proctype sync(byte me)
{
	byte k;
	bool found;

	/* The file's rwsem, for reading. No sync finds a pin that left the index. */
end:	do
	:: atomic {
		!leaves_index ->
		in_index++;
		due[me] = landed;
		syncing = true
	   };
	   lock(mutex);
	   write_back(me);
	   unlock(mutex);
	   atomic {
		CHECK(inv9_fsync, !due[me]);
		syncing = false;
		in_index--
	   }
	od
}

#if HOOKS > 0
proctype hook(byte me)
{
	byte k;
	bool found, owed, kept;

end:	atomic { !leaves_index -> in_index++ };
	lock(mutex);
	if
	:: state == LIVE ->
		if
		:: !marked ->
			replace();
#ifdef BREAK_HOOK_BIT
			dirty = false
#endif
		:: else
		fi;
		owed = true
	:: state == REGISTERING ->
		marked = true
	:: else
	fi;
	unlock(mutex);
	if
	:: owed -> flush(me)
	:: else
	fi;
	owed = false;
	lock(mutex);
	write_back(me);
	marked = true;
	unlock(mutex);
	atomic {
		CHECK(inv9_after_hook, !landed);
		taken = true;
		in_index--
	}
}
#endif

/* retarget_region_detach_locked(): no translation to the page is left */
inline detach(me)
{
	if
	:: state == LIVE ->
		lock(mutex);
		if
		:: !marked ->
			replace();
#ifdef BREAK_END_BIT
			dirty = false
#endif
		:: else
		fi;
		unlock(mutex);
#ifdef BREAK_DETACHED_EARLY
		atomic { !mutex -> state = DETACHED };
#endif
		flush(me)
	:: else
	fi;
	atomic { !mutex -> state = DETACHED }
}

/* retarget_region_unmap_locked(); who takes the scatterlist unmaps */
inline unmap(me)
{
	atomic {
		!mutex ->
		found = mapped;
		mapped = false
	}
	if
	:: found ->
		atomic {
			found = false;
			entry = NOTHING;
			dirty = false
		}
		flush(me)
	:: else
	fi
}

proctype pinner()
{
	byte k;
	bool found, kept;

	/* retarget_region_map() */
	lock(device_rwsem);
	/* dma_map_sgtable(): the driver maps entries that are dirty */
	atomic { entry = BLOCK; dirty = true };
	/* retarget_ops.settle() */
	dirty = false;
	/*
	 * The IOTLB may have looked the entry up while it was dirty: see
	 * BREAK_TRACK_FLUSH.
	 */
#ifndef BREAK_TRACK_FLUSH
	flush(PINNER);
#endif
	atomic { !mutex -> state = LIVE; mapped = true };
	if
	:: marked ->
		replace();
		flush(PINNER)
	:: else
	fi;
	unlock(device_rwsem);
	told = true;

	if
	:: true
	:: true ->
end_live:	false
	fi;

	/* retarget_region_detach() */
	lock(device_rwsem);
	detach(PINNER);
	unlock(device_rwsem);
	lock(mutex);
	write_back(PINNER);
	unlock(mutex);
	leaves_index = true;
	atomic {
		in_index == 0 ->
		CHECK(inv4_translation_at_leave, tlb != BLOCK);
		CHECK(inv9_end, !landed);
		state = GONE
	}
	lock(device_rwsem);
	unmap(PINNER);
	unlock(device_rwsem)
}

#if UNBINDS > 0
proctype unbind()
{
	byte k;
	bool found, kept;

	/* No pin is mapped from now on */
end:	atomic { state != REGISTERING && !device_rwsem -> device_rwsem = true };
	detach(UNBIND);
	unmap(UNBIND);
	unlock(device_rwsem)
}
#endif

/* Look-ups for a read, or ahead of an access */
proctype iommu()
{
end:	do
	:: atomic {
		tlb == NOTHING && entry != NOTHING ->
		tlb = entry;
		tlb_dirty = dirty
	   }
	od
}

proctype device(byte w)
{
	byte k;

end:	do
	/* A write, by the IOTLB */
	:: atomic {
		told && flying[w] == NOTHING && tlb_dirty ->
		REACH(writes_before_flush, tlb == BLOCK && !dirty)
		flying[w] = tlb
	   }
	/* A write that looks the entry up */
	:: atomic {
		told && flying[w] == NOTHING && !tlb_dirty && entry != NOTHING ->
		dirty = true;
		tlb = entry;
		tlb_dirty = true;
		flying[w] = entry
	   }
	:: d_step {
		flying[w] != NOTHING ->
		CHECK(inv1_after_hook, !taken || flying[w] != BLOCK);
		landed = landed || flying[w] == BLOCK;
		flying[w] = NOTHING;
		for (k : 0 .. TASKS - 1) {
			drain[k] = drain[k] & ~(1 << w)
		}
		k = 0
	   }
	od
}

init {
	byte n;

	atomic {
		state = REGISTERING;
		entry = NOTHING;
		tlb = NOTHING;
		run iommu();
		for (n : 0 .. WRITES - 1) {
			flying[n] = NOTHING;
			run device(n)
		}
		for (n : 0 .. SYNCS - 1) {
			run sync(n)
		}
#if HOOKS > 0
		for (n : 0 .. HOOKS - 1) {
			run hook(HOOK + n)
		}
#endif
#if UNBINDS > 0
		run unbind();
#endif
		run pinner();
		n = 0
	}
}

/* A sync ends, though the device writes without end; of one sync only */
#ifdef LIVENESS
ltl sync_ends { [] (syncing -> <> !syncing) }
#endif
