# SPDX-License-Identifier: GPL-2.0-only
#
# How a test run is put together from parts, each a program that speaks TAP, and
# its last line; sourced by those that run several. A guest rarely keeps a whole
# machine busy, so some parts run at a time.
# shellcheck shell=bash

results=$LOGS/${0##*/}${VARIANT:+-$VARIANT}.tap
bench=$TOP/tools/testing/dax_retarget
# Arguments of QEMU for more devices than a message of the kernel has room for
# shellcheck disable=SC2034
many_devices=$(printf -- '-device virtio-rng-pci,multifunction=on,addr=%s ' {10,11,12}.{0..7})

# What may be skipped, by its reason, a regular expression. A test that is skipped
# where it should run would hide for ever what it tests.
may_skip='^$'

PARALLEL=${PARALLEL:-2}
[[ $PARALLEL =~ ^[1-9][0-9]*$ ]] || die "PARALLEL=$PARALLEL: not a number of parts at a time"

# part NAME COMMAND...: run COMMAND, keep its TAP, as soon as its turn comes
parts=0
part()
{
	parts=$((parts + 1))
	while [ "$(jobs -rp | wc -l)" -ge "$PARALLEL" ]; do
		wait -n || true
	done
	# Not guarded(), so that it is this process that it goes with.
	setpriv --pdeathsig TERM "$VM/part.sh" "$results" "$may_skip" "$@" &
}

# The second NVDIMM is for a device-dax namespace.
guest()	# NAME vm/run-argument...
{
	local name=$1
	shift
	part "guest, $name" "$VM/run" --share "$bench" --nvdimm 512M --nvdimm 64M "$@"
}

sum()
{
	wait
	# One that was killed said nothing of itself
	awk -v parts=$parts '
	/^== / { ended++ }
	/^ok .*# SKIP/ || /^1\.\.0 # SKIP/ { skipped++; next }
	/^ok / { passed++ }
	/^(not ok|Bail out!)/ { failed++ }
	END { if (ended != parts) {
		print "not ok 1 " parts - ended " of " parts " parts did not end"
		failed++
	      }
	      printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }
	' "$results"
}
