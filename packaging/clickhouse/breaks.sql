-- What is not known of a time (after, before)? Losses, and when ctview began anew: what it did not hear before that is in no row.
SELECT router, time, if(event = '', 'began', event) AS what, lost FROM ctview.breaks
WHERE time >= {after:String} AND time < {before:String}
ORDER BY router, time;
