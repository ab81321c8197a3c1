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
 *   truncate     a hook of the file system, TRUNCATES times: the blocks are
 *                freed for certain, or may stay in a file
 *   revoke       a hook without a lock of the file system (an administrator)
 *   removal      the pagemap goes away, which calls the hook by frame
 *   fsync        makes durable what the device wrote
 *   unbind       the driver is unbound from the device, then the domain goes
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
 *     dropping the lock. So a mutex is held over several steps only where the
 *     mutex is held over a wait.
 *   - The pages of one pin are one step of a hook. What the IOMMU does with one
 *     page and what the hook does with another do not depend on one another.
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
 * Not in the model: memory order (the model is sequentially consistent), several
 * files, domains and devices, allocation failures, events, copy-on-write and
 * shared blocks (the code refuses them), eviction of inodes (for a pin, a
 * truncation), device TLBs (the code refuses them). Large entries have a model of
 * their own, large_entries.pml.
 *
 * The device is trusted in one thing: it writes to an IOVA only after it was
 * told the IOVA, see BREAK_TOLD. The device is not trusted to stop when told to
 * stop.
 *
 * Other macros:
 *
 *   BREAK_*          leave out or reorder a step; run.sh has the result of each
 *   NO_INV4, 6 or 9  go on where invariant 4, 6 or 9 is broken, to see the
 *                    consequences; NO_INV4 also where scratch was freed too early
 *   REACHED=event    make an event an error, to see that the event is possible
 *   FAILURES         one replacement, or one flush, fails
 *   FREEZE           the file system may be frozen for ever
 *   FREE_FAILS       the file system says that blocks are freed, then fails
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
#ifndef FSYNCS
#define FSYNCS 0
#endif
#ifndef UNBINDS
#define UNBINDS 0
#endif
#ifndef MUNMAPS
#define MUNMAPS 0
#endif
/* Page faults of a registration, before it gives up; 0: any number */
#ifndef FAULTS
#define FAULTS 0
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
	NO_PIN, REGISTERING, LIVE, DETACHED,
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
	bool mutex;		/* held over a wait */
	bool mapped;		/* retarget_region.sgt: who takes it unmaps */
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

/* The file, its DAX entries and its mapping */
rwlock mmap_lock, invalidate_lock, rwsem;
bool vma = true;
bool dax_entry[FILE_PAGES] = true;
bool allocated[FILE_PAGES] = true;
bool leaving[FILE_PAGES];	/* the block will be freed for certain */
bool dirty[FILE_PAGES];		/* the device wrote, and not written back */
byte running;			/* hooks, and others that replace entries */
#ifdef BREAK_KEEP_REFS
byte refs;			/* to pages of the file, all in all */
#endif

/* The DAX device and its pagemap */
bool alive = true;
byte dax_readers;
bool pgmap_killed;
byte pgmap_refs;
bool memmap = true;

/* The consumer's device is bound, so the domain exists */
bool bound = true;
bool domain = true;
byte consumers = PINS;

/* Fail closed: the device does no DMA any more */
bool dead, failed;

/* Operations that have begun, for the liveness properties */
bool truncating, revoking, removing, syncing, unbinding;
bool registering[PINS], ending[PINS];

/*
 * Names of the checks, which the message of a failed assertion shows. The
 * numbers are those of the invariants.
 */
bool inv1_freed_block, inv1_after_hook, inv1_removed_memory;
bool inv2_translation_fault;
bool inv3_scratch_without_hook, inv3_page_of_another;
bool inv4_translation_at_leave;
bool inv6_replace_failed;
bool inv9_fsync, inv9_after_hook;
bool scratch_freed, scratch_of_another, memmap_freed, domain_freed;

#define CHECK(name, condition)	assert(name || (condition))

#ifdef NO_INV4
#define CHECK_INV4(name, condition)	skip
#else
#define CHECK_INV4(name, condition)	CHECK(name, condition)
#endif

#ifdef NO_INV6
#define CHECK_INV6(name, condition)	skip
#else
#define CHECK_INV6(name, condition)	CHECK(name, condition)
#endif

#ifdef NO_INV9
#define CHECK_INV9(name, condition)	skip
#else
#define CHECK_INV9(name, condition)	CHECK(name, condition)
#endif

/*
 * Events that have to be possible: otherwise the checks would prove little.
 * With REACHED=event, that event is an error, and run.sh expects a path to it.
 */
