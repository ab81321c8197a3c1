// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: a model of the protocol between pins and hooks
 *
 * A pin lets a device reach pages of a file on persistent memory for long,
 * without page references. When the file system takes a page back, it calls a
 * hook, which points the device's IOVA at a scratch page and flushes the IOTLB.
 * The model has each step of the protocol that another task or the device can
 * see, in the order of the code. A model checker tries all orders of the steps.
 *
 * Tasks:
 *
 *   pinner       creates a pin, registers its pages in batches, maps it, hands
 *                out the key, ends it; PINS of them, each ROUNDS times in a row
 *   truncate     a hook of the file system: truncates or punches, with or
 *                without a wait for page references, TRUNCATES times
 *   revoke       a hook without a lock of the file system (an administrator)
 *   removal      the pagemap goes away, which calls the hook by frame
 *   munmap       the user unmaps the file, at any time
 *   entry        the hardware for one IOVA: the IOTLB looks the IOVA up at any
 *                time, the device writes at any time, a write is in flight for
 *                any time
 *   flush_queue  the DMA API's late flush, after which an IOVA is used again
 *
 * Bounds are macros, see below; run.sh has the combinations that are run.
 *
 * Granularity:
 *
 *   - A file page has one block, always the same block. A history tells the
 *     owner of the block: a pin may reach a block only if the pin looked the
 *     page up after the block was last allocated.
 *   - Code that only touches what a lock protects is one step with taking and
 *     dropping the lock.
 *   - The device makes one write, at any time. One wrong write is enough, and
 *     writes change nothing in the protocol. With ENDLESS_DEVICE the device
 *     never stops.
 *   - Reads are not modelled: a read uses the same translation and does less
 *     harm.
 *   - Only a flush drops a translation from the IOTLB. A drop at another time
 *     has the effect of a later fill.
 *   - A flush of the whole domain flushes only the pin's IOVAs in the model.
 *   - A lock keeps new readers out while a writer waits, as in the kernel.
 *
 * Not in the model: memory order (the model is sequentially consistent), large
 * pages and splitting, several files, domains and devices, allocation failures,
 * fsync, events, copy-on-write and shared blocks (the code refuses them),
 * eviction of inodes (for a pin, a truncation without a VMA), device TLBs (the
 * code refuses them).
 *
 * The device is trusted in one thing: it writes to an IOVA only after it was
 * told the IOVA, see BREAK_TOLD. The device is not trusted to stop when told to
 * stop.
 *
 * Other macros:
 *
 *   BREAK_*          leave out or reorder a step; run.sh has the result of each
 *   NO_INV4          go on where invariant 4 is broken, to see the consequences
 *   REACHED=event    make an event an error, to see that the event is possible
 *   LIVENESS         include the LTL formulas at the end of this file
 *   STEADY           truncate() punches again and again, without an end
 *   ENDLESS_DEVICE   the device writes again and again
 */

/* Number of tasks that make pins, hence of pins at a time */
#ifndef PINS
#define PINS 1
#endif
/* Number of pins that one task makes, one after the other */
#ifndef ROUNDS
#define ROUNDS 1
#endif
/* Pages of a pin: 1 or 2 */
#ifndef PAGES
#define PAGES 1
#endif
/* Pages of the file, and the distance of the first pages of two pins */
#ifndef FILE_PAGES
#define FILE_PAGES PAGES
#endif
#ifndef STRIDE
#define STRIDE 0
#endif
/* Ranges of IOVAs: with fewer ranges than pins, ranges are used again */
#ifndef IOVAS
#define IOVAS 1
#endif
#ifndef TRUNCATES
#define TRUNCATES 1
#endif
#ifndef REVOKES
#define REVOKES 0
#endif
#ifndef REMOVALS
#define REMOVALS 0
#endif
#ifndef MUNMAPS
#define MUNMAPS 1
#endif
/* May a task stop for ever where it waits for its user? */
#ifndef STALLS
#define STALLS 1
#endif

#define file_page(p, i)	((p) * STRIDE + (i))

/* Is page i of pin p in the index, at a file page in [lo, hi]? */
#define indexed(p, i, lo, hi) \
	(pin[p].index[i] && file_page(p, i) >= (lo) && file_page(p, i) <= (hi))
#if PAGES == 1
#define any_indexed(p, lo, hi)	indexed(p, 0, lo, hi)
#define any_marked(p)		(pin[p].marked[0])
#else
#define any_indexed(p, lo, hi)	(indexed(p, 0, lo, hi) || indexed(p, 1, lo, hi))
#define any_marked(p)		(pin[p].marked[0] || pin[p].marked[1])
#endif

