-- Which flows lasted longer than that (seconds, such as 86400), up to a time (at, such as 2026-11-27T14:06:00 in UTC)? Those that ended need
-- nf_conntrack_timestamp; of those that had not, the time counts from their NEW, or from when ctview found them.
SELECT router, proto, src, sport, dst, dport, since, until,
	toUnixTimestamp(parseDateTimeBestEffort(if(until = '', {at:String}, until))) - toUnixTimestamp(parseDateTimeBestEffort(since)) AS lasted
FROM (
	SELECT router, proto, `orig.src` AS src, `orig.sport` AS sport, `orig.dst` AS dst, `orig.dport` AS dport, start AS since, stop AS until,
		time AS heard
	FROM ctview.events
	WHERE event = 'destroy' AND start != '' AND stop != '' AND stop <= {at:String}
	UNION ALL
	SELECT router, proto, `orig.src` AS src, `orig.sport` AS sport, `orig.dst` AS dst, `orig.dport` AS dport,
		if(max(if(event = 'new', time, start)) = '', min(time), max(if(event = 'new', time, start))) AS since, '' AS until, max(time) AS heard
	FROM ctview.events
	WHERE event != 'lost' AND if(stop = '', time, stop) <= {at:String}
	GROUP BY router, proto, zone, `orig.zone`, src, sport, dst, dport, id
	HAVING argMax(event, concat(time, if(event = 'destroy', '1', '0'))) != 'destroy'
)
ANY LEFT JOIN (
	SELECT router, max(time) AS read FROM ctview.breaks WHERE event = '' AND time <= {at:String} GROUP BY router
) USING router
WHERE lasted > {seconds:UInt32} AND (until != '' OR heard >= read)
ORDER BY lasted DESC;
