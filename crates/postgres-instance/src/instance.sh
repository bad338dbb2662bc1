# A database server of its own in a temporary folder, over a socket there alone, until the input ends: whoever
# started it may stop in any way at all.
bin=
for found in /usr/lib/postgresql/*/bin $(dirname "$(readlink -f "$(command -v initdb)" 2>/dev/null)" 2>/dev/null); do
    [ -x "$found/initdb" ] && [ -x "$found/pg_isready" ] && bin=$found
done
if [ -z "$bin" ]; then
    echo "missing"
    exit 1
fi
# In memory where there is plenty of it: to copy and to remove the folder takes longer on a disk than a test does.
at=${TMPDIR:-/tmp}
[ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 2000000 ] 2>/dev/null && at=/dev/shm
folder=$(mktemp -d -p "$at")
trap 'rm -rf "$folder"' EXIT
# To make a cluster takes as long as most tests, so one is made for all of them and copied.
kept=${TMPDIR:-/tmp}/tenantry-cluster-$(id -u)-$("$bin/postgres" --version | tr -c 'A-Za-z0-9.\n' -)-1MB
exec 9>"$kept.lock" && flock 9
if [ ! -O "$kept/whole" ]; then
    rm -rf "$kept" && mkdir -m 700 "$kept" &&
        "$bin/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C \
            --wal-segsize=1 -D "$kept/data" \
            >"$folder/log" 2>&1 && touch "$kept/whole"
fi
exec 9>&-
[ -O "$kept" ] && cp -a "$kept/data" "$folder/data"
# The texts of statements are kept, as many servers keep them.
kept_texts=
[ -e "$("$bin/pg_config" --pkglibdir 2>/dev/null)/pg_stat_statements.so" ] && kept_texts=pg_stat_statements
# One that is reached across a network has certificates, and a port.
set -- -h ''
if [ -n "${TLS_PORT:-}" ]; then
    umask 077
    printf '%s' "$TLS_CERTIFICATE" >"$folder/certificate.pem"
    printf '%s' "$TLS_KEY" >"$folder/key.pem"
    printf '%s' "$TLS_AUTHORITY" >"$folder/authority.pem"
    printf 'local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n' >"$folder/hba"
    set -- -h 127.0.0.1 -p "$TLS_PORT" -c ssl=on -c ssl_cert_file="$folder/certificate.pem" \
        -c ssl_key_file="$folder/key.pem" -c ssl_ca_file="$folder/authority.pem" -c hba_file="$folder/hba"
fi
"$bin/postgres" -D "$folder/data" -k "$folder" "$@" -c fsync=off -c full_page_writes=off -c shared_buffers=32MB \
    -c shared_preload_libraries="$kept_texts" -c max_connections=160 -c max_wal_size=256MB -c autovacuum=off >>"$folder/log" 2>&1 </dev/null &
server=$!
for _ in $(seq 300); do
    "$bin/pg_isready" -q -h "$folder" -p "${TLS_PORT:-5432}" && break
    sleep 0.05
done
echo "$folder"
cat >/dev/null
kill -QUIT "$server"
wait "$server"