/* Memory that an IOVA can lead to */
#define NOTHING		0
#define scratch_of(p)	(1 + (p))
#define block_of(n)	(1 + PINS + (n))
#define is_block(f)	((f) > PINS)

/* Sets of IOVAs, such as the IOVAs that a hook has to flush */
#define bit_of(r, i)	(1 << ((r) * PAGES + (i)))
#define bits_of(r)	(((1 << PAGES) - 1) << ((r) * PAGES))

mtype = {
	/* States of a pin, as enum retarget_state; NO_PIN for none */
	NO_PIN, REGISTERING, LIVE, UNMAPPED, DEAD,
	/* States of a range of IOVAs */
	FREE, USED, QUEUED,
	/* What the device knows of a range */
	UNTOLD, TOLD, STOPPED
};

typedef rwlock {
	byte readers;
	bool writer;
	byte waiting;		/* writers that keep new readers out */
#ifdef STEADY
	bool asking;		/* a reader enters when the writer leaves */
#endif
};

typedef dax_pin {
	mtype state;
	bool mutex;
	bool scratch;		/* the page is allocated */
	byte iova;		/* range of IOVAs */
	bool index[PAGES];	/* the hooks know the page */
	bool frame[PAGES];	/* the page's frame was noted */
	bool marked[PAGES];	/* retarget_region.retargeted */
	/* History, for the checks */
	bool mine[PAGES];	/* looked up since the block was allocated */
	bool hooked[PAGES];	/* a hook came since the page was indexed */
	bool taken[PAGES];	/* a hook for the page has returned */
};

typedef iova_range {
	mtype state;
	mtype device;
	byte owner;		/* the last pin that had the range */
	byte pte[PAGES];	/* IOMMU page table */
	byte tlb[PAGES];	/* IOTLB */
};

dax_pin pin[PINS];
iova_range iova[IOVAS];

/* A write on its way to memory */
bool dma_flying, dma_old, dma_done;
byte dma_iova, dma_page, dma_pin, dma_frame;

/* The file and its mapping */
rwlock mmap_lock, invalidate_lock, rwsem;
bool vma = true;
bool user_pte[FILE_PAGES] = true;
bool allocated[FILE_PAGES] = true;
bool fill = true;		/* a fault fills a hole, else it fails */
byte refs;			/* to pages of the file, all in all */

/* The DAX device and its pagemap */
bool alive = true;
byte dax_readers;
bool pgmap_killed;
byte pgmap_refs;
bool memmap = true;

/* The consumer's device is bound, so the domain exists */
bool domain = true;
byte consumers = PINS;

/* Operations that have begun, for the liveness properties */
bool truncating, revoking, removing;
bool registering[PINS], ending[PINS];

/*
 * Names of the checks, which the message of a failed assertion shows. The
 * numbers are those of the invariants.
 */
bool inv1_freed_block, inv1_after_hook, inv1_removed_memory;
bool inv2_translation_fault;
bool inv3_scratch_without_hook, inv3_page_of_another;
bool inv4_unknown_at_drop, inv4_translation_at_leave;
bool inv6_replace_failed;
bool scratch_freed, scratch_of_another, memmap_freed, domain_freed;

#define CHECK(name, condition)	assert(name || (condition))

#ifdef NO_INV4
#define CHECK_INV4(name, condition)	skip
#else
#define CHECK_INV4(name, condition)	CHECK(name, condition)
#endif

/*
 * Events that have to be possible: otherwise the checks would prove little.
 * With REACHED=event, that event is an error, and run.sh expects a path to it.
 */
#define writes_block		1
#define writes_scratch		2
#define flush_waits_for_write	3
#define marks_while_registering	4
#define maps_marked_page	5
#define second_hook_before_flush 6
#define hook_meets_unmapped	7
#define hook_meets_dead		8
#define iova_used_again		9
#define fault_waits_for_truncate 10
#define truncate_waits_for_pages 11
#define trims_marked_page	12
#define removal_takes_page	13
#define translation_after_unmap	14

#ifdef REACHED
#define REACH(event, condition)	assert(event != REACHED || !(condition));
#else
#define REACH(event, condition)
#endif

/*
 * Locks
 */

#define read_free(l)	(!l.writer && l.waiting == 0)
#define write_free(l)	(!l.writer && l.readers == 0)

