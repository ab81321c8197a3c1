// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the table of files that have pins
 *
 * The files are looked up by a hash of their address_space, and listed by their
 * file system. AS_DAX_PINNED in the mapping is set exactly while the file is in
 * the table. A file without pins pays for the test of that bit, and for nothing
 * else; a file with pins does not pay for the pins of other files. AS_DAX_WRITTEN
 * stays set from the file's first range that a sync writes back on.
 */

#include <linux/atomic.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "internal.h"

/**
 * struct dax_pinned_super - a file system that has files with pins
 * @sb: the file system; not followed
 * @files: struct dax_pinned_file, in order of their numbers
 * @link: in the list of all
 */
struct dax_pinned_super {
	struct super_block *sb;
	struct list_head files;
	struct list_head link;
};

static const struct rhashtable_params params = {
	.key_len	= sizeof(struct address_space *),
	.key_offset	= offsetof(struct dax_pinned_file, mapping),
	.head_offset	= offsetof(struct dax_pinned_file, node),
	.automatic_shrinking = true,
};

static struct rhashtable files;		/* readers take no lock */
/* Protects changes of the table, the lists, and dax_pinned_file.mapping */
static DEFINE_SPINLOCK(files_lock);
static LIST_HEAD(supers);
static u64 last_number;

static struct dax_pinned_super *find_super(struct super_block *sb)
{
	struct dax_pinned_super *super;

	lockdep_assert_held(&files_lock);
	list_for_each_entry(super, &supers, link)
		if (super->sb == sb)
			return super;
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

	rcu_read_lock();
	file = rhashtable_lookup(&files, &mapping, params);
	if (file && !refcount_inc_not_zero(&file->refs))
		file = NULL;
	rcu_read_unlock();
	return file;
}

/* Enter @new in the table, and in the list of its file system, which may be @super */
static int insert(struct dax_pinned_file *new, struct dax_pinned_super **super)
{
	struct super_block *sb = new->mapping->host->i_sb;
	int ret;

	lockdep_assert_held(&files_lock);
	ret = rhashtable_insert_fast(&files, &new->node, params);
	if (ret)
		return ret;
	new->number = ++last_number;
	new->super = find_super(sb);
	if (!new->super) {
		new->super = *super;
		*super = NULL;
		new->super->sb = sb;
		INIT_LIST_HEAD(&new->super->files);
		list_add_tail(&new->super->link, &supers);
	}
	list_add_tail(&new->link, &new->super->files);
	set_bit(AS_DAX_PINNED, &new->mapping->flags);
	retarget_stat_add(RETARGET_STAT_FILES, 1);
	return 0;
}

/* Take @file out of the table and of the list of its file system */
static void remove(struct dax_pinned_file *file)
{
	struct dax_pinned_super *super = file->super;

	lockdep_assert_held(&files_lock);
	rhashtable_remove_fast(&files, &file->node, params);
	list_del(&file->link);
	file->super = NULL;
	if (list_empty(&super->files)) {
		list_del(&super->link);
		kfree(super);
	}
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
	struct dax_pinned_super *super;
	struct dax_pinned_file *file, *new;

	file = dax_pinned_file_get(mapping);
	if (file)
		return file;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	super = kzalloc(sizeof(*super), GFP_KERNEL_ACCOUNT);
	if (!new || !super)
		goto out;
	init_rwsem(&new->rwsem);
	retarget_lock_in_reclaim(&new->rwsem);
	new->clean = RB_ROOT_CACHED;
	new->written = RB_ROOT_CACHED;
	refcount_set(&new->refs, 1);
	new->mapping = mapping;
	new->dev = mapping->host->i_sb->s_dev;
	new->ino = mapping->host->i_ino;

	/* A file in the table loses its last reference under the lock only */
	spin_lock(&files_lock);
	file = dax_pinned_file_get(mapping);
	if (!file && !insert(new, &super))
		swap(file, new);
	spin_unlock(&files_lock);
out:
	kfree(new);
	kfree(super);
	return file;
}

static void clear_flags(struct address_space *mapping)
{
	clear_bit(AS_DAX_WRITTEN, &mapping->flags);
	clear_bit(AS_DAX_PINNED, &mapping->flags);
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
	clear_flags(mapping);
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

	if (refcount_dec_not_one(&file->refs))
		return;
	spin_lock(&files_lock);
	last = refcount_dec_and_test(&file->refs);
	if (last && file->mapping) {
		remove(file);
		unpin_mapping(file->mapping);
	}
	spin_unlock(&files_lock);
	if (last) {
		retarget_stat_add(RETARGET_STAT_FILES, -1);
		kfree_rcu(file, rcu);
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
	file = dax_pinned_file_get(mapping);
	if (file) {
		remove(file);
		file->mapping = NULL;
		clear_flags(mapping);
	}
	spin_unlock(&files_lock);
	if (file)
		dax_pinned_file_put(file);
}

/**
 * dax_pinned_file_path - find a name of a pinned file
 * @file: the file
 * @buf: memory for the name
 * @size: of @buf
 * @path: gets the name, from the root of the file system, or %NULL if no known
 *	  name fits; may be %NULL
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

	if (!path)
		return READ_ONCE(file->mapping);
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

/*
 * The next file of @sb behind @file, which has number @number, up to number @last;
 * with a reference
 */
static struct dax_pinned_file *next_file(struct super_block *sb,
					 struct dax_pinned_file *file,
					 u64 number, u64 last)
{
	struct dax_pinned_super *super;
	struct dax_pinned_file *next;

	lockdep_assert_held(&files_lock);
	super = find_super(sb);
	if (!super)
		return NULL;
	/* @file may have left the list meanwhile, and the list is in order */
	next = file && file->super ? file : NULL;
	next = list_prepare_entry(next, &super->files, link);
	list_for_each_entry_continue(next, &super->files, link)
		if (next->number > number)
			break;
	if (list_entry_is_head(next, &super->files, link) ||
	    next->number > last)
		return NULL;
	refcount_inc(&next->refs);
	return next;
}

/**
 * dax_pinned_files_visit - look at each file with pins of a file system
 * @sb: the file system
 * @visit: called for each file, with a reference
 * @arg: for @visit
 *
 * Leaves out files that get their first pin meanwhile: the walk ends, whatever is
 * pinned beside it.
 *
 * Context: as @visit
 */
void dax_pinned_files_visit(struct super_block *sb,
			    void (*visit)(struct dax_pinned_file *file,
					  void *arg),
			    void *arg)
{
	struct dax_pinned_file *file = NULL, *next;
	u64 number = 0, last = 0;

	for (;;) {
		spin_lock(&files_lock);
		last = last ?: last_number;
		next = next_file(sb, file, number, last);
		spin_unlock(&files_lock);
		if (file)
			dax_pinned_file_put(file);
		if (!next)
			return;
		file = next;
		number = file->number;
		visit(file, arg);
	}
}

static int __init dax_pinned_file_init(void)
{
	return rhashtable_init(&files, &params);
}
subsys_initcall(dax_pinned_file_init);
