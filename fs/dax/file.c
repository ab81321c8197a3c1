// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: files that have pins
 *
 * A file is looked up by a hash of its address_space. AS_DAX_PINNED in the
 * mapping is set exactly while the file is in the table. A file without pins
 * pays for the test of that bit, and for nothing else.
 */

#include <linux/atomic.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "internal.h"

/* Protects the table, the removal from it, and dax_pinned_file.mapping */
static DEFINE_SPINLOCK(files_lock);
static DEFINE_HASHTABLE(files, 10);

static struct dax_pinned_file *find_locked(struct address_space *mapping)
{
	struct dax_pinned_file *file;

	lockdep_assert_held(&files_lock);
	hash_for_each_possible(files, file, hash, (unsigned long)mapping)
		if (file->mapping == mapping)
			return file;
	return NULL;
}

/**
 * dax_pinned_file_get - find a file that has pins
 * @mapping: pages of the file
 *
 * Context: any but interrupts
 * Return: the file, with a reference for dax_pinned_file_put(), or %NULL
 */
struct dax_pinned_file *dax_pinned_file_get(struct address_space *mapping)
{
	struct dax_pinned_file *file;

	spin_lock(&files_lock);
	file = find_locked(mapping);
	if (file)
		refcount_inc(&file->refs);
	spin_unlock(&files_lock);
	return file;
}

/**
 * dax_pinned_file_make - find a file, or enter it in the table
 * @mapping: pages of the file
 *
 * Context: @mapping's inode is held. May sleep and allocate.
 * Return: the file, with a reference for dax_pinned_file_put(), or %NULL if
 *	   there is no memory
 */
struct dax_pinned_file *dax_pinned_file_make(struct address_space *mapping)
{
	struct dax_pinned_file *file, *new;

	file = dax_pinned_file_get(mapping);
	if (file)
		return file;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	init_rwsem(&new->rwsem);
	retarget_lock_in_reclaim(&new->rwsem);
	new->ranges = RB_ROOT_CACHED;
	refcount_set(&new->refs, 1);
	new->mapping = mapping;
	new->dev = mapping->host->i_sb->s_dev;
	new->ino = mapping->host->i_ino;

	spin_lock(&files_lock);
	file = find_locked(mapping);
	if (file) {
		refcount_inc(&file->refs);
	} else {
		hash_add(files, &new->hash, (unsigned long)mapping);
		set_bit(AS_DAX_PINNED, &mapping->flags);
		retarget_stat_add(RETARGET_STAT_FILES, 1);
		swap(file, new);
	}
	spin_unlock(&files_lock);
	kfree(new);
	return file;
}

/* The inode can leave memory again: let the shrinker see it */
static void unpin_mapping(struct address_space *mapping)
{
	struct inode *inode = mapping->host;

	/*
	 * Eviction takes i_lock after clear_inode(), so it waits for this
	 * function
	 */
	spin_lock(&inode->i_lock);
	clear_bit(AS_DAX_PINNED, &mapping->flags);
	inode_add_lru(inode);
	spin_unlock(&inode->i_lock);
}

/**
 * dax_pinned_file_put - drop a reference to a pinned file
 * @file: the file
 *
 * Context: any but interrupts
 */
void dax_pinned_file_put(struct dax_pinned_file *file)
{
	bool last;

	spin_lock(&files_lock);
	last = refcount_dec_and_test(&file->refs);
	if (last) {
		hash_del(&file->hash);
		if (file->mapping)
			unpin_mapping(file->mapping);
	}
	spin_unlock(&files_lock);
	if (last) {
		retarget_stat_add(RETARGET_STAT_FILES, -1);
		kfree(file);
	}
}

/**
 * dax_pinned_file_detach - forget the inode of a pinned file
 * @mapping: the pages of an inode that is about to be freed
 *
 * The pins stay; all their pages of the file have been taken back.
 *
 * Context: any but interrupts
 */
void dax_pinned_file_detach(struct address_space *mapping)
{
	struct dax_pinned_file *file;

	spin_lock(&files_lock);
	file = find_locked(mapping);
	if (file) {
		file->mapping = NULL;
		clear_bit(AS_DAX_PINNED, &mapping->flags);
	}
	spin_unlock(&files_lock);
}

/**
 * dax_pinned_file_path - find a name of a pinned file
 * @file: the file
 * @buf: memory for the name
 * @size: of @buf
 * @path: gets the name, from the root of the file system, or %NULL if no known
 *	  name fits
 *
 * Takes no reference to the inode or to a dentry: a pin does not keep its file
 * system mounted, and a reader of the pin must not keep it mounted for a moment.
 *
 * Context: does not sleep
 * Return: true if the inode is in memory
 */
bool dax_pinned_file_path(struct dax_pinned_file *file, char *buf, int size,
			  const char **path)
{
	struct dentry *alias = NULL;
	bool known;

	*path = NULL;
	rcu_read_lock();
	spin_lock(&files_lock);
	known = file->mapping;
	if (known)
		alias = d_find_alias_rcu(file->mapping->host);
	spin_unlock(&files_lock);
	if (alias)
		*path = dentry_path_raw(alias, buf, size);
	rcu_read_unlock();
	if (IS_ERR(*path))
		*path = NULL;
	return known;
}

static bool is_of_locked(struct dax_pinned_file *file, struct super_block *sb)
{
	lockdep_assert_held(&files_lock);
	return file->mapping && file->mapping->host->i_sb == sb;
}

/**
 * dax_pinned_file_is_of - is a file on a file system, and its inode in memory?
 * @file: the file
 * @sb: the file system
 *
 * Context: any but interrupts
 * Return: true if so
 */
bool dax_pinned_file_is_of(struct dax_pinned_file *file, struct super_block *sb)
{
	bool is_of;

	spin_lock(&files_lock);
	is_of = is_of_locked(file, sb);
	spin_unlock(&files_lock);
	return is_of;
}

/**
 * dax_pinned_files_write_to - does a file of a file system have write pins?
 * @sb: the file system
 *
 * Context: any but interrupts
 * Return: true if so
 */
bool dax_pinned_files_write_to(struct super_block *sb)
{
	struct dax_pinned_file *file;
	bool found = false;
	int bucket;

	spin_lock(&files_lock);
	hash_for_each(files, bucket, file, hash) {
		found = is_of_locked(file, sb) &&
			atomic_long_read(&file->nr_writable);
		if (found)
			break;
	}
	spin_unlock(&files_lock);
	return found;
}

/**
 * dax_pinned_files_visit - look at each file that has pins
 * @visit: called for each file, with a reference
 * @arg: for @visit
 *
 * The reference keeps the file in the table, so the iteration stays valid while
 * the lock is not held.
 *
 * Context: as @visit
 */
void dax_pinned_files_visit(void (*visit)(struct dax_pinned_file *file,
					  void *arg), void *arg)
{
	struct dax_pinned_file *file, *before = NULL;
	int bucket;

	spin_lock(&files_lock);
	hash_for_each(files, bucket, file, hash) {
		refcount_inc(&file->refs);
		spin_unlock(&files_lock);
		if (before)
			dax_pinned_file_put(before);
		before = file;
		visit(file, arg);
		spin_lock(&files_lock);
	}
	spin_unlock(&files_lock);
	if (before)
		dax_pinned_file_put(before);
}