inline write_lock(l)
{
	if
	:: atomic { write_free(l) -> l.writer = true }
	:: atomic { !write_free(l) -> l.waiting++ };
	   atomic { write_free(l) -> l.waiting--; l.writer = true }
	fi
}

#ifndef STEADY

inline read_lock(l)
{
	atomic { read_free(l) -> l.readers++ }
}

inline write_unlock(l)
{
	l.writer = false
}

#define want_mutex
#define got_mutex
#define mutex_wanted	false

#else

/*
 * A hook runs again and again. Then locks must be fair, as the kernel's locks
 * are: with one pin, one task asks to read and one task wants the mutex.
 */
inline read_lock(l)
{
	if
	:: atomic { read_free(l) -> l.readers++ }
	:: atomic { !read_free(l) -> l.asking = true };
	   if
	   :: atomic {
		l.asking && read_free(l) ->
		l.asking = false;
		l.readers++
	      }
	   :: atomic { !l.asking }
	   fi
	fi
}

inline write_unlock(l)
{
	atomic {
		l.writer = false;
		l.readers = l.readers + l.asking;
		l.asking = false
	}
}

bool mutex_wanted;
#define want_mutex	mutex_wanted = true;
#define got_mutex	mutex_wanted = false;

#endif

inline read_unlock(l)
{
	l.readers--
}

#define lock(m)		want_mutex atomic { !m -> got_mutex m = true }
#define unlock(m)	m = false

#ifdef BREAK_MAP_MUTEX
#define lock_to_map(m)	skip
#define unlock_mapped(m) skip
#else
#define lock_to_map(m)	lock(m)
#define unlock_mapped(m) unlock(m)
#endif

/*
 * Flush
 *
 * Removes the translations of a set of IOVAs, and waits until writes that used
 * them have landed. Uses the caller's variables drain, a, b.
 */
inline flush(set)
{
	d_step {
		CHECK(domain_freed, domain);
		for (a : 0 .. IOVAS - 1) {
			for (b : 0 .. PAGES - 1) {
				if
				:: (set) & bit_of(a, b) ->
					iova[a].tlb[b] = NOTHING;
#ifndef BREAK_DRAIN
					drain = drain || (dma_flying &&
						dma_iova == a &&
						dma_page == b)
#endif
				:: else
				fi
			}
		}
		REACH(flush_waits_for_write, drain)
		dma_old = dma_old || drain;
		a = 0;
		b = 0
	}
	atomic { !drain || !dma_old -> drain = false }
}

/*
 * Hooks
 */

/* The mutex makes the work on a page one step, if all tasks take the mutex */
#if defined(BREAK_REPLACE) || defined(BREAK_MAP_MUTEX) || \
    defined(BREAK_END_MUTEX)
#define at_once
#else
#define at_once	atomic
#endif

/* retarget_region_take() for one page, under the mutex */
inline take_page(q, j)
{
	REACH(marks_while_registering, pin[q].state == REGISTERING)
	REACH(hook_meets_unmapped, pin[q].state == UNMAPPED)
	REACH(second_hook_before_flush,
	      pin[q].state == LIVE && pin[q].marked[j] &&
	      is_block(iova[pin[q].iova].tlb[j]))
	if
	:: pin[q].state == LIVE ->
#ifdef BREAK_SECOND_HOOK
		if
		:: !pin[q].marked[j] ->
			owed = owed | bit_of(pin[q].iova, j)
		:: else
		fi;
#else
		owed = owed | bit_of(pin[q].iova, j);
#endif
		if
		:: !pin[q].marked[j] ->
			CHECK(inv6_replace_failed,
			      iova[pin[q].iova].pte[j] ==
			      block_of(file_page(q, j)));
#ifdef BREAK_REPLACE
			iova[pin[q].iova].pte[j] = NOTHING;
#endif
			iova[pin[q].iova].pte[j] = scratch_of(q)
		:: else
		fi
	:: else
	fi;
	taken_now = taken_now || !pin[q].marked[j];
#ifdef BREAK_LIVE_MARK
	pin[q].marked[j] = pin[q].state != LIVE
#else
	pin[q].marked[j] = true
#endif
}

#if defined(BREAK_UNMAPPED_MARK)
#define hook_ignores(s)	(s == DEAD || s == UNMAPPED)
#elif defined(BREAK_PENDING_MARK)
#define hook_ignores(s)	(s == DEAD || s == REGISTERING)
#else
#define hook_ignores(s)	(s == DEAD)
#endif