#define writes_scratch		1
#define flush_waits_for_write	2
#define hook_skips_flush	3
#define iova_used_again		4
#define fault_waits_for_truncate 5
#define live_between_passes	6
#define removal_takes_page	7
#define applies_mark_twice	8
#define unbind_unmaps		9
#define end_after_unbind	10

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

#else

/*
 * A hook runs again and again. Then locks must be fair, as the kernel's locks
 * are: with one pin, one task asks to read.
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

#endif

inline read_unlock(l)
{
	l.readers--
}

#define lock(m)		atomic { !m -> m = true }
#define unlock(m)	m = false

/*
 * retarget_device.rwsem: for reading while a pin ends, for writing by unbind.
 * SRCU: around a hook, from before its first replacement until after its flush.
 * A grace period waits for the hooks that began before.
 */
#if UNBINDS > 0
rwlock device_rwsem;
byte srcu_readers[2], srcu_now;
#define device_lock()	read_lock(device_rwsem)
#define device_unlock()	read_unlock(device_rwsem)
#define srcu_enter()	srcu = srcu_now; srcu_readers[srcu]++
#define srcu_leave()	srcu_readers[srcu]--; srcu = 0
#define srcu_variable	byte srcu;
#else
#define device_lock()	skip
#define device_unlock()	skip
#define srcu_enter()	skip
#define srcu_leave()	skip
#define srcu_variable
#endif
#ifdef BREAK_END_DEVICE
#undef device_lock
#undef device_unlock
#define device_lock()	skip
#define device_unlock()	skip
#endif

/*
 * Flush
 *
 * Removes the translations of a set of IOVAs, and waits until writes that used
 * them have landed. Uses the caller's variables drain, a, b. If the IOMMU does
 * not confirm, the device is stopped: it does no more DMA, and its writes in
 * flight land before the stop returns.
 */
inline flush(set)
{
#ifdef FAILURES
	if
	:: atomic { !failed -> failed = true }
#ifndef BREAK_STOP
	   ; stop_device()
#endif
	:: flush_now(set)
	fi
#else
	flush_now(set)
#endif
}

inline flush_now(set)
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

inline stop_device()
{
	dead = true;
#ifndef BREAK_STOP_DRAIN
	!dma_flying
#endif
}

/*
 * Hooks
 */

/*
 * Point a page's IOVA at scratch, under the mutex. An entry that leads to scratch
 * already is a success. With FAILURES, an entry may stay what it was: then the
 * device has to stop before the mutex is dropped.
 */
inline replace(q, j)
{
	CHECK(domain_freed, domain);
	CHECK_INV6(inv6_replace_failed,
#ifndef BREAK_IDEMPOTENT
		   iova[pin[q].iova].pte[j] == scratch_of(q) ||
#endif
		   iova[pin[q].iova].pte[j] == block_of(file_page(q, j)));
#ifdef FAILURES
	if
	:: !failed ->
		failed = true;
#ifndef BREAK_STOP
		pin[q].mutex = true;
#endif
		stop = true
	:: iova[pin[q].iova].pte[j] = scratch_of(q)
	fi
#elif defined(BREAK_REPLACE)
	iova[pin[q].iova].pte[j] = NOTHING;
	pin[q].mutex = true;
	stop = true
#else
	iova[pin[q].iova].pte[j] = scratch_of(q)
#endif
}

/* What follows a replacement that failed; the mutex of pin q is held */
#if defined(FAILURES) || defined(BREAK_REPLACE)
#define stop_variable	bool stop;
#else
#define stop_variable
#endif
inline stop_if_failed(q)
{
#ifdef FAILURES
#ifdef BREAK_STOP
	skip
#else
	if
	:: stop ->
		stop_device();
		atomic { stop = false; pin[q].mutex = false }
	:: !stop
	fi
#endif
#elif defined(BREAK_REPLACE)
	d_step {
		if
		:: stop ->
			iova[pin[q].iova].pte[0] = scratch_of(q);
			pin[q].mutex = false
		:: else
		fi;
		stop = false
	}
#else
	skip
#endif
}

#ifdef BREAK_LIVE_MUTEX
#define state_of(q)	seen
#else
#define state_of(q)	pin[q].state
#endif

