/*
 * points_rule.c
 *		The rule that an order's points are computed with: what the shop's
 *		settings come to for this customer and this day.
 */
#include "points_rule.h"

#include "expiry.h"
#include "own_query.h"
#include "tier.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"

static OwnQuery read_birthday = {
	"SELECT birthday FROM retention.customer WHERE shop_id = $1 AND customer_id = $2",
	2, {"int4", "text"}
};

static char *
numeric_text(Numeric n)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(n)));
}

/*
 * A customer born on 29 February celebrates on the 28th in other years.
 */
static bool
is_birthday(Customer *customer, int year, int month, int day)
{
	Datum		args[2];
	bool		isnull = true;
	Datum		birthday = (Datum) 0;
	int			y,
				m,
				d;

	args[0] = Int32GetDatum(customer->key.shop_id);
	args[1] = CStringGetTextDatum(customer->key.customer_id);
	if (own_execute(&read_birthday, args, NULL) > 0)
		birthday = own_copy(SPI_tuptable->vals[0], 1, &isnull);
	if (isnull)
		return false;
	j2date(DatumGetDateADT(birthday) + POSTGRES_EPOCH_JDATE, &y, &m, &d);
	if (m == 2 && d == 29 && !isleap(year))
		d = 28;
	return m == month && d == day;
}

/* The larger multiplier of the occasions of the day; NULL: there is none. */
static Numeric
occasion_multiplier(const Shop *shop, Customer *customer, TimestampTz at, const char **occasion)
{
	Numeric		birthday = shop->birthday_multiplier;
	Numeric		member_day = shop->member_day == 0 ? NULL : shop->member_day_multiplier;
	int			year,
				month,
				day;

	if (birthday == NULL && member_day == NULL)
		return NULL;
	j2date(DatumGetDateADT(DirectFunctionCall1(timestamptz_date, TimestampTzGetDatum(at))) +
		   POSTGRES_EPOCH_JDATE, &year, &month, &day);

	if (member_day != NULL && day != shop->member_day)
		member_day = NULL;
	if (birthday != NULL && !is_birthday(customer, year, month, day))
		birthday = NULL;
	if (birthday != NULL &&
		(member_day == NULL ||
		 DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(birthday),
										  NumericGetDatum(member_day)))))
	{
		*occasion = "birthday";
		return birthday;
	}
	*occasion = "member day";
	return member_day;
}

/*
 * The tier whose multiplier counts: the one the customer had earned by the
 * purchases paid before this one; or, where a shop gives a grace period, the
 * one kept since before.
 */
static const char *
tier_at(const Shop *shop, Customer *customer, TimestampTz paid_at, Numeric *multiplier)
{
	TimestampTz from = NO_TIME;
	int64		purchases;
	Numeric		spent;

	if (shop->tier_window != NULL)
		from = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
													   TimestampTzGetDatum(paid_at),
													   IntervalPGetDatum(shop->tier_window)));
	if (shop->tier_grace != NULL && customer->tier != NULL && customer->tier_since < paid_at &&
		tier_by_name(shop->shop_id, customer->tier, multiplier))
		return customer->tier;

	customer_bought_before(customer, from, paid_at, &purchases, &spent);
	*multiplier = tier_multiplier(shop->shop_id, spent, purchases);
	return tier_name(shop->shop_id, spent, purchases);
}

void
points_rule_at(int32 shop_id, Customer *customer, TimestampTz paid_at, TimestampTz accrued_at,
			   PointsRule *result)
{
	Shop		shop = *shop_settings(shop_id);
	Numeric		one = int64_to_numeric(1);
	Numeric		tier_factor;
	Numeric		occasion_factor;
	const char *tier;
	const char *occasion = NULL;
	TimestampTz expires_at;
	StringInfoData text;

	/* What follows may run queries, and so read the settings anew. */
	if (shop.birthday_multiplier != NULL)
		shop.birthday_multiplier = DatumGetNumericCopy(NumericGetDatum(shop.birthday_multiplier));
	if (shop.member_day_multiplier != NULL)
		shop.member_day_multiplier = DatumGetNumericCopy(NumericGetDatum(shop.member_day_multiplier));

	tier = tier_at(&shop, customer, paid_at, &tier_factor);
	occasion_factor = occasion_multiplier(&shop, customer, paid_at, &occasion);
	expires_at = shop_expires_at(&shop, accrued_at);

	result->multiplier = tier_factor;
	if (occasion_factor != NULL)
		result->multiplier = numeric_mul_opt_error(tier_factor, occasion_factor, NULL);

	result->has_rule = occasion_factor != NULL || expires_at != NO_TIME ||
		shop.points_rounding != ROUND_DOWN ||
		!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(tier_factor),
										  NumericGetDatum(one)));
	result->rule = (Datum) 0;
	if (!result->has_rule)
		return;

	initStringInfo(&text);
	appendStringInfo(&text, "{\"rounding\": \"%s\"",
					 shop.points_rounding == ROUND_UP ? "up" :
					 shop.points_rounding == ROUND_NEAREST ? "nearest" : "down");
	if (tier != NULL)
	{
		appendStringInfoString(&text, ", \"tier\": ");
		escape_json(&text, tier);
		appendStringInfo(&text, ", \"tier_multiplier\": %s", numeric_text(tier_factor));
	}
	if (occasion_factor != NULL)
		appendStringInfo(&text, ", \"occasion\": \"%s\", \"occasion_multiplier\": %s",
						 occasion, numeric_text(occasion_factor));
	if (expires_at != NO_TIME)
	{
		char		buffer[MAXDATELEN + 1];
		int			utc = 0;

		JsonEncodeDateTime(buffer, TimestampTzGetDatum(expires_at), TIMESTAMPTZOID, &utc);
		appendStringInfo(&text, ", \"expires_at\": \"%s\"", buffer);
	}
	appendStringInfoChar(&text, '}');
	result->rule = DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}