#ifdef BREAK_RANGE
#define lowest(lo)	0
#else
#define lowest(lo)	lo
#endif

/* retarget_region_write_back() */
#define writes_back(s)	(s == LIVE || s == UNMAPPED)

/*
 * dax_pinned_file_take(), dax_pins_revoke(), dax_pins_take_frames(): take pages
 * [lo, hi] of the file back; with by_frame, only pages whose frame was noted.
 * If the blocks stay in the file, what the device wrote is written back before
 * the mutex is dropped. The caller then calls for one window after the other,
 * here for one page.
 */
inline hook(lo, hi, by_frame, stays)
{
	read_lock(rwsem);
	d_step {
		for (q : 0 .. PINS - 1) {
			for (j : 0 .. PAGES - 1) {
				pin[q].hooked[j] = pin[q].hooked[j] ||
						   indexed(q, j, lo, hi)
			}
		}
		q = 0;
		j = 0
	}
#ifdef BREAK_FLUSH_FIRST
	if
	:: any_indexed(0, lo, hi) ->
		flush(bits_of(0))
	:: else
	fi;
#endif
	do
	:: atomic { q < PINS && !any_indexed(q, lo, hi) -> q++ }
	:: atomic {
		q < PINS && any_indexed(q, lo, hi) && !pin[q].mutex &&
		!mutex_wanted ->
		pin[q].mutex = true
	   };
		do
		:: at_once {
			j < PAGES ->
			REACH(hook_meets_dead, pin[q].state == DEAD)
			REACH(removal_takes_page,
			      (by_frame) && pin[q].frame[j] &&
			      !pin[q].marked[j] && pin[q].state == LIVE)
			if
			:: indexed(q, j, lowest(lo), hi) &&
			   (!(by_frame) || pin[q].frame[j]) &&
			   !hook_ignores(pin[q].state) ->
				take_page(q, j)
			:: else
			fi;
			j++
		   }
		:: atomic { j == PAGES -> j = 0; break }
		od;
		if
		:: (stays) && taken_now && owed ->
			flush(owed);
			owed = 0
		:: else
		fi;
		atomic {
			CHECK(memmap_freed,
			      memmap || !((stays) && taken_now) ||
			      !writes_back(pin[q].state));
			taken_now = false;
			pin[q].mutex = false;
			q++
		}
	:: atomic { q == PINS -> q = 0; break }
	od;
#ifdef BREAK_HOOK_RWSEM
	read_unlock(rwsem);
#endif
	if
#if defined(BREAK_FLUSH) || defined(BREAK_FLUSH_FIRST)
	:: true
#else
	:: owed ->
		flush(owed)
	:: else
#endif
	fi;
	/* The hook returns */
	d_step {
		owed = 0;
		for (q : 0 .. PINS - 1) {
			for (j : 0 .. PAGES - 1) {
				pin[q].taken[j] = pin[q].taken[j] ||
					(indexed(q, j, lo, hi) &&
					 (!(by_frame) || pin[q].frame[j]))
			}
		}
		q = 0;
		j = 0;
#ifndef BREAK_HOOK_RWSEM
		read_unlock(rwsem)
#endif
	}
}

/* The blocks of the file pages from lo on get another owner */
inline free_blocks(lo)
{
	d_step {
		for (j : 0 .. FILE_PAGES - 1) {
			allocated[j] = allocated[j] && j < lo
		}
		for (q : 0 .. PINS - 1) {
			for (j : 0 .. PAGES - 1) {
				pin[q].mine[j] = pin[q].mine[j] &&
						 file_page(q, j) < lo
			}
		}
		q = 0;
		j = 0
	}
}

/* unmap_mapping_range() */
inline zap(lo)
{
	d_step {
		for (j : 0 .. FILE_PAGES - 1) {
			user_pte[j] = user_pte[j] && j < lo
		}
		j = 0
	}
}

#if TRUNCATES > 0
/*
 * A file system that frees blocks. The file system excludes faults by
 * invalidate_lock. It may wait for page references; without a VMA it does not.
 */
