# A pooler of its own before the database server whose socket is in $SERVER, by transaction and with few connections,
# so that one transaction's are the next one's of somebody else. It ends with the input.
pooler=$(PATH=$PATH:/usr/sbin command -v pgbouncer) || {
    echo "missing"
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
echo '"postgres" ""' >"$folder/users"
cat >"$folder/settings" <<SETTINGS
[databases]
* = host=$SERVER
[pgbouncer]
unix_socket_dir = $folder
listen_port = 5432
auth_type = trust
auth_file = $folder/users
auth_user = postgres
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = \$1
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
logfile = $folder/log
SETTINGS
"$pooler" -q "$folder/settings" >/dev/null 2>&1 </dev/null &
child=$!
for _ in $(seq 100); do
    [ -S "$folder/.s.PGSQL.5432" ] && break
    sleep 0.02
done
echo "$folder"
cat >/dev/null
# A shell has what it starts in the background ignore the gentler signals.
kill -TERM "$child"
wait "$child"
