#!/bin/sh
# What spmsg_statistics_text gives is read by the tool of Prometheus.
#
#   .ci/exposition.sh [target/c-tests]      where the tests were built

set -eu
cd "$(dirname "$0")/.."
build=${1:-target/c-tests}

.ci/install.sh prometheus || { echo "promtool is not there"; exit 77; }
cmake --build "$build" --target beyond-statistics >/dev/null
text=$(mktemp)
trap 'rm -f "$text"' EXIT
LD_LIBRARY_PATH="$build/lib/spmsg" SPMSG_TEST_CASE=the_text_has_every_socket \
    SPMSG_EXPOSITION="$text" "$build/beyond/beyond-statistics"
grep -q '^spmsg_messages_sent_total{' "$text"
promtool check metrics <"$text"