proctype truncate()
{
	byte q, j, a, b, owed, lo, first, last, round;
	bool drain, taken_now, waits, punch;

	do
	:: atomic {
			round < TRUNCATES ->
			if
			:: lo = 0
#if FILE_PAGES > 1
			:: lo = FILE_PAGES - 1
#endif
			fi;
			if
			:: waits = true
			:: waits = false
			fi;
			if
			:: punch = true
#ifndef STEADY
			:: punch = false
#endif
			fi;
			truncating = true
	   };
		write_lock(invalidate_lock);
		/* A truncation lowers the size first, then faults fail */
		fill = punch;
again:		if
		:: waits && vma ->
			zap(0);
			if
			:: refs > 0 ->
				REACH(truncate_waits_for_pages, true)
#ifdef BREAK_WAIT_LOCKED
				refs == 0;
				goto again
#else
				write_unlock(invalidate_lock);
				refs == 0;
				write_lock(invalidate_lock);
				goto again
#endif
			:: else
			fi
		:: else
		fi;
#ifndef BREAK_LATE_ZAP
		zap(lo);
#endif
#ifdef BREAK_LATE_HOOK
		free_blocks(lo);
#endif
		atomic {
			first = lo;
			last = (punch -> lo : FILE_PAGES - 1)
		}
next:		hook(first, last, false, punch);
#ifndef BREAK_WINDOWS
		if
		:: atomic { last < FILE_PAGES - 1 -> last++; first = last };
			goto next
		:: else
		fi;
#endif
#ifdef BREAK_LATE_ZAP
		zap(lo);
#endif
#ifdef BREAK_FAULTS
		write_unlock(invalidate_lock);
		free_blocks(lo);
#else
		free_blocks(lo);
		write_unlock(invalidate_lock);
#endif
		atomic {
			truncating = false;
			lo = 0;
			first = 0;
			last = 0;
			waits = false;
			punch = false;
#ifndef STEADY
			round++
#endif
		}
	:: atomic { round == TRUNCATES -> break }
	od
}
#endif

#if REVOKES > 0
/* An administrator takes pages back; the blocks stay */
proctype revoke()
{
	byte q, j, a, b, owed, window, round;
	bool drain, taken_now;

	do
	:: atomic { round < REVOKES -> revoking = true };
next:		hook(window, window, false, true);
		if
		:: atomic { window < FILE_PAGES - 1 -> window++ };
			goto next
		:: else
		fi;
		atomic {
			revoking = false;
			window = 0;
			round++
		}
	:: atomic { round == REVOKES -> break }
	od
}
#endif

#if REMOVALS > 0
/* kill_dax() and memunmap_pages() */
proctype removal()
{
	byte q, j, a, b, owed;
	bool drain, taken_now;

	atomic {
		removing = true;
		alive = false
	}
	atomic {
		dax_readers == 0 ->
		pgmap_killed = true
	}
	/* No hook runs yet; a task that registers may wait for its user */
end_wait:
	pgmap_refs == 0;
#ifndef BREAK_REMOVE
	hook(0, FILE_PAGES - 1, true, false);
#endif
	atomic {
		memmap = false;
		removing = false
	}
}
#endif

#if MUNMAPS > 0
proctype munmap()
{
	byte j;

	write_lock(mmap_lock);
	atomic {
		vma = false;
		zap(0);
		write_unlock(mmap_lock)
	}
}
#endif

/*
 * Pins
 */

/* dax_pin_add_range() for pages from first on */
inline enter_index()
{
#ifndef BREAK_INDEX_LOCK
	read_lock(invalidate_lock);
#endif
	write_lock(rwsem);
	d_step {
		for (i : first .. PAGES - 1) {
			pin[p].index[i] = true;
			pin[p].hooked[i] = false;
			pin[p].taken[i] = false
		}
		write_unlock(rwsem)
	}
#ifndef BREAK_INDEX_LOCK
	read_unlock(invalidate_lock)
#endif
}

/* get_user_pages() for pages from first on, and the checks of each page */
inline look_up()
{
	do
	:: good == PAGES || pgmap_killed ->
		break
	/* A signal, or a page that is refused */
	:: good > 0 && good < PAGES ->
		break
	:: atomic {
		good < PAGES && user_pte[file_page(p, good)] && !pgmap_killed ->
		refs++;
		pin[p].mine[good] = true;
		good++
	   }
	/* A page fault */
	:: atomic {
		good < PAGES && !user_pte[file_page(p, good)] ->
		REACH(fault_waits_for_truncate,
		      invalidate_lock.writer && good > first)
		skip
	   };
		read_lock(invalidate_lock);
		atomic {
			if
			:: alive && (allocated[file_page(p, good)] || fill) ->
				allocated[file_page(p, good)] = true;
				user_pte[file_page(p, good)] = true;
#ifdef STEADY
				/* No task zaps the page before it is looked up */
				refs++;
				pin[p].mine[good] = true;
				good++;
#endif
				read_unlock(invalidate_lock)
			:: else ->
				read_unlock(invalidate_lock);
				break
			fi
		}
	od
}

