# SPDX-License-Identifier: GPL-2.0-only
#
# What the shell scripts of these tests share: TAP beyond the kernel's
# ktap_helpers.sh, the test switches of CONFIG_DAX_RETARGET_TEST, and the
# differences between file systems. To be sourced.
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/../kselftest/ktap_helpers.sh"

test_switches=/sys/kernel/debug/dax_retarget

# Text as comment lines of TAP.
ktap_comment()	# < TEXT
{
	sed 's/^\(# \?\)\?/# /'
}

# ktap_test_skip() takes no reason. A name or reason may come from another
# program, so wildcards in it stay what they are.
ktap_skip()	# NAME REASON
{
	local -
	set -f
	__ktap_test ok "$1" "SKIP $2"
	KTAP_CNT_SKIP=$((KTAP_CNT_SKIP + 1))
}

# The results of a program become results of the script, under new numbers. All
# other lines of the program become comment.
ktap_report()	# PREFIX < OUTPUT
{
	local - line name
	set -f
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not\ ok)\ [0-9]+\ (.*) ]]; then
			name="$1: ${BASH_REMATCH[2]}"
			case ${BASH_REMATCH[1]},$name in
			ok,*'# SKIP'*) ktap_skip "${name%%# SKIP*}" "${name#*# SKIP}" ;;
			ok,*) ktap_test_pass "$name" ;;
			*) ktap_test_fail "$name" ;;
			esac
		elif [[ $line =~ ^1\.\.0\ #\ SKIP(.*) ]]; then
			ktap_skip "$1" "${BASH_REMATCH[1]}"
		elif [[ ! $line =~ ^(TAP\ version|1\.\.|#\ Totals) ]]; then
			echo "# ${line#\# }"
		fi
	done
}

# Run a program and report its results. A program that reports none fails, as does
# one that ends with an error but reports no failure.
ktap_run()	# PREFIX COMMAND...
{
	local prefix=$1 reported=$KTAP_TESTNO failed=$KTAP_CNT_FAIL status=0 output
	shift

	output=$(mktemp)
	"$@" > "$output" 2>&1 || status=$?
	ktap_report "$prefix" < "$output"
	rm -f "$output"
	if [ "$KTAP_TESTNO" = "$reported" ] ||
	   { [ $status != 0 ] && [ $status != "$KSFT_SKIP" ] &&
	     [ "$KTAP_CNT_FAIL" = "$failed" ]; }; then
		ktap_test_fail "$prefix: ended with status $status"
	fi
}

# ktap_test_result() splits arguments at spaces, and lets the command print between
# the results; check() shows the end of what a command printed that failed. The
# command runs in this shell, so it can wait for children of the script.
check()		# NAME COMMAND...
{
	local name=$1 status=0 output
	shift

	output=$(mktemp)
	"$@" > "$output" 2>&1 || status=$?
	if [ $status = 0 ]; then
		ktap_test_pass "$name"
	else
		ktap_comment <<< "failed with status $status: $*"
		tail -n 40 "$output" | ktap_comment
		ktap_test_fail "$name"
	fi
	rm -f "$output"
}

same()		# NAME EXPECTED SEEN
{
	if [ "$2" = "$3" ]; then
		ktap_test_pass "$1"
	else
		ktap_comment <<< "expected: $2"
		ktap_comment <<< "seen: $3"
		ktap_test_fail "$1"
	fi
}

# The plan comes last, since results of other programs are not known before.
ktap_end()
{
	ktap_set_plan $((KTAP_TESTNO - 1))
	ktap_finished
}

can_break()
{
	[ -w $test_switches/break/hook ]
}

# Run a command while the kernel leaves step NAME out. The names are those of the
# files in break/.
with_broken()	# NAME COMMAND...
{
	local switch=$test_switches/break/$1 status=0
	shift

	echo 1 > "$switch" || ktap_exit_fail_msg "cannot write to $switch"
	"$@" || status=$?
	echo 0 > "$switch"
	return $status
}

# The kernel leaves no step out any more.
mend()
{
	local switch

	can_break || return 0
	for switch in $test_switches/break/*; do
		echo 0 > "$switch"
	done
}

dax_option()	# TYPE
{
	case $1 in
	ext2) echo dax ;;	# ext2 does not know the other word
	*) echo dax=always ;;
	esac
}

check_file_system()	# TYPE DEVICE
{
	case $1 in
	xfs) xfs_repair -n "$2" ;;
	*) e2fsck -fn "$2" ;;
	esac
}

# Exchange of ranges is off by default, and older programs do not know it. It takes
# one bit of the superblock, which programs that check the file system refuse.
xfs_exchange_range()	# on|off DEVICE
{
	local features

	features=$(xfs_db -x -c 'sb 0' -c 'print features_incompat' "$2" 2> /dev/null |
		sed -n 's/^features_incompat = //p')
	case $1 in
	on) features=$((features | 0x40)) ;;
	off) features=$((features & ~0x40)) ;;
	esac
	features=$(printf 0x%x "$features")
	xfs_db -x -c 'sb 0' -c "write -d features_incompat $features" "$2"
}
