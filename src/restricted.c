/*
 * restricted.c
 *		Running SQL that is not ours: a shop's facts queries, and the
 *		conditions of audiences and rules.
 *
 * Whoever wrote it decides what it says, and others decide when it is run; so
 * it is run with the rights of the role it belongs to, can change nothing, and
 * cannot leave that role.
 */
#include "restricted.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/elog.h"
#include "utils/guc.h"
#include "utils/resowner.h"

/*
 * A setting made by that SQL must not last: the next statement of ours would be
 * read along its search_path, with the rights of the extension's owner.
 */
void
restricted_save(RestrictedContext *saved)
{
	saved->guc_level = NewGUCNestLevel();
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	saved->read_only = XactReadOnly;
}

void
restricted_enter(Oid role, int sec_flags)
{
	Oid			user;
	int			sec_context;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(role,
						   sec_context | sec_flags | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	XactReadOnly = true;
}

void
restricted_leave(const RestrictedContext *saved)
{
	SetUserIdAndSecContext(saved->user, saved->sec_context);
	XactReadOnly = saved->read_only;
	AtEOXact_GUC(false, saved->guc_level);
}

bool
restricted_must_raise(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return true;
		default:
			return false;
	}
}

/*
 * Spliced into a query, anything but one expression would become another query.
 */
void
restricted_check_expression(const char *expression)
{
	List	   *statements = raw_parser(expression, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;

	if (!IsA(select, SelectStmt) || select->op != SETOP_NONE ||
		list_length(select->targetList) != 1 ||
		linitial_node(ResTarget, select->targetList)->name != NULL ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitCount != NULL ||
		select->limitOffset != NULL || select->lockingClause != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("it is not one expression")));
}

ErrorData *
restricted_run_guarded(RestrictedWork work, void *arg)
{
	MemoryContext caller_context = CurrentMemoryContext;
	ResourceOwner caller_owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	RestrictedContext saved;

	restricted_save(&saved);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller_context);

	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller_context);
	CurrentResourceOwner = caller_owner;
	restricted_leave(&saved);
	return error;
}