/* Drop the references to the pages that were looked up */
inline put_pages()
{
	d_step {
		for (i : first .. PAGES - 1) {
			if
			:: i < good ->
				CHECK_INV4(inv4_unknown_at_drop,
					   pin[p].index[i]);
				CHECK(memmap_freed, memmap);
				refs--
			:: else
			fi
		}
		i = 0
	}
}

inline put_pgmap()
{
	d_step {
		pgmap_refs = pgmap_refs - pgmap;
		pgmap = false
	}
}

/* dax_pin_trim_range() for pages from good on */
inline trim_index()
{
	write_lock(rwsem);
	d_step {
		for (i : good .. PAGES - 1) {
			pin[p].index[i] = false
		}
		i = 0;
		write_unlock(rwsem)
	}
}

inline trim_marks()
{
	want_mutex
	atomic {
		!pin[p].mutex ->
		got_mutex
		for (i : good .. PAGES - 1) {
			REACH(trims_marked_page, pin[p].marked[i])
			pin[p].marked[i] = false
		}
		i = 0
	}
}

/* dma_unmap_sgtable(): the IOVAs are free after the late flush */
inline dma_unmap()
{
	d_step {
		for (i : 0 .. PAGES - 1) {
			iova[r].pte[i] = NOTHING
		}
		REACH(translation_after_unmap, iova[r].tlb[0] != NOTHING)
		i = 0;
#ifdef BREAK_IOVA_EARLY
		iova[r].state = FREE
#else
		iova[r].state = QUEUED
#endif
	}
}

/* retarget_region_unmap() */
inline pin_unmap()
{
#ifndef BREAK_END_MUTEX
	lock(pin[p].mutex);
#endif
	if
	:: atomic {
		pin[p].state == LIVE ->
		dma_unmap()
	   };
#ifndef BREAK_END_FLUSH
		flush(bits_of(r));
#endif
		pin[p].state = UNMAPPED
	:: pin[p].state != LIVE
	fi;
#ifndef BREAK_END_MUTEX
	unlock(pin[p].mutex);
#endif
	/* Write back the pages that were not taken back */
	want_mutex
	atomic {
		!pin[p].mutex ->
		got_mutex
		for (i : 0 .. PAGES - 1) {
			CHECK(memmap_freed,
			      memmap || pin[p].marked[i] ||
			      !writes_back(pin[p].state))
		}
		i = 0
	}
	want_mutex
	atomic {
		!pin[p].mutex ->
		got_mutex
		pin[p].state = DEAD
	}
}

/* leave_index() of dax_pin_end() */
inline pin_leave_index()
{
	put_pgmap();
	write_lock(rwsem);
	d_step {
		for (i : 0 .. PAGES - 1) {
			CHECK_INV4(inv4_translation_at_leave,
				   iova[r].owner != p + 1 ||
				   (iova[r].pte[i] == NOTHING &&
				    iova[r].tlb[i] == NOTHING));
			pin[p].index[i] = false
		}
		CHECK_INV4(inv4_translation_at_leave,
			   !dma_flying || dma_pin != p);
		i = 0;
		write_unlock(rwsem)
	}
}

