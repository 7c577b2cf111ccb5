/*
 * large_memory.h
 *		Memory for tables that are read all over the place.
 *
 * A look-up in a table of some hundred megabytes waits less for the table than
 * for the page tables that say where it is; with pages of 2 MB these fit the
 * processor's caches.  Where the system has none, nothing is lost.
 */
#ifndef RETENTION_LARGE_MEMORY_H
#define RETENTION_LARGE_MEMORY_H

#include "postgres.h"

#include <sys/mman.h>

#define LARGE_PAGE		((Size) 2 * 1024 * 1024)

/* Asks for large pages where memory is not written to yet. */
static inline void
prefer_large_pages(void *memory, Size size)
{
#ifdef MADV_HUGEPAGE
	uintptr_t	first = TYPEALIGN(LARGE_PAGE, (uintptr_t) memory);
	uintptr_t	end = TYPEALIGN_DOWN(LARGE_PAGE, (uintptr_t) memory + size);

	if (first < end)
		(void) madvise((void *) first, end - first, MADV_HUGEPAGE);
#endif
}

#endif							/* RETENTION_LARGE_MEMORY_H */
