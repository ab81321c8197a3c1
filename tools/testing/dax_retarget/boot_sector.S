/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The whole guest of hypervisor.sh: a boot sector that reads the second 4 KiB of
 * its disk into page 0x20 of its memory, over and over. The word at 0x8000 counts the reads, and
 * the word at 0x8004 those that failed.
 *
 *   as --32 boot_sector.S -o boot_sector.o
 *   ld -m elf_i386 -Ttext=0x7c00 --oformat=binary boot_sector.o
 */
	.code16
	.globl	_start
_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movl	%eax, 0x8004
	/* The firmware left the number of the disk in dl */
again:
	movw	$packet, %si
	movb	$0x42, %ah
	pushw	%dx
	int	$0x13
	popw	%dx
	jnc	good
	incl	0x8004
good:
	incl	0x8000
	jmp	again

	.balign	4
packet:
	.byte	16, 0
	.word	8		/* sectors */
	.word	0, 0x2000	/* to this offset and segment */
	.quad	8		/* from this sector on, a whole page for QEMU */

	.org	510
	.word	0xaa55
