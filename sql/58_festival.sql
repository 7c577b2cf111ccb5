-- ---------------------------------------------------------------------------
-- festival: days worth a greeting
-- ---------------------------------------------------------------------------

-- Days of the lunar calendar and solar terms are those of China (UTC+8).  A day
-- of remembrance such as Qingming, and days that are not everybody's, are here
-- for shops that ask for them, but nobody is greeted on them by default.
CREATE TABLE retention.festival_default (
	name text PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('festival', 'season')),
	title_zh text NOT NULL,
	title_en text NOT NULL,
	greeting_zh text NOT NULL,
	greeting_en text NOT NULL,
	languages text[] NOT NULL
);

COMMENT ON TABLE retention.festival_default IS 'The festivals and changes of season that come with the extension; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.festival_default.name IS 'Name of the festival';
COMMENT ON COLUMN retention.festival_default.kind IS 'festival or season (a change of season)';
COMMENT ON COLUMN retention.festival_default.title_zh IS 'What it is called in Chinese';
COMMENT ON COLUMN retention.festival_default.title_en IS 'What it is called in English';
COMMENT ON COLUMN retention.festival_default.greeting_zh IS 'The wish, in Chinese';
COMMENT ON COLUMN retention.festival_default.greeting_en IS 'The wish, in English';
COMMENT ON COLUMN retention.festival_default.languages IS 'Shops that write in these languages greet on it unless their rule names its own festivals';

INSERT INTO retention.festival_default (name, kind, title_zh, title_en, greeting_zh, greeting_en, languages)
VALUES
	('new_year', 'festival', '元旦', 'New Year', '祝您新年快乐，平安喜乐', 'happy New Year! We wish you health and joy all year long.', '{zh,en}'),
	('laba_festival', 'festival', '腊八节', 'Laba Festival', '愿一碗热粥暖您身心', 'a warm Laba Festival to you and your family!', '{}'),
	('lunar_new_years_eve', 'festival', '除夕', 'Lunar New Year''s Eve', '祝您阖家团圆，岁岁平安', 'may you have a happy reunion with your family tonight!', '{}'),
	('spring_festival', 'festival', '春节', 'Spring Festival', '给您拜年啦！祝您和家人新春快乐，万事如意', 'happy Lunar New Year! We wish you and your family good fortune.', '{zh}'),
	('lantern_festival', 'festival', '元宵节', 'Lantern Festival', '祝您团团圆圆，甜甜美美', 'a bright Lantern Festival to you and your family!', '{zh}'),
	('qingming', 'festival', '清明', 'Qingming', '春和景明，愿您安康', 'we wish you peace and quiet this Qingming.', '{}'),
	('dragon_boat_festival', 'festival', '端午节', 'Dragon Boat Festival', '祝您和家人端午安康', 'we wish you good health this Dragon Boat Festival.', '{zh}'),
	('qixi', 'festival', '七夕', 'Qixi', '愿您所爱常伴，良辰美满', 'may those you love be near you this Qixi.', '{zh}'),
	('mid_autumn_festival', 'festival', '中秋节', 'Mid-Autumn Festival', '祝您阖家团圆，月圆人安', 'may the full moon bring your family together this Mid-Autumn.', '{zh}'),
	('double_ninth_festival', 'festival', '重阳节', 'Double Ninth Festival', '愿您和长辈健康长寿', 'we wish you and your elders a long and healthy life.', '{zh}'),
	('valentines_day', 'festival', '情人节', 'Valentine''s Day', '愿您被爱温柔包围', 'happy Valentine''s Day! May you be with those you love.', '{}'),
	('womens_day', 'festival', '妇女节', 'Women''s Day', '祝您美丽自信，笑口常开', 'we wish you a happy Women''s Day.', '{}'),
	('easter', 'festival', '复活节', 'Easter', '祝您复活节快乐', 'happy Easter to you and your family!', '{en}'),
	('labour_day', 'festival', '劳动节', 'Labour Day', '辛苦了！愿您好好休息，心情舒畅', 'you have earned a good rest: happy Labour Day!', '{}'),
	('mothers_day', 'festival', '母亲节', 'Mother''s Day', '祝天下母亲健康快乐', 'we wish all mothers health and joy today.', '{}'),
	('childrens_day', 'festival', '儿童节', 'Children''s Day', '愿您童心常在，家有欢笑', 'may the child in you laugh today!', '{}'),
	('fathers_day', 'festival', '父亲节', 'Father''s Day', '祝天下父亲健康快乐', 'we wish all fathers health and joy today.', '{}'),
	('teachers_day', 'festival', '教师节', 'Teachers'' Day', '向所有老师道一声辛苦了', 'our thanks to all teachers today.', '{}'),
	('national_day', 'festival', '国庆节', 'National Day', '祝您节日快乐，阖家安康', 'we wish you a happy National Day.', '{zh}'),
	('halloween', 'festival', '万圣节', 'Halloween', '愿您玩得开心', 'have a happy Halloween!', '{}'),
	('thanksgiving', 'festival', '感恩节', 'Thanksgiving', '感谢有您，愿您平安喜乐', 'happy Thanksgiving! We are grateful for you.', '{}'),
	('christmas', 'festival', '圣诞节', 'Christmas', '祝您圣诞快乐，温暖相伴', 'we wish you a merry Christmas and peaceful days.', '{en}'),
	('start_of_spring', 'season', '立春', 'Start of Spring', '春寒料峭，早晚添衣，愿您一切安好', 'spring begins: keep warm in the cold mornings, and be well.', '{zh}'),
	('start_of_summer', 'season', '立夏', 'Start of Summer', '天气渐热，多喝水，饮食清淡，愿您清爽一夏', 'summer begins: drink plenty, eat lightly, and be well.', '{zh}'),
	('start_of_autumn', 'season', '立秋', 'Start of Autumn', '早晚渐凉，注意增减衣物，多吃润燥食物', 'autumn begins: mind the cool evenings, and be well.', '{zh}'),
	('start_of_winter', 'season', '立冬', 'Start of Winter', '天冷了，记得添衣保暖，吃点热乎的', 'winter begins: dress warmly, eat something hot, and be well.', '{zh}'),
	('winter_solstice', 'season', '冬至', 'Winter Solstice', '愿您有热饺子暖汤圆，阖家温暖', 'a warm Winter Solstice to you and your family!', '{}'),
	('spring', 'season', '春天', 'Spring', '春天来了，早晚添衣，愿您一切安好', 'spring is here. Mind the cool mornings, and enjoy the light.', '{en}'),
	('summer', 'season', '夏天', 'Summer', '夏天来了，多喝水，愿您清爽一夏', 'summer is here. Drink plenty, and enjoy the long days.', '{en}'),
	('autumn', 'season', '秋天', 'Autumn', '秋天来了，注意增减衣物', 'autumn is here. Keep warm in the evenings, and take good care.', '{en}'),
	('winter', 'season', '冬天', 'Winter', '冬天来了，添衣保暖', 'winter is here. Dress warmly, eat well, and take good care.', '{en}');

