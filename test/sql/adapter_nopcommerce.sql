-- attach_shop('nopcommerce'): nopCommerce's tables, whose names need quoting
-- and whose states are numbers, written in the order in which its services do.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA nop;
SET search_path = nop;

-- As nopCommerce 4.70 makes them, columns that nothing here reads left out.
CREATE TABLE "Store" ("Id" serial PRIMARY KEY, "Name" varchar(400) NOT NULL);
CREATE TABLE "Currency" ("Id" serial PRIMARY KEY, "CurrencyCode" varchar(5) NOT NULL);
CREATE TABLE "Setting" ("Id" serial PRIMARY KEY, "Name" varchar(200) NOT NULL, "Value" text NOT NULL, "StoreId" integer NOT NULL);
CREATE TABLE "StateProvince" ("Id" serial PRIMARY KEY, "Name" varchar(100) NOT NULL);
CREATE TABLE "Address" ("Id" serial PRIMARY KEY, "FirstName" text, "LastName" text, "Email" text, "City" text, "StateProvinceId" integer, "PhoneNumber" text);
CREATE TABLE "Customer" (
	"Id" serial PRIMARY KEY, "Email" varchar(1000), "FirstName" varchar(1000), "LastName" varchar(1000), "DateOfBirth" timestamp, "Phone" varchar(1000), "BillingAddress_Id" integer,
	"Active" boolean NOT NULL DEFAULT true, "Deleted" boolean NOT NULL DEFAULT false, "IsSystemAccount" boolean NOT NULL DEFAULT false, "CreatedOnUtc" timestamp NOT NULL
);
CREATE TABLE "Order" (
	"Id" serial PRIMARY KEY, "CustomOrderNumber" text NOT NULL, "StoreId" integer NOT NULL, "CustomerId" integer NOT NULL, "BillingAddressId" integer NOT NULL, "ShippingAddressId" integer,
	"OrderStatusId" integer NOT NULL, "ShippingStatusId" integer NOT NULL, "PaymentStatusId" integer NOT NULL, "CustomerCurrencyCode" text, "CurrencyRate" numeric(18,4) NOT NULL,
	"OrderTotal" numeric(18,4) NOT NULL, "RefundedAmount" numeric(18,4) NOT NULL DEFAULT 0, "PaidDateUtc" timestamp, "Deleted" boolean NOT NULL DEFAULT false, "CreatedOnUtc" timestamp NOT NULL
);
CREATE TABLE "OrderItem" ("Id" serial PRIMARY KEY, "OrderId" integer NOT NULL, "ProductId" integer NOT NULL, "Quantity" integer NOT NULL, "PriceInclTax" numeric(18,4) NOT NULL);
CREATE INDEX ON "OrderItem" ("OrderId");
CREATE TABLE "Shipment" ("Id" serial PRIMARY KEY, "OrderId" integer NOT NULL, "ShippedDateUtc" timestamp, "DeliveryDateUtc" timestamp);
CREATE INDEX ON "Shipment" ("OrderId");
CREATE TABLE "Product" ("Id" serial PRIMARY KEY, "Sku" varchar(400));
CREATE TABLE "ProductReview" ("Id" serial PRIMARY KEY, "CustomerId" integer NOT NULL, "ProductId" integer NOT NULL, "Title" text, "ReviewText" text, "Rating" integer NOT NULL, "CreatedOnUtc" timestamp NOT NULL);
INSERT INTO "Store" ("Name") VALUES ('Your store');
INSERT INTO "Currency" ("CurrencyCode") VALUES ('EUR'), ('USD');
INSERT INTO "Setting" ("Name", "Value", "StoreId") VALUES ('currencysettings.primarystorecurrencyid', '2', 0);
INSERT INTO "StateProvince" ("Name") VALUES ('Ohio');
INSERT INTO "Product" ("Sku") VALUES ('TEA'), (NULL);
CREATE FUNCTION utc() RETURNS timestamp LANGUAGE sql AS $$SELECT retention.now() AT TIME ZONE 'UTC'$$;

SELECT part, relation, attached_as, outcome FROM retention.attach_shop('nopCommerce');
SELECT name, currency FROM retention.shop;
UPDATE retention.shop SET time_zone = 'Asia/Shanghai';
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''nopcommerce'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- A guest: pays later, two shipments, delivered, refunded
-- ---------------------------------------------------------------------------

