# SPDX-License-Identifier: GPL-2.0-only
#
# What the scripts of this folder share: where things are, how they report, how
# a step of the set-up is done once.
# shellcheck shell=bash disable=SC2034

VM=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
TOP=$(dirname "$VM")

# Everything that is made lives here, outside the checkout; several checkouts
# may share it.
CACHE=${DAX_RETARGET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dax-retarget}
TREE=$CACHE/linux-6.12			# kernel source: base, series, overlay
# Kernels of other kinds than the guest's own: with more checks (debug, kcsan), with
# counters of lines (coverage), without checks (release). What is built and booted is
# the one that the environment names.
VARIANT=${VARIANT-}
BUILD=$CACHE/build${VARIANT:+-$VARIANT}	# its O= folder
LOGS=$CACHE/logs			# one log a step
STAMPS=$CACHE/stamps			# hash of the inputs each step was done for
IMAGES=$CACHE/images			# what a guest boots, see kernel.sh
RUNS=$CACHE/runs			# a folder for each vm/run
ROOTFS=$CACHE/rootfs.squashfs
# What is made of the product alone, without the patches for tests: a work tree, and
# what is built of it. The places are as those of the guest's kernel are in the cache, so
# that the compiler cache knows what was compiled there.
PRODUCT=$CACHE/product
PACKAGES=$CACHE/packages		# what 'make deb' made
QEMU10=$CACHE/qemu10			# unpacked packages, see qemu.sh
IMAGE=$IMAGES/checkout-$(sha256sum <<<"$TOP" | cut -c1-12)${VARIANT:+-$VARIANT}	# of this checkout

SERIES=$TOP/patches/v6.12
BENCH=$TOP/tools/testing/dax_retarget	# what guests have at /share

# The kinds of machine that a test can run on, as kernel arguments. With "noengine"
# the NIC has no DMA of its own.
declare -A MODES=([on]=dax_retarget=on [off]='' [nonsense]=dax_retarget=nonsense
	[pt]='dax_retarget=on iommu=pt' [noengine]=dax_retarget=on
	[revoke]=dax_retarget=revoke)

# The kinds of IOMMU, as options of QEMU's intel-iommu: scalable mode with first-level
# tables, as today's servers have it; scalable mode with second-level tables; and
# legacy mode
# shellcheck disable=SC2054 # the commas are QEMU's
declare -A IOMMUS=([first]=,x-scalable-mode=on,x-flts=on [scalable]=,x-scalable-mode=on
	[legacy]='')

# A CPU whose machine checks are Intel's, for memory-errors.sh, as arguments of QEMU
INTEL_CPU='-cpu max,vendor=GenuineIntel,family=6,model=85,stepping=4'

[[ $VARIANT =~ ^(|debug|kcsan|coverage|release)$ ]] || {
	echo "VARIANT=$VARIANT: not one of debug, kcsan, coverage, release" >&2
	exit 1
}

# Commits of the set-up itself; a developer's carry his own name.
AS_SETUP=(-c user.name=dax_retarget -c user.email=dax_retarget@localhost -c commit.gpgsign=false)

say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	say "${0##*/}: $*"
	exit 1
}

# Run one of our scripts so that it ends when this one does, however that happens.
guarded()
{
	setpriv --pdeathsig TERM "$@"
}

# The command for a guest that takes steps of guest-lib.sh, one after the other.
guest_script()	# MODE STEP...
{
	echo "MODE=$1"
	echo '. /run/vm/guest-lib.sh'
	shift
	printf 'step %q\n' "$@"
	echo 'exit $status'
}

# The Debian of the guests is the one that runs here, whose libraries the programs are
# built for.
GUEST_SUITE=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
case $GUEST_SUITE in bookworm|trixie) ;; *) GUEST_SUITE=bookworm ;; esac

# The machine's own package sources, as far as they are that Debian's
apt_sources()
{
	apt-get indextargets --format '$(ORIGIN) $(CODENAME) deb $(SITE) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' | sed -nE "s/^Debian ${GUEST_SUITE}[^ ]* //p" | sort -u
}