/* Does the first pass of this hook mark the page? */
#if defined(BREAK_MARK_FIRST)
#define marks_first(s)	true
#elif defined(BREAK_PASS_MARK)
#define marks_first(s)	(!(stays))
#elif defined(BREAK_PENDING_MARK)
#define marks_first(s)	(!(stays) && s != REGISTERING)
#elif defined(BREAK_LIVE_MARK)
#define marks_first(s)	(!(stays) && s != LIVE || s == REGISTERING)
#elif defined(BREAK_DETACHED_MARK)
#define marks_first(s)	(!(stays) && s != DETACHED || s == REGISTERING)
#else
#define marks_first(s)	(!(stays) || s == REGISTERING)
#endif

/* The first pass of a hook for one page, under the mutex */
inline take_page(q, j, stays)
{
	if
	:: state_of(q) == LIVE ->
		owed = owed | bit_of(pin[q].iova, j);
		if
		:: !pin[q].marked[j] ->
			found = true;
			replace(q, j)
		:: else
		fi
	:: else
	fi;
	pin[q].marked[j] = pin[q].marked[j] || marks_first(state_of(q))
}

/* retarget_region_write_back() for one page, under the mutex */
inline write_back(q, j)
{
	if
	:: pin[q].state == LIVE || pin[q].state == DETACHED ->
		CHECK(memmap_freed, memmap || !pin[q].frame[j]);
		dirty[file_page(q, j)] = false
	:: else
	fi
}

/* The second pass of a hook for one page whose block may stay, under the mutex */
inline keep_page(q, j)
{
	if
#ifdef BREAK_MARK_FIRST
	:: true ->
#else
	:: !pin[q].marked[j] ->
#endif
#ifndef BREAK_WRITE_BACK_FIRST
		write_back(q, j);
#endif
		pin[q].marked[j] = true
	:: else ->
		REACH(live_between_passes,
		      pin[q].state == LIVE &&
		      is_block(iova[pin[q].iova].pte[j]))
		skip
	fi
}

#ifdef BREAK_RANGE
#define lowest(lo)	0
#else
#define lowest(lo)	lo
#endif

/* May the hook that has found nothing to replace return without a flush? */
#if defined(BREAK_SKIP_FLUSH)
#define alone	true
#elif defined(BREAK_SKIP_ORDER)
#define alone	was_alone
#elif defined(BREAK_SKIP_COUNT)
#define alone	(running == 0)
#else
#define alone	(running == 1)
#endif

#define hook_variables	byte q, j, a, b, owed; bool drain, found; \
			srcu_variable stop_variable more_variables
#if defined(BREAK_SKIP_ORDER)
#define more_variables	bool was_alone;
#elif defined(BREAK_LIVE_MUTEX)
#define more_variables	mtype seen;
#else
#define more_variables
#endif

/*
 * dax_pinned_file_take(), dax_pins_revoke(), dax_pins_take_frames(): take pages
 * [lo, hi] of the file back; with by_frame, only pages whose frame was noted.
 *
 * If the blocks may stay in a file, what the device wrote is written back after
 * the flush, in a second pass, and only then marked. The caller then calls for
 * one window after the other, here for one page.
 */
inline hook(lo, hi, by_frame, stays)
{
	atomic {
		read_free(rwsem) ->
		rwsem.readers++;
		srcu_enter();
#ifdef BREAK_SKIP_ORDER
		was_alone = running == 0;
#endif
		running++;
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
		q < PINS && any_indexed(q, lo, hi) && !pin[q].mutex ->
#ifdef BREAK_LIVE_MUTEX
		pin[q].mutex = true;
		seen = pin[q].state
	   };
	   atomic {
		pin[q].mutex = false;
#endif
		for (j : 0 .. PAGES - 1) {
			REACH(removal_takes_page,
			      (by_frame) && pin[q].frame[j] &&
			      !pin[q].marked[j] && pin[q].state == LIVE)
			if
			:: indexed(q, j, lowest(lo), hi) &&
			   (!(by_frame) || pin[q].frame[j]) ->
				take_page(q, j, stays)
			:: else
			fi
		}
		j = 0;
#ifdef BREAK_WRITE_BACK_FIRST
		for (j : 0 .. PAGES - 1) {
			if
			:: (stays) && indexed(q, j, lo, hi) &&
			   !pin[q].marked[j] ->
				write_back(q, j)
			:: else
			fi
		}
		j = 0;
#endif
#if !defined(FAILURES) && !defined(BREAK_REPLACE)
		q++
	   }
#else
		skip
	   };
