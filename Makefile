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
# As it is written: a $ in it is the guest's shell's.
override CMD := $(value CMD)
export CMD KERNEL_SRC RANDOM_STEPS SEED TIME

.PHONY: help demo check check-debug check-kcsan coverage lint model kunit stress power-cut vm shell kernel rootfs refresh-patches clean

help:
	@echo "make demo             show the whole idea in one transcript"
	@echo "make check            run all tests; the last line is the sum"
	@echo "     with RANDOM_STEPS=N operations of the equivalence test (21000), SEED=N,"
	@echo "     PARALLEL=N parts at a time (2), also of the next three"
	@echo "make check-debug      the tests under KASAN, kmemleak, DMA API debugging and more"
	@echo "make check-kcsan      the same under KCSAN, which looks for data races in our files"
	@echo "     with TIME=seconds of each stress (120) SEED=N"
	@echo "make coverage         which lines of our kernel files the tests reach, by gcov"
	@echo "make lint             build variants, sparse, checkpatch, kernel-doc"
	@echo "make model            check the model of the protocol, and its broken variants"
	@echo "make kunit            the KUnit tests, in a guest"
	@echo "make stress           many processes register, write, punch, delete, die"
	@echo "     with TIME=seconds (120) SEED=N JOBS=N FS=xfs|ext4"
	@echo "make power-cut        cut the power of a guest at random points, boot, check"
	@echo "     with CUTS=N (100), SEED=N"
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

check:
	@$(guard) vm/check.sh

check-debug:
	@$(guard) env VARIANT=debug vm/check-debug.sh

check-kcsan:
	@$(guard) env VARIANT=kcsan vm/check-debug.sh

coverage:
	@$(guard) vm/coverage.sh

lint:
	@$(guard) vm/lint.sh

# The guest needs some more, to begin and to be unmounted.
stress:
	@$(guard) vm/setup.sh
	@$(guard) vm/run --append dax_retarget=on --fs $(or $(FS),xfs) \
		--share tools/testing/dax_retarget --limit $$(($(or $(TIME),120) + 300)) \
		--allow 'EXT4-fs warning.*: error -5 ' \
		'. ./engine-nics.sh > /dev/null && NICS="bash /share/engine-nics.sh" \
		/image/selftests/dax_retarget/stress.sh --time $(or $(TIME),120) \
		$(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))'

power-cut:
	@$(guard) vm/setup.sh
	@$(guard) vm/power-cut.sh --cuts $(or $(CUTS),100) $(if $(SEED),--seed $(SEED))

model:
	@vm/packages.sh
	@tools/verification/dax_retarget/run.sh

kunit:
	@$(guard) vm/setup.sh
	@$(guard) vm/kunit.sh

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