CREATE TABLE retention.festival_day_default (
	name text REFERENCES retention.festival_default,
	day date,
	PRIMARY KEY (name, day)
);

COMMENT ON TABLE retention.festival_day_default IS 'The days of the shipped festivals, 2024 to 2035; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.festival_day_default.name IS 'The festival';
COMMENT ON COLUMN retention.festival_day_default.day IS 'A day it falls on';

INSERT INTO retention.festival_day_default (name, day)
SELECT f.name, d.day
FROM (VALUES
	('new_year', '{2024-01-01,2025-01-01,2026-01-01,2027-01-01,2028-01-01,2029-01-01,
		2030-01-01,2031-01-01,2032-01-01,2033-01-01,2034-01-01,2035-01-01}'),
	('laba_festival', '{2024-01-18,2025-01-07,2026-01-26,2027-01-15,2028-01-04,2029-01-22,
		2030-01-11,2031-01-01,2032-01-20,2033-01-08,2034-01-27,2035-01-16}'),
	('lunar_new_years_eve', '{2024-02-09,2025-01-28,2026-02-16,2027-02-05,2028-01-25,2029-02-12,
		2030-02-02,2031-01-22,2032-02-10,2033-01-30,2034-02-18,2035-02-07}'),
	('spring_festival', '{2024-02-10,2025-01-29,2026-02-17,2027-02-06,2028-01-26,2029-02-13,
		2030-02-03,2031-01-23,2032-02-11,2033-01-31,2034-02-19,2035-02-08}'),
	('lantern_festival', '{2024-02-24,2025-02-12,2026-03-03,2027-02-20,2028-02-09,2029-02-27,
		2030-02-17,2031-02-06,2032-02-25,2033-02-14,2034-03-05,2035-02-22}'),
	('qingming', '{2024-04-04,2025-04-04,2026-04-05,2027-04-05,2028-04-04,2029-04-04,
		2030-04-05,2031-04-05,2032-04-04,2033-04-04,2034-04-05,2035-04-05}'),
	('dragon_boat_festival', '{2024-06-10,2025-05-31,2026-06-19,2027-06-09,2028-05-28,2029-06-16,
		2030-06-05,2031-06-24,2032-06-12,2033-06-01,2034-06-20,2035-06-10}'),
	('qixi', '{2024-08-10,2025-08-29,2026-08-19,2027-08-08,2028-08-26,2029-08-16,
		2030-08-05,2031-08-24,2032-08-12,2033-08-01,2034-08-20,2035-08-10}'),
	('mid_autumn_festival', '{2024-09-17,2025-10-06,2026-09-25,2027-09-15,2028-10-03,2029-09-22,
		2030-09-12,2031-10-01,2032-09-19,2033-09-08,2034-09-27,2035-09-16}'),
	('double_ninth_festival', '{2024-10-11,2025-10-29,2026-10-18,2027-10-08,2028-10-26,2029-10-16,
		2030-10-05,2031-10-24,2032-10-12,2033-10-01,2034-10-20,2035-10-09}'),
	('valentines_day', '{2024-02-14,2025-02-14,2026-02-14,2027-02-14,2028-02-14,2029-02-14,
		2030-02-14,2031-02-14,2032-02-14,2033-02-14,2034-02-14,2035-02-14}'),
	('womens_day', '{2024-03-08,2025-03-08,2026-03-08,2027-03-08,2028-03-08,2029-03-08,
		2030-03-08,2031-03-08,2032-03-08,2033-03-08,2034-03-08,2035-03-08}'),
	('easter', '{2024-03-31,2025-04-20,2026-04-05,2027-03-28,2028-04-16,2029-04-01,
		2030-04-21,2031-04-13,2032-03-28,2033-04-17,2034-04-09,2035-03-25}'),
	('labour_day', '{2024-05-01,2025-05-01,2026-05-01,2027-05-01,2028-05-01,2029-05-01,
		2030-05-01,2031-05-01,2032-05-01,2033-05-01,2034-05-01,2035-05-01}'),
	('mothers_day', '{2024-05-12,2025-05-11,2026-05-10,2027-05-09,2028-05-14,2029-05-13,
		2030-05-12,2031-05-11,2032-05-09,2033-05-08,2034-05-14,2035-05-13}'),
	('childrens_day', '{2024-06-01,2025-06-01,2026-06-01,2027-06-01,2028-06-01,2029-06-01,
		2030-06-01,2031-06-01,2032-06-01,2033-06-01,2034-06-01,2035-06-01}'),
	('fathers_day', '{2024-06-16,2025-06-15,2026-06-21,2027-06-20,2028-06-18,2029-06-17,
		2030-06-16,2031-06-15,2032-06-20,2033-06-19,2034-06-18,2035-06-17}'),
	('teachers_day', '{2024-09-10,2025-09-10,2026-09-10,2027-09-10,2028-09-10,2029-09-10,
		2030-09-10,2031-09-10,2032-09-10,2033-09-10,2034-09-10,2035-09-10}'),
	('national_day', '{2024-10-01,2025-10-01,2026-10-01,2027-10-01,2028-10-01,2029-10-01,
		2030-10-01,2031-10-01,2032-10-01,2033-10-01,2034-10-01,2035-10-01}'),
	('halloween', '{2024-10-31,2025-10-31,2026-10-31,2027-10-31,2028-10-31,2029-10-31,
		2030-10-31,2031-10-31,2032-10-31,2033-10-31,2034-10-31,2035-10-31}'),
	('thanksgiving', '{2024-11-28,2025-11-27,2026-11-26,2027-11-25,2028-11-23,2029-11-22,
		2030-11-28,2031-11-27,2032-11-25,2033-11-24,2034-11-23,2035-11-22}'),
	('christmas', '{2024-12-25,2025-12-25,2026-12-25,2027-12-25,2028-12-25,2029-12-25,
		2030-12-25,2031-12-25,2032-12-25,2033-12-25,2034-12-25,2035-12-25}'),
	('start_of_spring', '{2024-02-04,2025-02-03,2026-02-04,2027-02-04,2028-02-04,2029-02-03,
		2030-02-04,2031-02-04,2032-02-04,2033-02-03,2034-02-04,2035-02-04}'),
	('start_of_summer', '{2024-05-05,2025-05-05,2026-05-05,2027-05-06,2028-05-05,2029-05-05,
		2030-05-05,2031-05-06,2032-05-05,2033-05-05,2034-05-05,2035-05-05}'),
	('start_of_autumn', '{2024-08-07,2025-08-07,2026-08-07,2027-08-08,2028-08-07,2029-08-07,
		2030-08-07,2031-08-08,2032-08-07,2033-08-07,2034-08-07,2035-08-07}'),
	('start_of_winter', '{2024-11-07,2025-11-07,2026-11-07,2027-11-07,2028-11-07,2029-11-07,
		2030-11-07,2031-11-07,2032-11-07,2033-11-07,2034-11-07,2035-11-07}'),
	('winter_solstice', '{2024-12-21,2025-12-21,2026-12-22,2027-12-22,2028-12-21,2029-12-21,
		2030-12-22,2031-12-22,2032-12-21,2033-12-21,2034-12-22,2035-12-22}'),
	('spring', '{2024-03-01,2025-03-01,2026-03-01,2027-03-01,2028-03-01,2029-03-01,
		2030-03-01,2031-03-01,2032-03-01,2033-03-01,2034-03-01,2035-03-01}'),
	('summer', '{2024-06-01,2025-06-01,2026-06-01,2027-06-01,2028-06-01,2029-06-01,
		2030-06-01,2031-06-01,2032-06-01,2033-06-01,2034-06-01,2035-06-01}'),
	('autumn', '{2024-09-01,2025-09-01,2026-09-01,2027-09-01,2028-09-01,2029-09-01,
		2030-09-01,2031-09-01,2032-09-01,2033-09-01,2034-09-01,2035-09-01}'),
	('winter', '{2024-12-01,2025-12-01,2026-12-01,2027-12-01,2028-12-01,2029-12-01,
		2030-12-01,2031-12-01,2032-12-01,2033-12-01,2034-12-01,2035-12-01}')
) AS f (name, days)
CROSS JOIN LATERAL pg_catalog.unnest(f.days::date[]) AS d (day);