#ifdef BREAK_STOP_LATE
		if
		:: stop -> pin[q].mutex = false
		:: else
		fi;
#else
		stop_if_failed(q);
#endif
		q++
#endif
	:: atomic { q == PINS -> q = 0; break }
	od;
#ifdef BREAK_HOOK_RWSEM
	read_unlock(rwsem);
#endif
#ifdef BREAK_HOOK_SRCU
	srcu_leave();
#endif
#ifdef BREAK_SKIP_COUNT
	running--;
#endif
	if
#if defined(BREAK_FLUSH) || defined(BREAK_FLUSH_FIRST)
	:: true
#else
	:: owed && (found || !alone) ->
		flush(owed)
	:: else ->
		REACH(hook_skips_flush, owed)
		skip
#endif
	fi;
#ifdef BREAK_STOP_LATE
	if
	:: stop ->
		stop_device();
		stop = false
	:: else
	fi;
#endif
	if
	:: stays ->
		do
		:: atomic { q < PINS && !any_indexed(q, lo, hi) -> q++ }
		:: atomic {
			q < PINS && any_indexed(q, lo, hi) && !pin[q].mutex ->
			for (j : 0 .. PAGES - 1) {
				if
				:: indexed(q, j, lo, hi) ->
					keep_page(q, j)
				:: else
				fi
			}
			j = 0;
			q++
		   }
		:: atomic { q == PINS -> q = 0; break }
		od
	:: else
	fi;
	/* The hook returns */
	atomic {
		owed = 0;
		found = false;
		for (q : 0 .. PINS - 1) {
			for (j : 0 .. PAGES - 1) {
				pin[q].taken[j] = pin[q].taken[j] ||
					(indexed(q, j, lo, hi) &&
					 (!(by_frame) || pin[q].frame[j]));
				CHECK_INV9(inv9_after_hook,
				      !(stays) || !indexed(q, j, lo, hi) ||
				      !dirty[file_page(q, j)] || pgmap_killed)
			}
		}
		q = 0;
		j = 0;
#ifdef BREAK_SKIP_ORDER
		was_alone = false;
#endif
#ifdef BREAK_LIVE_MUTEX
		seen = NO_PIN;
#endif
#ifndef BREAK_SKIP_COUNT
		running--;
#endif
#ifndef BREAK_HOOK_SRCU
		srcu_leave();
#endif
#ifndef BREAK_HOOK_RWSEM
		read_unlock(rwsem)
#else
		skip
#endif
	}
}

