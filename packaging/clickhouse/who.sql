-- Who had this public address and port (addr, port) at that time (at, such as 2026-11-27T14:06:00 in UTC)?
-- in_zone is the host's zone: the same address may stand in several. A row for each flow: Linux gives a port to several hosts at once as long as what they talk to differs.
SELECT router, in_zone, proto, host, port, peer, peer_port, since, heard
FROM (
	-- A flow is its reply tuple and its ID. At one time its end comes last.
	SELECT router, proto, zone + `orig.zone` AS in_zone, `reply.zone`, `reply.src` AS peer, `reply.sport` AS peer_port, id,
		any(`orig.src`) AS host, any(`orig.sport`) AS port, max(time) AS heard,
		-- A tuple that ends and begins again mostly keeps its ID: the last beginning counts.
		if(max(if(event = 'new', time, start)) = '', min(time), max(if(event = 'new', time, start))) AS since
	FROM ctview.events
	WHERE `reply.dst` = {addr:String} AND `reply.dport` = {port:UInt16} AND if(stop = '', time, stop) <= {at:String}
	GROUP BY router, proto, in_zone, `reply.zone`, peer, peer_port, id
	HAVING argMax(event, concat(time, if(event = 'destroy', '1', '0'))) != 'destroy'
)
-- What the last reading of the table did not find had ended while nobody listened.
ANY LEFT JOIN (
	SELECT router, max(time) AS read FROM ctview.breaks WHERE event = '' AND time <= {at:String} GROUP BY router
) USING router
WHERE heard >= read
ORDER BY router, proto, since;