CREATE TABLE retention.festival (
	shop_id integer NOT NULL,
	name text NOT NULL CHECK (name <> ''),
	kind text NOT NULL DEFAULT 'festival' CHECK (kind IN ('festival', 'season')),
	day date NOT NULL,
	title text NOT NULL,
	greeting text NOT NULL,
	PRIMARY KEY (shop_id, name, day)
);

SELECT pg_catalog.pg_extension_config_dump('retention.festival', '');

COMMENT ON TABLE retention.festival IS 'A shop''s own festivals: its anniversary, a member day, and its own days or words for a shipped festival, of which the shipped days then no longer count';
COMMENT ON COLUMN retention.festival.shop_id IS 'The shop';
COMMENT ON COLUMN retention.festival.name IS 'Name of the festival';
COMMENT ON COLUMN retention.festival.kind IS 'festival or season (a change of season)';
COMMENT ON COLUMN retention.festival.day IS 'The day it falls on';
COMMENT ON COLUMN retention.festival.title IS 'What messages call it';
COMMENT ON COLUMN retention.festival.greeting IS 'The wish';

CREATE VIEW retention.festivals AS
	SELECT f.shop_id, f.name, f.kind, f.day, f.title, f.greeting, true AS greeted, false AS shipped
	FROM retention.festival f
	UNION ALL
	SELECT
		s.shop_id,
		d.name,
		d.kind,
		y.day,
		CASE s.language WHEN 'zh' THEN d.title_zh ELSE d.title_en END,
		CASE s.language WHEN 'zh' THEN d.greeting_zh ELSE d.greeting_en END,
		s.language = ANY (d.languages),
		true
	FROM retention.shop s
	CROSS JOIN retention.festival_default d
	JOIN retention.festival_day_default y ON y.name = d.name
	WHERE NOT EXISTS (
		SELECT
		FROM retention.festival f
		WHERE f.shop_id = s.shop_id AND f.name = d.name
	);

COMMENT ON VIEW retention.festivals IS 'The festivals and changes of season of each shop, its own and the shipped ones, in its language';
COMMENT ON COLUMN retention.festivals.shop_id IS 'The shop';
COMMENT ON COLUMN retention.festivals.name IS 'Name of the festival, as in the parameter festivals of a rule';
COMMENT ON COLUMN retention.festivals.kind IS 'festival or season (a change of season)';
COMMENT ON COLUMN retention.festivals.day IS 'The day it falls on';
COMMENT ON COLUMN retention.festivals.title IS 'What messages call it';
COMMENT ON COLUMN retention.festivals.greeting IS 'The wish';
COMMENT ON COLUMN retention.festivals.greeted IS 'Whether it is greeted on by a rule that names no festivals';
COMMENT ON COLUMN retention.festivals.shipped IS 'Whether it came with the extension';

GRANT SELECT ON retention.festivals TO retention_reader, retention_operator;
