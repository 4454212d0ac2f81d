#!/bin/sh
# usage: load.sh DIRECTORY [OPTION of clickhouse-client…]
# Hands the finished files of a directory (*.json) to ClickHouse with this router's name, and takes away those that it has: what
# cannot be handed over stays for the next time.
set -eu
directory=$1
shift
for file in "$directory"/*.json; do
	[ -e "$file" ] || continue
	sed "s/^{/{\"router\":\"$(uname -n)\",/" "$file" | clickhouse-client "$@" --input_format_import_nested_json=1 \
		--input_format_skip_unknown_fields=1 --query 'INSERT INTO ctview.events FORMAT JSONEachRow'
	rm "$file"
done