INSERT INTO "Customer" ("CreatedOnUtc", "Email", "IsSystemAccount") VALUES (utc(), 'bot@example.org', true), (utc(), NULL, false);
INSERT INTO "Address" ("FirstName", "LastName", "Email", "City", "StateProvinceId", "PhoneNumber") VALUES ('Mei', 'Lin', 'mei@example.org', 'Akron', 1, '330');
UPDATE "Customer" SET "BillingAddress_Id" = 1 WHERE "Id" = 2;
-- In euro for the buyer; kept in the store's own currency.
INSERT INTO "Order" ("CustomOrderNumber", "StoreId", "CustomerId", "BillingAddressId", "OrderStatusId", "ShippingStatusId", "PaymentStatusId", "CustomerCurrencyCode", "CurrencyRate", "OrderTotal", "CreatedOnUtc")
VALUES ('', 1, 2, 1, 10, 20, 10, 'EUR', 0.9, 50, utc());
UPDATE "Order" SET "CustomOrderNumber" = '1' WHERE "Id" = 1;
INSERT INTO "OrderItem" ("OrderId", "ProductId", "Quantity", "PriceInclTax") VALUES (1, 1, 2, 40), (1, 2, 1, 10);
:life '1' :end
UPDATE "Order" SET "PaymentStatusId" = 20 WHERE "Id" = 1;
:life '1' :end
SET retention.clock = '2024-05-01 13:00+00';
UPDATE "Order" SET "PaymentStatusId" = 30, "PaidDateUtc" = utc() WHERE "Id" = 1;
UPDATE "Order" SET "OrderStatusId" = 20 WHERE "Id" = 1;
:life '1' :end
SELECT placed_at, paid_at FROM retention.purchase;
SET retention.clock = '2024-05-02 12:00+00';
INSERT INTO "Shipment" ("OrderId", "ShippedDateUtc") VALUES (1, utc()), (1, NULL);
UPDATE "Order" SET "ShippingStatusId" = 25 WHERE "Id" = 1;
:life '1' :end
UPDATE "Shipment" SET "ShippedDateUtc" = utc() WHERE "Id" = 2;
UPDATE "Order" SET "ShippingStatusId" = 30 WHERE "Id" = 1;
:life '1' :end
SET retention.clock = '2024-05-03 12:00+00';
UPDATE "Shipment" SET "DeliveryDateUtc" = utc();
UPDATE "Order" SET "ShippingStatusId" = 40 WHERE "Id" = 1;
UPDATE "Order" SET "OrderStatusId" = 30 WHERE "Id" = 1;
:life '1' :end
UPDATE "Order" SET "RefundedAmount" = 10.5, "PaymentStatusId" = 35 WHERE "Id" = 1;
:life '1' :end
UPDATE "Order" SET "RefundedAmount" = 50, "PaymentStatusId" = 40 WHERE "Id" = 1;
:life '1' :end

-- ---------------------------------------------------------------------------
-- A registered customer: edited, cancelled, voided, deleted
-- ---------------------------------------------------------------------------

INSERT INTO "Customer" ("Email", "FirstName", "LastName", "DateOfBirth", "Phone", "CreatedOnUtc") VALUES ('li@example.org', 'Li', 'Wang', '1990-05-06', '331', '2024-05-01 08:00');
INSERT INTO "Order" ("CustomOrderNumber", "StoreId", "CustomerId", "BillingAddressId", "OrderStatusId", "ShippingStatusId", "PaymentStatusId", "CurrencyRate", "OrderTotal", "PaidDateUtc", "CreatedOnUtc")
VALUES ('2', 1, 3, 1, 20, 20, 30, 1, 60, utc(), utc()), ('3', 1, 3, 1, 10, 20, 10, 1, 20, NULL, utc()), ('4', 1, 3, 1, 20, 20, 20, 1, 30, NULL, utc()), ('5', 1, 3, 1, 30, 10, 30, 1, 5, utc(), utc());
:life '2' :end
-- The shopkeeper takes an item off; there is no table of payments.
UPDATE "Order" SET "OrderTotal" = 45 WHERE "Id" = 2;
:life '2' :end
UPDATE "Order" SET "OrderStatusId" = 40 WHERE "Id" = 2;
:life '2' :end
UPDATE "Order" SET "RefundedAmount" = 45, "PaymentStatusId" = 40 WHERE "Id" = 2;
:life '2' :end
UPDATE "Order" SET "OrderStatusId" = 40 WHERE "Id" = 3;
:life '3' :end
UPDATE "Order" SET "PaymentStatusId" = 50, "OrderStatusId" = 40 WHERE "Id" = 4;
:life '4' :end
-- A download: complete at once.
:life '5' :end
-- Deleted, softly: what was completed is kept, the rest is gone.
UPDATE "Order" SET "Deleted" = true WHERE "Id" IN (3, 5);
:life '3' :end
:life '5' :end

INSERT INTO "ProductReview" ("CustomerId", "ProductId", "Title", "ReviewText", "Rating", "CreatedOnUtc") VALUES (3, 1, 'Weak', 'No taste', 2, utc());
SELECT customer_id, score, content, happened_at FROM retention.feedback;
SELECT customer_id, name, birthday, phone, email, joined_at, attributes FROM retention.customer ORDER BY 1;
UPDATE "Customer" SET "Deleted" = true WHERE "Id" = 3;
SELECT customer_id, phone, email FROM retention.customer WHERE customer_id = '3';
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
SELECT order_id, channel, attributes FROM retention.purchase ORDER BY 1;

-- nopCommerce does not date a cancellation; a backfill does not know of what was deleted.
\set system nopcommerce
\i test/include/adapter_end.sql
SET client_min_messages = warning;
DROP SCHEMA nop CASCADE;
