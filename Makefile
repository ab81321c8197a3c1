# SPDX-License-Identifier: GPL-2.0-only
#
# Entry points. What they do is in vm/; what they build is outside the checkout,
# in $(DAX_RETARGET_CACHE) or ~/.cache/dax-retarget.

# A guest does not outlive the make that started it, even if that is killed.
guard := setpriv --pdeathsig TERM

# How 'make vm' and 'make shell' are told what to do.
vm_options = $(if $(APPEND),--append '$(APPEND)') $(if $(FS),--fs '$(FS)') \
	$(if $(SHARE),--share '$(SHARE)') $(if $(MEMORY),--memory '$(MEMORY)') \
	$(if $(LIMIT),--limit '$(LIMIT)')
# As they are written: a $ in them is the guest's shell's, or of a regular expression.
override CMD := $(value CMD)
override ONLY := $(value ONLY)
export CMD ONLY KERNEL_SRC RANDOM_STEPS SEED TIME CUTS FUZZ PINS

.PHONY: help demo test check check-debug check-kcsan coverage lint model kunit bench stress power-cut series deb check-deb vm shell kernel rootfs refresh-patches clean

help:
	@echo "make demo             show the whole idea in one transcript"
	@echo "make test T=truncate  one selftest, or several, in a guest"
	@echo "     with FS=xfs|ext4|ext2|none MODE=on|off|revoke|pt|nonsense|noengine ARGS='...'"
	@echo "     LIMIT=seconds; without T= it lists them"
	@echo "make check            run all tests; the last line is the sum"
	@echo "     with ONLY=regex the parts whose names match, PARALLEL=N parts at a time (2),"
	@echo "     both also of the next three"
	@echo "     RANDOM_STEPS=N operations of the equivalence test (1500), TIME=seconds of"
	@echo "     each stress (40), CUTS=N power cuts (3), SEED=N,"
	@echo "     FUZZ=N malformed messages (20000), PINS=N regions listed (2000)"
	@echo "make check-debug      the tests under KASAN, kmemleak, DMA API debugging and more"
	@echo "make check-kcsan      the same under KCSAN, which looks for data races in our files"
	@echo "     with TIME=seconds of each stress (120) SEED=N"
	@echo "make coverage         which lines of our kernel files the tests reach, by gcov"
	@echo "make lint             build variants, sparse, checkpatch, kernel-doc"
	@echo "make model            check the model of the protocol, and its broken variants"
	@echo "make kunit            the KUnit tests, in a guest"
	@echo "make bench            what it costs: rows with goals, and plots"
	@echo "     with OUT=folder SET=check|default|full ONLY=regex of its guests"
	@echo "make stress           many processes register, write, punch, delete, die"
	@echo "     with TIME=seconds (120) SEED=N JOBS=N FS=xfs|ext4"
	@echo "make power-cut        cut the power of a guest at random points, boot, check"
	@echo "     with CUTS=N (100), SEED=N"
	@echo "make deb              Debian packages: the kernel with the feature, and the command"
	@echo "     with CONFIG=file (of the running kernel) OUT=folder"
	@echo "make check-deb        install the packages into a Debian and boot from it; no part of"
	@echo "                      make check, which has no time for it"
	@echo "make series           the product as a series for 'git am', with a cover letter"
	@echo "     with OUT=folder CHECK=1 (each commit builds, checkpatch)"
	@echo "make vm CMD='...'     run a command in the guest"
	@echo "make shell            an interactive guest"
	@echo "     with APPEND='kernel arguments' FS=xfs|ext4|ext2|none SHARE=folder"
	@echo "     MEMORY=2G LIMIT=seconds; more in vm/run --help"
	@echo "make kernel, rootfs   only the set-up, which all of the above but model include"
	@echo "make refresh-patches  patches/ from the commits in the kernel tree"
	@echo "make clean            remove what was built (not the kernel tree)"
	@echo
	@echo "KERNEL_SRC=DIR        a 6.12 tree of your own, which is copied, in place of"
	@echo "                      the package linux-source-6.12"
	@echo "DAX_RETARGET_CACHE=   the folder for all that is made (default: in ~/.cache)"

demo:
	@$(guard) vm/setup.sh
	@$(guard) vm/demo.sh

test:
	@$(guard) vm/test.sh $(if $(FS),--fs '$(FS)') $(if $(MODE),--mode '$(MODE)') \
		$(if $(LIMIT),--limit '$(LIMIT)') $(if $(ARGS),--arguments '$(ARGS)') $(T)

check:
	@$(guard) vm/check.sh --only "$$ONLY" check

check-debug:
	@$(guard) vm/check.sh --only "$$ONLY" debug

check-kcsan:
	@$(guard) vm/check.sh --only "$$ONLY" kcsan

coverage:
	@$(guard) vm/check.sh --only "$$ONLY" coverage

lint:
	@$(guard) vm/lint.sh

bench:
	@$(guard) vm/bench.sh $(if $(OUT),--out '$(OUT)') $(if $(SET),--set '$(SET)') \
		--only "$$ONLY"

# The guest needs some more, to begin and to be unmounted.
stress:
	@$(guard) vm/setup.sh
	@$(guard) vm/run --append dax_retarget=on --fs $(or $(FS),xfs) \
		--share tools/testing/dax_retarget --limit $$(($(or $(TIME),120) + 300)) \
		--allow 'EXT4-fs warning.*: error -5 ' \
		'. /run/vm/guest-lib.sh && nics && NICS="bash /share/engine-nics.sh" \
		selftest stress.sh --time $(or $(TIME),120) \
		$(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))'

power-cut:
	@$(guard) vm/setup.sh
	@$(guard) vm/power-cut.sh --cuts $(or $(CUTS),100) $(if $(SEED),--seed $(SEED))

model:
	@vm/packages.sh
	@tools/verification/dax_retarget/run.sh

kunit:
	@$(guard) vm/setup.sh
	@$(guard) vm/run --fs none --append 'dax_retarget=on kunit.enable=1' \
		'. /run/vm/guest-lib.sh && kunit'

series:
	@$(guard) vm/make-series.sh $(if $(OUT),--out '$(OUT)') $(if $(CHECK),--check)

deb:
	@$(guard) vm/deb.sh $(if $(CONFIG),--config '$(CONFIG)') $(if $(OUT),--out '$(OUT)')

check-deb:
	@$(guard) vm/check-deb.sh $(if $(CONFIG),--config '$(CONFIG)')

vm:
	@$(guard) vm/setup.sh
	@$(guard) vm/run $(vm_options) "$$CMD"

shell:
	@$(guard) vm/setup.sh
	@$(guard) vm/run $(vm_options) --shell

kernel rootfs:
	@$(guard) vm/setup.sh $@

refresh-patches:
	@vm/refresh-patches.sh

clean:
	@vm/clean.sh
