#!/bin/sh
# Golden tests of the command line: run.sh [--update] [NAME...]
#
# cases/NAME.sh runs in an empty folder. Its exit code is compared with cases/NAME.exit (0 where there is none), its output with
# cases/NAME.stdout and cases/NAME.stderr (empty where there is none). In these files `*` stands for any text within a line,
# and a line of three dots for any number of lines. --update writes the exact output instead of comparing. A case that cannot
# run here says why and exits with 77.
set -u
root=$(cd "$(dirname "$0")" && pwd)
: "${SINQ_PROGRAM:?is the program to test}" "${SINQ_EXAMPLE:?is the example model}"
export SINQ_CLI="$root"
export LC_ALL=C TERM=dumb SINQ_DEVICE=cpu
unset NO_COLOR SINQ_CPU OMP_NUM_THREADS POSIXLY_CORRECT

update=
if [ "${1-}" = --update ]; then
    update=1
    shift
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sinq-cli.XXXXXX")
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

# All cases: as many at once as SINQ_JOBS says, each job with its share of them.
if [ $# = 0 ]; then
    for file in "$root"/cases/*.sh; do set -- "$@" "$(basename "$file" .sh)"; done
    jobs=${SINQ_JOBS:-1}
    [ -z "$update" ] || jobs=1
    if [ "$jobs" -gt 1 ]; then
        job=0
        pids=
        while [ $job -lt "$jobs" ]; do
            share=$(printf '%s\n' "$@" | awk -v job=$job -v jobs="$jobs" 'NR % jobs == job')
            # shellcheck disable=SC2086 # names of cases are words
            [ -z "$share" ] || { sh "$0" $share >"$scratch/job$job" 2>&1 & pids="$pids $!"; }
            job=$((job + 1))
        done
        failed=0
        for pid in $pids; do wait "$pid" || failed=1; done
        cat "$scratch"/job*
        exit $failed
    fi
fi
failed=0
skipped=0

# matches EXPECTED FOUND: whether the lines of one file fit the patterns of the other.
matches() {
    awk '
        function translate(line) {
            gsub(/[][\\.^$+?(){}|\/]/, "\\\\&", line)
            gsub(/\*/, ".*", line)
            return "^" line "$"
        }
        function fits(p, l) {
            for (; p <= patterns; p++) {
                if (pattern[p] == "...") {
                    for (; l <= lines + 1; l++) if (fits(p + 1, l)) return 1
                    return 0
                }
                if (l > lines || line[l] !~ translate(pattern[p])) return 0
                l++
            }
            return l > lines
        }
        FILENAME == ARGV[1] { pattern[++patterns] = $0; next }
        { line[++lines] = $0 }
        END { exit !fits(1, 1) }
    ' "$1" "$2"
}

# compare NAME STREAM: sets `bad` and shows what differs.
compare() {
    expected=$root/cases/$1.$2
    [ -e "$expected" ] || expected=/dev/null
    found=$scratch/$2
    if [ -n "$update" ]; then
        rm -f "$root/cases/$1.$2"
        [ ! -s "$found" ] || cp "$found" "$root/cases/$1.$2"
    elif ! matches "$expected" "$found"; then
        echo "$1: $2 differs (- expected, + found)"
        diff -u "$expected" "$found" | sed 1,2d
        bad=1
    fi
}

for name in "$@"; do
    rm -rf "$scratch/work"
    mkdir "$scratch/work"
    code=0
    (cd "$scratch/work" && sh "$root/cases/$name.sh") >"$scratch/stdout" 2>"$scratch/stderr" </dev/null || code=$?
    chmod -R u+w "$scratch/work"
    if [ $code = 77 ]; then
        skipped=$((skipped + 1))
        echo "SKIPPED: $name: $(head -n 1 "$scratch/stdout")"
        continue
    fi
    wanted=0
    [ ! -e "$root/cases/$name.exit" ] || wanted=$(cat "$root/cases/$name.exit")
    bad=
    if [ -n "$update" ]; then
        rm -f "$root/cases/$name.exit"
        [ $code = 0 ] || echo $code >"$root/cases/$name.exit"
    elif [ $code != "$wanted" ]; then
        echo "$name: exit code $code, expected $wanted"
        bad=1
    fi
    compare "$name" stdout
    compare "$name" stderr
    [ -z "$bad" ] || failed=$((failed + 1))
done
echo "cli: $# cases, $failed failed, $skipped skipped"
[ $failed = 0 ]
