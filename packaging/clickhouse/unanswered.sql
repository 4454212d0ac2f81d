-- Where did flows go that ended (after, before) and never got an answer?
SELECT router, proto, `orig.dst` AS dst, `orig.dport` AS dport, count() AS flows, uniqExact(`orig.src`) AS hosts
FROM ctview.events
WHERE event = 'destroy' AND notEmpty(status) AND NOT has(status, 'SEEN_REPLY')
	AND time >= {after:String} AND time < {before:String}
	AND day >= toDate(substring({after:String}, 1, 10)) AND day <= toDate(substring({before:String}, 1, 10))
GROUP BY router, proto, dst, dport
ORDER BY flows DESC, dst, dport;
