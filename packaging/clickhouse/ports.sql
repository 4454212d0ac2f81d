-- How many ports of each public address were in use at a time (at, such as 2026-11-27T14:06:00 in UTC)? No address has more than 65,536 of a protocol,
-- but towards different peers one port serves several flows.
SELECT router, proto, addr, uniqExact(port) AS ports, count() AS flows, uniqExact(host) AS hosts
FROM (
	SELECT router, proto, zone, `reply.zone`, `reply.dst` AS addr, `reply.dport` + `reply.icmp_id` AS port, id, any(`orig.src`) AS host, max(time) AS heard
	FROM ctview.events
	WHERE has(status, 'SRC_NAT') AND if(stop = '', time, stop) <= {at:String}
	GROUP BY router, proto, zone, `reply.zone`, `reply.src`, `reply.sport`, addr, port, id
	HAVING argMax(event, concat(time, if(event = 'destroy', '1', '0'))) != 'destroy'
)
ANY LEFT JOIN (
	SELECT router, max(time) AS read FROM ctview.breaks WHERE event = '' AND time <= {at:String} GROUP BY router
) USING router
WHERE heard >= read AND port != 0
GROUP BY router, proto, addr
ORDER BY ports DESC, addr;
