-- ---------------------------------------------------------------------------
-- Why a message did not go out, in Chinese; care_skipped says it in English
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.care_explanation_zh(message retention.care_message, shop retention.shop)
	RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN (message).reason = 'quiet hours' THEN
			format('到期时正处于免打扰时段（%s 至 %s），结束后发送。', left((shop).quiet_from::text, 5), left((shop).quiet_to::text, 5))
		WHEN (message).reason = 'frequency cap' THEN '最近刚给该客户发过消息，频率上限允许时再发。'
		WHEN (message).reason = 'failed, will be tried again' THEN
			format('发送失败（%s），会再次尝试。', coalesce((message).last_error, '未说明原因'))
		WHEN (message).reason = 'broken condition' THEN format('规则的条件出错，修正后再发：%s。', (message).last_error)
		WHEN (message).reason = 'call again' THEN '约好了再次致电的时间。'
		WHEN (message).reason = 'the campaign is paused' THEN '活动暂停中。'
		WHEN (message).reason = 'expired' THEN '过期前没有程序来领取：这个渠道有发送程序在运行吗？'
		WHEN (message).reason = 'expired in quiet hours' THEN '免打扰时段结束前就已过期。'
		WHEN (message).reason = 'expired under a frequency cap' THEN '频率上限允许再次联系该客户之前就已过期。'
		WHEN (message).reason = 'expired after a failure' THEN
			format('发送一直失败（%s），直到过期。', coalesce((message).last_error, '发送程序没有回报'))
		WHEN (message).reason = 'expired with a broken condition' THEN format('规则的条件修正之前就已过期：%s。', (message).last_error)
		WHEN (message).reason = 'expired while the campaign was paused' THEN '活动恢复之前就已过期。'
		WHEN (message).reason = 'condition not met' THEN '发送时客户或订单不符合规则的条件。'
		WHEN (message).reason = 'the rule was switched off' THEN '排队之后规则被关闭。'
		WHEN (message).reason = 'the campaign has ended' THEN '活动已结束。'
		WHEN (message).reason = 'the campaign was stopped' THEN '活动已停止。'
		WHEN (message).reason = 'the order no longer calls for it' THEN '订单已不在消息所说的状态。'
		WHEN (message).reason = 'opted out' THEN format('客户拒收该渠道（%s）的此类消息。', (message).channel)
		WHEN (message).reason = 'no consent' THEN format('客户从未同意接收该渠道（%s）的此类消息，而店铺设置要求先同意。', (message).channel)
		WHEN (message).reason = 'no address' THEN format('客户资料里没有该渠道（%s）的联系方式。', (message).channel)
		WHEN (message).reason = 'never answers' THEN
			format('客户对最近 %s 条营销消息都没有回应，之后也没有购买。', (shop).suppress_unanswered)
		WHEN (message).reason = 'bad review' THEN format('客户最近 %s 天内给过差评。', (shop).suppress_review_days)
		WHEN (message).reason = 'unlikely to come back' THEN
			format('按预测该客户已流失：活跃概率低于 %s（店铺设置 suppress_p_alive）。', (shop).suppress_p_alive)
		WHEN (message).reason = 'missing value: template' THEN '规则没有文案：请给它一个模板。'
		WHEN (message).reason LIKE 'missing value%' THEN
			format('文案需要的值未知%s；请给占位符一个默认值。', replace(substr((message).reason, 14), ': ', '：'))
		WHEN (message).reason = 'gave up' THEN
			format('发送失败 %s 次，最后一次：%s。requeue_dead() 可以重试。', (message).attempts, coalesce((message).last_error, '发送程序没有回报'))
		WHEN (message).reason = 'refused for good' THEN
			format('无法发送：%s。requeue_dead() 可以重试。', coalesce((message).last_error, '未说明原因'))
		WHEN (message).reason = 'the order was paid' THEN '订单已付款。'
		WHEN (message).reason = 'the order was shipped' THEN '订单已发货。'
		WHEN (message).reason = 'the order arrived' THEN '订单已送达。'
		WHEN (message).reason = 'the order was completed' THEN '订单已完成。'
		WHEN (message).reason = 'the order was closed' THEN '订单已关闭。'
		WHEN (message).reason = 'the order was refunded' THEN '订单已退款。'
		WHEN (message).reason = 'the order was refunded in part' THEN '订单已部分退款。'
		WHEN (message).reason = 'the order was deleted' THEN '订单已删除。'
		WHEN (message).reason = 'the order changed' THEN '订单已改变。'
		WHEN (message).reason = 'the order went to another customer' THEN '订单转到了另一位客户名下。'
		WHEN (message).reason = 'the purchase was taken back' THEN '购买已撤销。'
		WHEN (message).reason = 'the customer bought again' THEN '客户又购买了。'
		WHEN (message).reason = 'the customer was forgotten' THEN '客户要求删除了资料。'
		WHEN (message).reason = 'the ladder changed' THEN '会员等级的设置改变了。'
		WHEN (message).reason = 'the source was detached' THEN '数据源已断开。'
		ELSE (message).reason
	END
$$;

COMMENT ON FUNCTION retention.care_explanation_zh(retention.care_message, retention.shop) IS
	'Why a message did not go out, or not yet, in Chinese for the shop''s owner; what cancel_message() was told stands as it is';

