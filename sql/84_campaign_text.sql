-- ---------------------------------------------------------------------------
-- What the texts of campaigns can name besides
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.campaign_values(
	the_shop retention.shop,
	customer_id text,
	subject text,
	needed text
)
	RETURNS jsonb
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_campaign retention.campaign;
BEGIN
	SELECT c.* INTO the_campaign
	FROM retention.campaign c
	WHERE c.shop_id = the_shop.shop_id
		AND subject LIKE retention.campaign_subject('%')
		AND c.name = substr(subject, length(retention.campaign_subject('')) + 1);

	RETURN CASE needed
		WHEN 'campaign' THEN jsonb_build_object('campaign', the_campaign.name)
		WHEN 'event' THEN jsonb_build_object(
			'event.at', to_char(the_campaign.event_at AT TIME ZONE the_shop.time_zone, CASE the_shop.language
				WHEN 'zh' THEN 'FMMM"月"FMDD"日" HH24:MI'
				ELSE 'FMDD Mon HH24:MI'
			END),
			'event.place', the_campaign.event_place)
		WHEN 'offer_code' THEN jsonb_build_object('offer_code', (
			-- A draft has no codes yet: its preview shows how long they are.
			SELECT coalesce(o.code, CASE the_campaign.state WHEN 'draft' THEN 'XXXXXXXXXXXX' END)
			FROM retention.campaign_offer f
			LEFT JOIN retention.offer_code o
				ON o.shop_id = f.shop_id AND o.campaign = f.campaign AND o.customer_id = campaign_values.customer_id
			WHERE f.shop_id = the_shop.shop_id AND f.campaign = the_campaign.name))
	END;
END
$$;

COMMENT ON FUNCTION retention.campaign_values(retention.shop, text, text, text) IS
	'The value of a placeholder that only campaigns have (campaign, offer_code, event), for a message to this customer on this subject; nulls where the message is not a campaign''s';
