/*
 * compat.h
 *		What differs between the PostgreSQL versions we support (15 to 18).
 */
#ifndef RETENTION_COMPAT_H
#define RETENTION_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "retention needs PostgreSQL 15 or later"
#endif

/* 16 moved what looks into a varlena to a header of its own. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 renamed the ownership checks to one function over all catalogs. */
#if PG_VERSION_NUM < 160000
#include "utils/acl.h"
#define relation_is_owned_by(relid, roleid) pg_class_ownercheck(relid, roleid)
#else
#include "catalog/pg_class.h"
#include "utils/acl.h"
#define relation_is_owned_by(relid, roleid) \
	object_ownercheck(RelationRelationId, relid, roleid)
#endif

/* Settings' extras came from plain malloc until 16 gave guc.c its own memory. */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size) malloc(size)
#endif

/* 16 gave it a place for soft errors. */
#if PG_VERSION_NUM < 160000
#include "utils/regproc.h"
#define stringToQualifiedNameListCompat(string) stringToQualifiedNameList(string)
#else
#include "utils/regproc.h"
#define stringToQualifiedNameListCompat(string) stringToQualifiedNameList(string, NULL)
#endif

/* 18 asks whether a deferrable one will do. */
#if PG_VERSION_NUM < 180000
#define primary_key_index(rel) RelationGetPrimaryKeyIndex(rel)
#else
#define primary_key_index(rel) RelationGetPrimaryKeyIndex(rel, false)
#endif

/* 18 asks for the direction instead of the strategy. */
#if PG_VERSION_NUM < 180000
#define sort_support_for_index(index, reverse, ssup) \
	PrepareSortSupportFromIndexRel(index, (reverse) ? BTGreaterStrategyNumber : BTLessStrategyNumber, ssup)
#else
#define sort_support_for_index(index, reverse, ssup) \
	PrepareSortSupportFromIndexRel(index, reverse, ssup)
#endif

#endif							/* RETENTION_COMPAT_H */
