/*
 * varint.h
 *		Whole numbers in as few bytes as they need: seven bits a byte, the
 *		lowest first, all but the last byte marked by their highest bit.  Signed
 *		numbers are made unsigned by zigzag, so that small ones stay short.
 */
#ifndef RETENTION_VARINT_H
#define RETENTION_VARINT_H

#include "postgres.h"

/* The bytes that a number of so many bits takes at most. */
#define VARINT_BYTES(bits)	(((bits) + 6) / 7)

static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (value < 0 ? PG_UINT64_MAX : 0);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) ((value >> 1) ^ (~(value & 1) + 1));
}

static inline uint8 *
varint_write(uint8 *p, uint64 value)
{
	while (value >= 0x80)
	{
		*p++ = (uint8) (value | 0x80);
		value >>= 7;
	}
	*p++ = (uint8) value;
	return p;
}

/*
 * The number at *p, which moves behind it.  What has no end before end, more
 * than 64 bits or more bytes than it needs is none: the answer is why, else
 * NULL.
 */
static inline const char *
varint_read(const uint8 **p, const uint8 *end, uint64 *value)
{
	*value = 0;
	for (int shift = 0;; shift += 7)
	{
		uint8		byte;

		if (unlikely(*p >= end))
			return "It ends too early.";
		byte = *(*p)++;
		if (unlikely(shift == 63 && byte > 1))
			return "A number has more than 64 bits.";
		if (unlikely(shift > 0 && byte == 0))
			return "A number has more bytes than it needs.";
		*value |= (uint64) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return NULL;
	}
}

#endif							/* RETENTION_VARINT_H */
