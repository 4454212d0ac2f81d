-- The events of ctview events -o json --dump, a row each: docs/fleet.md.
-- INSERT INTO ctview.events FORMAT JSONEachRow, with input_format_import_nested_json=1 and input_format_skip_unknown_fields=1.
CREATE DATABASE IF NOT EXISTS ctview;

CREATE TABLE IF NOT EXISTS ctview.events (
	router String,                 -- which it was; whoever ships the lines adds it
	event String,                  -- new, update, destroy, lost; '': the flow was there when ctview began (--dump)
	time String,                   -- RFC 3339 in UTC with nanoseconds: in the order of text is in the order of time
	family String,
	proto String,
	state String,
	status Array(String),          -- SEEN_REPLY, ASSURED, SRC_NAT, DST_NAT, …
	`orig.src` String, `orig.dst` String, `orig.sport` UInt16, `orig.dport` UInt16, `orig.icmp_id` UInt16,
	`orig.packets` Nullable(UInt64), `orig.bytes` Nullable(UInt64),   -- NULL: the kernel did not count
	`orig.zone` UInt16,
	`reply.src` String, `reply.dst` String, `reply.sport` UInt16, `reply.dport` UInt16, `reply.icmp_id` UInt16,
	`reply.packets` Nullable(UInt64), `reply.bytes` Nullable(UInt64),
	`reply.zone` UInt16,
	zone UInt16,
	mark UInt32,
	id UInt32,
	helper String,
	start String,                  -- '' unless nf_conntrack_timestamp was 1
	stop String,
	lost UInt64,                   -- of event lost: how many, 0 where the kernel does not say
	day Date MATERIALIZED toDate(substring(time, 1, 10))
) ENGINE = MergeTree PARTITION BY day ORDER BY (`reply.dst`, `reply.dport`, time);

-- When events were lost, and when ctview began anew and read the table: few rows, which tell what the others are worth.
CREATE MATERIALIZED VIEW IF NOT EXISTS ctview.breaks ENGINE = MergeTree PARTITION BY tuple() ORDER BY (router, time) AS
SELECT router, time, event, max(lost) AS lost FROM ctview.events WHERE event IN ('', 'lost') GROUP BY router, time, event;
