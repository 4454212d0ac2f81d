-- Which hosts moved most (after, before: such as 2026-11-27T14:00:00 and 2026-11-27T15:00:00 in UTC)? A flow counts, whole, when it ends.
-- Bytes need nf_conntrack_acct.
SELECT router, `orig.src` AS host, count() AS flows, sum(`orig.bytes`) AS sent, sum(`reply.bytes`) AS received
FROM ctview.events
WHERE event = 'destroy' AND time >= {after:String} AND time < {before:String}
	AND day >= toDate(substring({after:String}, 1, 10)) AND day <= toDate(substring({before:String}, 1, 10))
GROUP BY router, host
ORDER BY sent + received DESC, host
LIMIT 20;
