# SPDX-License-Identifier: GPL-2.0-only
#
# The tracing examples of the administrator's guide, as they are in it.
# shellcheck shell=bash disable=SC2154

perf_events_in_use()
{
	[ -n "$(find /proc/[0-9]*/fd -lname '*perf_event*' -print -quit 2> /dev/null)" ]
}

has_traced()	# PATTERN FILE
{
	tail -n 15 "$2"
	grep -q "$1" "$2"
}

group_trace()
{
	local tool pattern line i tracing
	# On a distribution, bpftrace takes these types from the kernel's headers or BTF.
	local -x CPATH=$WORK/include
	mkdir -p "$CPATH/linux"
	cat > "$CPATH/linux/types.h" <<-HEADER
	typedef unsigned char u8, __u8;
	typedef unsigned short u16, __u16;
	typedef unsigned int u32, __u32;
	typedef unsigned long long u64, __u64;
	typedef signed int s32, __s32;
	typedef signed long long s64, __s64;
	typedef _Bool bool;
	typedef int pid_t;
	HEADER
	for tool in trace-cmd perf bpftrace; do
		line=$(sed -nE "s/^  # ($tool .*)/\1/p" "$TOOLS/dax-retarget.rst" | grep -v ib_write_bw)
		line=${line/sleep 60/sleep 20}
		make_file file 1M
		regions -w 1 "$DIR/file"
		( cd "$WORK" && exec timeout -s INT 100 bash -c "$line" ) > "$WORK/$tool" 2>&1 &
		tracer=$!
		tracing=0
		for ((i = 0; i < 100; i++)); do
			fallocate --punch-hole --offset $((i * 4096)) --length 4096 "$DIR/file"
			sleep 1
			kill -0 $tracer 2> /dev/null || break
			# trace-cmd ends by itself; the others end after ten events.
			perf_events_in_use && [ $((++tracing)) = 10 ] && kill -INT $tracer
		done
		wait $tracer
		case $tool in
		bpftrace) pattern='@pages\[.*\]: [1-9]' ;;
		*) pattern='dax_retarget_flush' ;;
		esac
		check "trace: $line" has_traced "$pattern" "$WORK/$tool"
		let_go
	done
}