proctype pinner(byte p)
{
	byte first, good, i, r, a, b, round;
	bool drain, pgmap;

create:	/* dax_pin_create() */
	atomic {
		registering[p] = true;
		pin[p].state = REGISTERING;
		pin[p].scratch = true;
		for (i : 0 .. PAGES - 1) {
			pin[p].mine[i] = false
		}
		i = 0
	}

batch:	/* dax_pin_user_pages() for pages from first on */
	atomic {
		read_free(mmap_lock) ->
		if
		:: vma ->
			mmap_lock.readers++
		:: else ->
			goto end
		fi
	}
#if !defined(BREAK_REGISTER_AFTER_GUP) && !defined(BREAK_REGISTER_AFTER_DROP)
	enter_index();
#endif
#ifdef BREAK_MUTEX_GUP
	lock(pin[p].mutex);
#endif
	/* pin_frames() */
	good = first;
#ifndef BREAK_DAX_LOCK
	dax_readers++;	/* dax_read_lock() */
#endif
	if
	:: alive ->
		look_up()
	:: else
	fi;
	/* get_dev_pagemap(): cannot fail under dax_read_lock() */
	if
	:: good > first && !pgmap ->
		atomic {
			if
			:: pgmap_killed ->
				CHECK(memmap_freed, memmap);
				refs = refs - (good - first);	/* never */
				good = first			/* never */
			:: else ->
				pgmap_refs++;
				pgmap = true
			fi
		}
	:: else
	fi;
#ifdef BREAK_MUTEX_GUP
	unlock(pin[p].mutex);
#endif
	/* retarget_region_add_frames() */
	want_mutex
	atomic {
		!pin[p].mutex ->
		got_mutex
		CHECK(memmap_freed, good == first || memmap);
		for (i : 0 .. PAGES - 1) {
			pin[p].frame[i] = i < good
		}
		i = 0
	}
#ifdef BREAK_REGISTER_AFTER_GUP
	enter_index();
#endif
#ifndef BREAK_KEEP_REFS
	put_pages();
#endif
#ifdef BREAK_REGISTER_AFTER_DROP
	enter_index();
#endif
#ifndef BREAK_DAX_LOCK
	dax_readers--;
#endif
	if
	:: good < PAGES ->
#ifdef BREAK_TRIM_ORDER
		trim_marks();
		trim_index()
#else
		trim_index();
#ifndef BREAK_TRIM_MARKS
		trim_marks()
#endif
#endif
	:: else
	fi;
	read_unlock(mmap_lock);
#ifdef BREAK_PGMAP_REF
	put_pgmap();
#endif

	/* The region may have other memory that waits for the user */
	if
	:: true
	:: STALLS ->
end_register:	false
	fi;
	if
	:: good == first ->
		goto end
	:: good > first && good < PAGES ->
		first = good;
		goto batch
	:: else
	fi;

	/* dax_pin_map_sgtable() */
	lock_to_map(pin[p].mutex);
#ifdef BREAK_RESTART
	/* Start again, instead of mapping marked pages as scratch */
	if
	:: any_marked(p) ->
		unlock_mapped(pin[p].mutex);
		first = 0;
		good = 0;
		trim_index();
		trim_marks();
		goto batch
	:: else
	fi;
#endif
	/* dma_map_sgtable(), which may fail */
	if
	:: true ->
		unlock_mapped(pin[p].mutex);
		goto end
	:: atomic { iova[0].state == FREE -> r = 0; iova[r].state = USED }
#if IOVAS > 1
	:: atomic { iova[1].state == FREE -> r = 1; iova[r].state = USED }
#endif
	fi;
	d_step {
		CHECK(memmap_freed, memmap);
		REACH(iova_used_again, iova[r].owner != 0)
		iova[r].owner = p + 1;
		iova[r].device = UNTOLD;
		pin[p].iova = r;
		for (i : 0 .. PAGES - 1) {
			iova[r].pte[i] = block_of(file_page(p, i))
		}
		i = 0
	}
#ifdef BREAK_TOLD
	/* The device may write, and the write may fail */
	iova[r].device = STOPPED;
#endif
#ifdef BREAK_NOFS
	/* Reclaim, and the eviction of another file of the same pin */
	lock(pin[p].mutex);
#endif
	if
	:: true ->
		/* Not one range of IOVAs */
		dma_unmap();
		flush(bits_of(r));
		unlock_mapped(pin[p].mutex);
		goto end
	:: true
	fi;
	pin[p].state = LIVE;
#ifndef BREAK_MARK
	/* retarget_region_apply_marks() */
	if
	:: any_marked(p) ->
		REACH(maps_marked_page, true)
		d_step {
			for (i : 0 .. PAGES - 1) {
				if
				:: pin[p].marked[i] ->
					iova[r].pte[i] = scratch_of(p)
				:: else
				fi
			}
			i = 0
		}
#ifndef BREAK_MAP_FLUSH
		flush(bits_of(r))
#endif
	:: else
	fi;
#endif
	unlock_mapped(pin[p].mutex);
	put_pgmap();
	atomic {
		registering[p] = false;
		iova[r].device = TOLD
	}

	/* The user keeps the pin, possibly for ever */
	if
	:: true
	:: STALLS ->
end_live:	false
	fi;
	/* The device is told to stop, and may go on */
	iova[r].device = STOPPED;

end:	/* dax_pin_end() */
	atomic {
		registering[p] = false;
		ending[p] = true
	}
#ifdef BREAK_SCRATCH_EARLY
	pin[p].scratch = false;
#endif
#ifdef BREAK_END_ORDER
	pin_leave_index();
	pin_unmap();
#else
	pin_unmap();
	pin_leave_index();
#endif
	/* dax_pin_put() */
	d_step {
#ifdef BREAK_KEEP_REFS
		refs = refs - good;
#endif
		pin[p].state = NO_PIN;
		pin[p].scratch = false;
		for (i : 0 .. PAGES - 1) {
			pin[p].frame[i] = false;
			pin[p].marked[i] = false;
			pin[p].hooked[i] = false;
			pin[p].taken[i] = false
		}
		ending[p] = false;
		i = 0;
		first = 0;
		good = 0;
		r = 0;
		round++
	}
	if
	:: round < ROUNDS ->
		goto create
	:: else
	fi;
	/* The driver may be unbound now */
	d_step {
		consumers--;
		domain = consumers > 0
	}
}