/* The blocks of the file pages from lo on get another owner */
inline free_blocks(lo)
{
	d_step {
		for (j : 0 .. FILE_PAGES - 1) {
			allocated[j] = allocated[j] && j < lo;
			dirty[j] = dirty[j] && j < lo;
			leaving[j] = false
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

/* The DAX entries of the file pages from lo on go */
inline drop_entries(lo)
{
	d_step {
		for (j : 0 .. FILE_PAGES - 1) {
			dax_entry[j] = dax_entry[j] && j < lo
		}
		j = 0
	}
}

#if TRUNCATES > 0
/*
 * A file system whose blocks leave a file. The file system excludes faults by
 * invalidate_lock. It knows that the blocks are freed; or it only drops the cache,
 * as it may move the blocks.
 */
proctype truncate()
{
	hook_variables
	byte lo, first, last, round;
	bool stays;

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
			:: stays = true
			:: stays = false
			fi;
			truncating = true
	   };
		write_lock(invalidate_lock);
#ifdef FREEZE
		if
		:: true
		:: true ->
end_frozen:		false
		fi;
#endif
#ifdef BREAK_KEEP_REFS
		refs == 0;
#endif
#ifdef BREAK_LATE_HOOK
		free_blocks(lo);
#endif
		d_step {
			for (j : 0 .. FILE_PAGES - 1) {
#ifndef FREE_FAILS
				leaving[j] = !stays && j >= lo;
#endif
				dirty[j] = dirty[j] && !leaving[j]
			}
			j = 0;
			first = lo;
			last = (stays -> lo : FILE_PAGES - 1)
		}
next:		hook(first, last, false, stays);
#ifndef BREAK_WINDOWS
		if
		:: atomic { last < FILE_PAGES - 1 -> last++; first = last };
			goto next
		:: else
		fi;
#endif
#ifdef FREE_FAILS
		if
		:: !stays -> goto failed_to_free
		:: else
		fi;
#endif
#ifndef BREAK_LATE_ENTRY
		drop_entries(lo);
#endif
#ifdef BREAK_FAULTS
		write_unlock(invalidate_lock);
		free_blocks(lo);
#else
		free_blocks(lo);
failed_to_free:	write_unlock(invalidate_lock);
#endif
#ifdef BREAK_LATE_ENTRY
		drop_entries(lo);
#endif
		atomic {
			truncating = false;
			lo = 0;
			first = 0;
			last = 0;
			stays = false;
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
	hook_variables
	byte window, round;

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
	hook_variables

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

/*
 * A region and its device
 */

/* dma_unmap_sgtable(): the IOVAs are free after the late flush */
inline dma_unmap(r)
{
	d_step {
		CHECK(domain_freed, domain);
		for (j : 0 .. PAGES - 1) {
			iova[r].pte[j] = NOTHING
		}
		j = 0;
#ifdef BREAK_IOVA_EARLY
		iova[r].state = FREE
#else
		iova[r].state = QUEUED
#endif
	}
}

/*
 * retarget_region_detach_locked(): no translation to a page of the file is left.
 * One batch here is one page.
 */
inline detach(q)
{
	running++;
	do
	:: atomic {
		j < PAGES && !pin[q].mutex ->
		if
		:: pin[q].state == LIVE -> replace(q, j)
		:: else
		fi;
#if !defined(FAILURES) && !defined(BREAK_REPLACE)
		j++
	   }
#else
		skip
	   };
		stop_if_failed(q);
		j++
#endif
	:: atomic { j == PAGES -> j = 0; break }
	od;
#ifdef BREAK_END_STATE
	set_detached(q);
#endif
#ifndef BREAK_END_FLUSH
	if
	:: pin[q].mapped ->
		flush(bits_of(pin[q].iova))
	:: else
	fi;
#endif
#ifndef BREAK_END_STATE
	set_detached(q);
#endif
	running--
}

inline set_detached(q)
{
	atomic {
		!pin[q].mutex ->
		if
		:: pin[q].state == LIVE -> pin[q].state = DETACHED
		:: else
		fi
	}
}

/* retarget_region_unmap_locked(): the whole region, without a lock of a hook */
inline unmap(q)
{
	atomic {
		!pin[q].mutex ->
		unmaps = pin[q].mapped;
		pin[q].mapped = false
	}
	if
	:: unmaps ->
		dma_unmap(pin[q].iova);
#ifdef BREAK_SCRATCH_EARLY
		pin[q].scratch = false;
#endif
		flush(bits_of(pin[q].iova));
		unmaps = false
	:: else
	fi
}

/* retarget_region_apply_marks() in batches; one batch here is one page */
inline apply_marks()
{
	do
	:: atomic {
#ifdef BREAK_APPLY_MUTEX
		i < PAGES ->
#else
		i < PAGES && !pin[p].mutex ->
#endif
		if
		:: pin[p].marked[i] ->
			REACH(applies_mark_twice,
			      iova[r].pte[i] == scratch_of(p))
			applied = true;
			replace(p, i)
		:: else
		fi;
#if !defined(FAILURES) && !defined(BREAK_REPLACE)
		i++
	   }
#else
		skip
	   };
		stop_if_failed(p);
		i++
#endif
	:: atomic { i == PAGES -> i = 0; break }
	od
}

/*
 * fsync, and events that a pin does not expect
 */

#if FSYNCS > 0
/*
 * dax_pins_sync_range(): what the device had written before is durable after,
 * where the file keeps the block
 */
proctype fsync()
{
	byte q, j, wrote, round;

	do
	:: d_step {
			round < FSYNCS ->
			for (j : 0 .. FILE_PAGES - 1) {
				wrote = wrote | (dirty[j] << j)
			}
			j = 0;
			syncing = true
	   };
		read_lock(rwsem);
		do
		:: atomic { q < PINS && !any_indexed(q, 0, FILE_PAGES - 1) -> q++ }
		:: atomic {
			q < PINS && any_indexed(q, 0, FILE_PAGES - 1) &&
			!pin[q].mutex ->
			for (j : 0 .. PAGES - 1) {
				if
				:: pin[q].index[j] && !pin[q].marked[j] ->
					write_back(q, j)
				:: else
				fi
			}
			j = 0;
			q++
		   }
		:: atomic { q == PINS -> q = 0; break }
		od;
		atomic {
			read_unlock(rwsem);
			for (j : 0 .. FILE_PAGES - 1) {
				CHECK(inv9_fsync,
				      !(wrote & dirty[j] << j) || pgmap_killed)
			}
			j = 0;
			wrote = 0;
			syncing = false;
			round++
		}
	:: atomic { round == FSYNCS -> break }
	od
}
#endif

#if UNBINDS > 0
/*
 * The driver is unbound from the device. No consumer registers then. A pin may be
 * left behind, and its consumer may end it at any time.
 */
proctype unbind()
{
	byte q, j, a, b;
	bool drain, unmaps;
	stop_variable

	/* A consumer that registers may wait for its user */
end_bound:
	atomic {
		!registering[0] ->
		bound = false;
		unbinding = true;
		if
		:: iova[0].device == TOLD -> iova[0].device = STOPPED
		:: else
		fi
	}
	write_lock(device_rwsem);
	/* retarget_region_detach_locked(), retarget_region_unmap_locked() */
	detach(q);
	REACH(unbind_unmaps, pin[q].mapped)
	unmap(q);
	write_unlock(device_rwsem);
#ifndef BREAK_UNBIND_WAIT
	/* retarget_hooks_wait() */
	atomic {
		srcu_now = 1 - srcu_now
	}
	srcu_readers[1 - srcu_now] == 0;
#endif
	/* Only now the IOMMU core may give the domain up */
	atomic {
		domain = false;
		unbinding = false
	}
}
#endif

#if MUNMAPS > 0
proctype munmap()
{
	write_lock(mmap_lock);
	atomic {
		vma = false;
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
#ifdef FREEZE
	skip;
end_index:
	atomic { read_free(invalidate_lock) -> invalidate_lock.readers++ };
#elif !defined(BREAK_INDEX_LOCK)
	read_lock(invalidate_lock);
#endif
	write_lock(rwsem);
	d_step {
		for (i : first .. PAGES - 1) {
			pin[p].index[i] = true;
			pin[p].hooked[i] = false;
			pin[p].taken[i] = false
		}
		i = 0;
		write_unlock(rwsem)
	}
#ifndef BREAK_INDEX_LOCK
	read_unlock(invalidate_lock)
#endif
}

/* Read the file's DAX entries for pages from first on, each under its lock */
inline look_up()
{
	do
	:: atomic {
		good < PAGES && dax_entry[file_page(p, good)] ->
#ifdef BREAK_KEEP_REFS
		refs++;
#endif
		pin[p].mine[good] = allocated[file_page(p, good)];
		good++
	   }
	/* No entry */
	:: good < PAGES && !dax_entry[file_page(p, good)] ->
		break
	/* A page that is refused */
	:: good > first && good < PAGES ->
		break
	:: good == PAGES ->
		break
	od
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
	atomic {
		!pin[p].mutex ->
		for (i : good .. PAGES - 1) {
			pin[p].marked[i] = false
		}
		i = 0
	}
}

/* A page fault, which fills a hole */
inline fault()
{
	REACH(fault_waits_for_truncate, invalidate_lock.writer)
	skip;
#ifdef FREEZE
end_fault:
	atomic { read_free(invalidate_lock) -> invalidate_lock.readers++ };
#else
	read_lock(invalidate_lock);
#endif
	atomic {
		allocated[file_page(p, good)] = true;
		dax_entry[file_page(p, good)] = true;
		read_unlock(invalidate_lock)
	}
}

/* Write back the pages that were not taken back */
inline pin_write_back()
{
	do
	:: atomic {
		i < PAGES && !pin[p].mutex ->
		if
		:: !pin[p].marked[i] && pin[p].state == DETACHED ->
			write_back(p, i)
		:: else
		fi;
		i++
	   }
	:: atomic { i == PAGES -> i = 0; break }
	od
}

/* leave_index() of dax_pin_end() */
inline pin_leave_index()
{
	put_pgmap();
	write_lock(rwsem);
	d_step {
		for (i : 0 .. PAGES - 1) {
			CHECK_INV4(inv4_translation_at_leave,
				   iova[r].owner != p + 1 || dead ||
				   (!is_block(iova[r].pte[i]) &&
				    !is_block(iova[r].tlb[i])));
			pin[p].index[i] = false
		}
		CHECK_INV4(inv4_translation_at_leave,
			   !dma_flying || dma_pin != p ||
			   !is_block(dma_frame));
		i = 0;
		write_unlock(rwsem)
	}
}

proctype pinner(byte p)
{
	byte first, good, i, j, r, a, b, round;
	bool drain, pgmap, refused, applied, unmaps;
	stop_variable
#if FAULTS > 0
	byte faults;
#endif

create:	/* dax_pin_create() */
	atomic {
		if
		:: !bound -> goto out
		:: else
		fi;
		registering[p] = true;
		pin[p].state = REGISTERING;
		pin[p].scratch = true;
		for (i : 0 .. PAGES - 1) {
			pin[p].mine[i] = false
		}
		i = 0
	}

batch:	/* dax_pin_user_pages() for pages from first on */
#if MUNMAPS > 0
	atomic {
		read_free(mmap_lock) ->
		if
		:: vma ->
			mmap_lock.readers++
		:: else ->
			goto end
		fi
	}
#endif
	good = first;
#ifdef BREAK_LOOK_UP_FIRST
	look_up();
#endif
	enter_index();
	/* pin_frames() */
#ifndef BREAK_DAX_LOCK
	dax_readers++;	/* dax_read_lock() */
#endif
#ifndef BREAK_LOOK_UP_FIRST
	if
	:: alive ->
		look_up()
	:: else ->
		refused = true
	fi;
#endif
#if defined(BREAK_MUTEX_FAULT) || defined(BREAK_DAX_LOCK_FAULT) || \
    defined(BREAK_RWSEM_FAULT)
	if
	:: good == first && alive ->
#ifdef BREAK_MUTEX_FAULT
		lock(pin[p].mutex);
#endif
#ifdef BREAK_RWSEM_FAULT
		write_lock(rwsem);
#endif
		fault();
#ifdef BREAK_MUTEX_FAULT
		unlock(pin[p].mutex);
#endif
#ifdef BREAK_RWSEM_FAULT
		write_unlock(rwsem);
#endif
	:: else
	fi;
#endif
	/* get_dev_pagemap(): cannot fail under dax_read_lock() */
	if
	:: good > first && !pgmap ->
		atomic {
			if
			:: pgmap_killed ->
				good = first			/* never */
			:: else ->
				pgmap_refs++;
				pgmap = true
			fi
		}
	:: else
	fi;
	/* retarget_region_add_frames() */
	atomic {
		!pin[p].mutex ->
		CHECK(memmap_freed, good == first || memmap);
		for (i : 0 .. PAGES - 1) {
			pin[p].frame[i] = i < good
		}
		i = 0
	}
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
#if MUNMAPS > 0
	read_unlock(mmap_lock);
#endif
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
	:: good < PAGES ->
		first = good;
		/* A page without an entry, in this batch or the next one */
		if
#if FAULTS > 0
		:: atomic { !refused && faults < FAULTS -> faults++ };
#else
		:: !refused ->
#endif
#if MUNMAPS > 0
			atomic {
				read_free(mmap_lock) ->
				if
				:: vma ->
					mmap_lock.readers++
				:: else ->
					goto end
				fi
			}
#endif
			fault();
#if MUNMAPS > 0
			read_unlock(mmap_lock);
#endif
			goto batch
#if FAULTS > 0
		:: faults == FAULTS ->
			goto end
#endif
		/* The page is refused, the fault fails, or a signal comes */
		:: goto end
		fi
	:: else
	fi;

	/* dax_pin_map_sgtable() */
	/* dma_map_sgtable(), which may fail; without the mutex */
	device_lock();
#ifdef BREAK_MAP_MUTEX
	/* Reclaim, and the eviction of a file of the same pin */
	lock(pin[p].mutex);
	lock(pin[p].mutex);
#endif
	if
	:: true ->
		device_unlock();
		goto end
	:: atomic {
		iova[0].state == FREE ->
		r = 0;
		iova[r].state = USED;
		pin[p].iova = r
	   }
#if IOVAS > 1
	:: atomic {
		iova[1].state == FREE ->
		r = 1;
		iova[r].state = USED;
		pin[p].iova = r
	   }
#endif
	fi;
#ifdef BREAK_LIVE_EARLY
	pin[p].state = LIVE;
#endif
	d_step {
		CHECK(memmap_freed, memmap);
		REACH(iova_used_again, iova[r].owner != 0)
		iova[r].owner = p + 1;
		iova[r].device = UNTOLD;
		for (i : 0 .. PAGES - 1) {
			iova[r].pte[i] = block_of(file_page(p, i))
		}
		i = 0
	}
	if
	:: true ->
		/* Not one range of IOVAs */
		dma_unmap(r);
		flush(bits_of(r));
		device_unlock();
		goto end
	:: true
	fi;
#ifdef BREAK_MARKS_FIRST
	apply_marks();
	skip;
#endif
#ifdef BREAK_LIVE_MUTEX
	atomic { pin[p].state = LIVE; pin[p].mapped = true }
#else
	atomic {
		!pin[p].mutex ->
		pin[p].state = LIVE;
		pin[p].mapped = true
	}
#endif
#ifdef BREAK_TOLD
	/* The device may write, and the write may fail */
	iova[r].device = STOPPED;
#endif
#if !defined(BREAK_MARK) && !defined(BREAK_MARKS_FIRST)
	apply_marks();
#endif
#ifndef BREAK_MAP_FLUSH
	if
	:: applied ->
		flush(bits_of(r))
	:: else
	fi;
#endif
	applied = false;
	device_unlock();
#ifdef FAILURES
	/* The mapping fails if a mark could not be applied, or a flush failed */
	if
	:: dead && failed ->
		goto end
	:: else
	fi;
#endif
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
		ending[p] = true;
		REACH(end_after_unbind, !domain && pin[p].state == DETACHED)
	}
#ifdef BREAK_END_ORDER
	pin_leave_index();
#endif
#ifdef BREAK_END_MUTEX
	if
	:: pin[p].mapped ->
		dma_unmap(r);
		flush(bits_of(r));
		pin[p].mapped = false;
		pin[p].state = DETACHED
	:: else
	fi;
#endif
	device_lock();
	detach(p);
	device_unlock();
#ifdef BREAK_END_WRITE_BACK
	pin_leave_index();
	pin_write_back();
#else
	pin_write_back();
#ifndef BREAK_END_ORDER
	pin_leave_index();
#endif
#endif
	device_lock();
	unmap(p);
	device_unlock();
	/* retarget_region_release(), dax_pin_put() */
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
		refused = false;
#if FAULTS > 0
		faults = 0;
#endif
		round++
	}
	if
	:: round < ROUNDS ->
		goto create
	:: else
	fi;
#if UNBINDS == 0
	/* The driver may be unbound now */
	d_step {
		consumers--;
		domain = consumers > 0
	};
#endif
out:	skip
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
		!dma_flying && !dma_done && !dead ->
		dma_flying = true;
		dma_iova = r;
		dma_page = i;
		dma_pin = iova[r].owner - 1;
		dma_frame = iova[r].tlb[i];
		CHECK(scratch_of_another,
		      is_block(dma_frame) || dma_frame == scratch_of(dma_pin));
		CHECK(inv3_scratch_without_hook,
		      is_block(dma_frame) || iova[r].device == STOPPED ||
		      pin[dma_pin].hooked[i])
	   }
	:: atomic {
		dma_flying && dma_iova == r && dma_page == i ->
		if
		:: is_block(dma_frame) ->
			CHECK(inv3_page_of_another,
			      dma_frame ==
			      block_of(file_page(dma_pin, dma_page)));
			CHECK(inv1_removed_memory, memmap);
			CHECK(inv1_freed_block, pin[dma_pin].mine[dma_page]);
			CHECK(inv1_after_hook, !pin[dma_pin].taken[dma_page]);
			dirty[dma_frame - block_of(0)] =
				!leaving[dma_frame - block_of(0)]
		:: else ->
			REACH(writes_scratch, true)
			CHECK_INV4(scratch_freed, pin[dma_pin].scratch)
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
#if FSYNCS > 0
		run fsync();
#endif
#if UNBINDS > 0
		run unbind();
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
#if FSYNCS > 0
ltl fsync_ends { [] (syncing -> <> !syncing) }
#endif
#if UNBINDS > 0
ltl unbind_ends { [] (unbinding -> <> !unbinding) }
#endif
ltl register_ends { [] (registering[0] -> <> !registering[0]) }
ltl end_ends { [] (ending[0] -> <> !ending[0]) }
#endif