# ... and its proxy, as options of mmdebstrap, one a line
proxy_options()
{
	apt-config dump | sed -nE '/^Acquire::(http|https)::Proxy/Is/^/--aptopt=/p'
}

# One hash of what is on stdin. The inputs of a step are hashed by content, not by
# the place of a checkout, so that another one finds them done.
hash()
{
	sha256sum | cut -d' ' -f1
}

# hash_folder FOLDER [FIND-ARGUMENT...]: names and contents of the files in it.
hash_folder()
{
	local folder=$1
	shift
	(cd "$folder" && find . "$@" -type f -print0 | sort -z | xargs -0r sha256sum) | hash
}

# The inputs of series.sh.
series_key()
{
	git -C "$TREE" rev-parse base
	hash_folder "$SERIES" -name '*.patch'
}

# Two set-ups at a time would build in the same folders. The descriptor is
# inherited: what a killed set-up leaves running still holds the lock.
lock_cache()
{
	[ -z "${DAX_RETARGET_LOCKED-}" ] || return 0
	mkdir -p "$CACHE"
	exec {cache_lock}>"$CACHE/lock"
	if ! flock -n "$cache_lock"; then
		say "waiting for another set-up or build in $CACHE to finish ..."
		flock "$cache_lock"
	fi
	export DAX_RETARGET_LOCKED=1
}

free_megabytes()
{
	df --output=avail -B1M "$CACHE" | tail -n 1 | tr -d " "
}

elapsed()
{
	printf '%dm%02ds' $((($1) / 60)) $((($1) % 60))
}

# Say now and then how far the step with this log is.
watch_step()	# NAME LOG
{
	local start=$SECONDS pause=60
	[ ! -t 2 ] || pause=2
	while sleep $pause; do
		if [ -t 2 ]; then
			printf '\r\033[K%s: %s  %.50s' "$1" "$(elapsed SECONDS-start)" \
				"$(tail -n 1 "$2" | tr -dc '[:print:]')" >&2
		else
			say "$1: $(elapsed SECONDS-start)"
		fi
	done
}

# watched NAME LOG COMMAND...: run COMMAND with its output in LOG, saying how far
# it is. A signal to this script ends it, with all its children: each of the two
# is a process group. The result is in $status, since testing that of a function
# would switch off 'set -e' in all that it calls.
watched()
{
	local name=$1 log=$2 watcher job
	shift 2
	mkdir -p "$LOGS"
	set -m
	(set -e; "$@") >"$log" 2>&1 </dev/null &
	job=$!
	watch_step "$name" "$log" &
	watcher=$!
	set +m
	trap 'kill -- -$job -$watcher; exit 130' INT TERM HUP
	status=0
	wait "$job" || status=$?
	trap - INT TERM HUP
	kill -- -$watcher
	wait "$watcher" 2>/dev/null || true
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

# step NAME KEY COMMAND...: run COMMAND unless it was done for this KEY, a hash
# of its inputs. Its output is a log, which is named and quoted when it fails.
step()
{
	local name=$1 key=$2 log=$LOGS/$1.log start=$SECONDS status
	shift 2
	[ "$(cat "$STAMPS/$name" 2>/dev/null)" != "$key" ] || return 0

	mkdir -p "$STAMPS"
	rm -f "$STAMPS/$name"
	say "$name ... (log: $log)"
	watched "$name" "$log" "$@"
	if [ $status != 0 ]; then
		say "$name failed; the end of $log:"
		tail -n 15 "$log" | sed 's/^/  /' >&2
		if [ "$(free_megabytes)" -lt 10 ] || grep -q 'No space left on device' "$log"; then
			say "The disk is full: $(free_megabytes) MB left in $CACHE"
		fi
		exit 1
	fi
	echo "$key" > "$STAMPS/$name"
	say "$name: done in $(elapsed SECONDS-start)"
}