/*
 * Hardware, and the DMA API's timer
 */

proctype entry(byte r; byte i)
{
end:	do
	:: atomic {
		iova[r].tlb[i] == NOTHING && iova[r].pte[i] != NOTHING ->
		iova[r].tlb[i] = iova[r].pte[i]
	   }
	:: atomic {
		iova[r].tlb[i] != NOTHING && iova[r].device != UNTOLD &&
		!dma_flying && !dma_done ->
		dma_flying = true;
		dma_iova = r;
		dma_page = i;
		dma_pin = iova[r].owner - 1;
		dma_frame = iova[r].tlb[i]
	   }
	:: atomic {
		dma_flying && dma_iova == r && dma_page == i ->
		if
		:: is_block(dma_frame) ->
			REACH(writes_block, true)
			CHECK(inv3_page_of_another,
			      dma_frame ==
			      block_of(file_page(dma_pin, dma_page)));
			CHECK(inv1_removed_memory, memmap);
			CHECK(inv1_freed_block, pin[dma_pin].mine[dma_page]);
			CHECK(inv1_after_hook, !pin[dma_pin].taken[dma_page])
		:: else ->
			REACH(writes_scratch, true)
			CHECK(scratch_of_another,
			      dma_frame == scratch_of(dma_pin));
			CHECK(scratch_freed, pin[dma_pin].scratch);
			CHECK(inv3_scratch_without_hook,
			      pin[dma_pin].hooked[dma_page])
		fi;
		dma_flying = false;
		dma_old = false;
		dma_iova = 0;
		dma_page = 0;
		dma_pin = 0;
		dma_frame = NOTHING;
#ifndef ENDLESS_DEVICE
		dma_done = true
#endif
	   }
	:: d_step {
		iova[r].device == TOLD && iova[r].pte[i] == NOTHING &&
		iova[r].tlb[i] == NOTHING ->
		CHECK(inv2_translation_fault, false)
	   }
	od
}

proctype flush_queue(byte r)
{
	byte i;

end:	do
	:: d_step {
		iova[r].state == QUEUED && !(dma_flying && dma_iova == r) ->
		for (i : 0 .. PAGES - 1) {
			iova[r].tlb[i] = NOTHING
		}
		i = 0;
		iova[r].state = FREE
	   }
	od
}

init {
	byte p, i;

	atomic {
		for (p : 0 .. PINS - 1) {
			pin[p].state = NO_PIN
		}
		for (p : 0 .. IOVAS - 1) {
			iova[p].state = FREE;
			iova[p].device = UNTOLD;
			run flush_queue(p);
			for (i : 0 .. PAGES - 1) {
				run entry(p, i)
			}
		}
		for (p : 0 .. PINS - 1) {
			run pinner(p)
		}
#if TRUNCATES > 0
		run truncate();
#endif
#if REVOKES > 0
		run revoke();
#endif
#if REMOVALS > 0
		run removal();
#endif
#if MUNMAPS > 0
		run munmap();
#endif
		p = 0;
		i = 0
	}
}

/*
 * An operation that begins also ends. Removal and registration may wait for the
 * user of the region: run.sh checks these with STALLS=0.
 */
#ifdef LIVENESS
#if TRUNCATES > 0
ltl truncate_ends { [] (truncating -> <> !truncating) }
#endif
#if REVOKES > 0
ltl revoke_ends { [] (revoking -> <> !revoking) }
#endif
#if REMOVALS > 0
ltl removal_ends { [] (removing -> <> !removing) }
#endif
ltl register_ends { [] (registering[0] -> <> !registering[0]) }
ltl end_ends { [] (ending[0] -> <> !ending[0]) }
#endif
