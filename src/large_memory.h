/*
 * large_memory.h
 *		Memory for what grows to many megabytes.
 *
 * A look-up in a table of some hundred megabytes waits less for the table than
 * for the page tables that say where it is; with pages of 2 MB these fit the
 * processor's caches.  And memory touched for the first time costs a page fault
 * a page, which on a virtual machine may take longer than what is done with the
 * page.  Where the system has no large pages, nothing is lost.
 */
#ifndef RETENTION_LARGE_MEMORY_H
#define RETENTION_LARGE_MEMORY_H

#include "postgres.h"

#include <sys/mman.h>

#include "utils/memutils.h"

#define LARGE_PAGE		((Size) 2 * 1024 * 1024)

/* Smaller memory begins with a line of the processor's caches. */
#define CACHE_LINE		64

/*
 * Ask for large pages for memory that has not been touched yet, where they fit
 * into it.
 */
static inline void
large_advise(void *memory, Size size)
{
#ifdef MADV_HUGEPAGE
	char	   *begin = (char *) TYPEALIGN(LARGE_PAGE, memory);
	char	   *end = (char *) TYPEALIGN_DOWN(LARGE_PAGE, (char *) memory + size);

	if (begin < end)
		(void) madvise(begin, end - begin, MADV_HUGEPAGE);
#endif
}

/*
 * Memory for `size` bytes; *allocated is what to free in the end.  So much more
 * is asked for that it begins with a large page: what is not touched is never
 * had.
 */
static inline void *
large_alloc(MemoryContext context, Size size, void **allocated)
{
	Size		alignment = size < LARGE_PAGE ? CACHE_LINE : LARGE_PAGE;
	void	   *memory;

	*allocated = MemoryContextAllocHuge(context, size + alignment);
	memory = (void *) TYPEALIGN(alignment, *allocated);
	large_advise(memory, size);
	return memory;
}

#endif							/* RETENTION_LARGE_MEMORY_H */
