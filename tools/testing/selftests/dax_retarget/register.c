// SPDX-License-Identifier: GPL-2.0-only
/*
 * Try to register a file with the first NIC, and print the name of the error: a
 * tool for scripts that look at file systems.
 *
 *   register [--read-only] FILE
 *
 * The status is 0 if it was registered, 1 if it was refused, 2 if it could not
 * even be tried. With --read-only the file is opened, mapped and registered for
 * reading alone.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib.h"

int main(int argc, char **argv)
{
	bool read_only = argc == 3 && !strcmp(argv[1], "--read-only");
	int fd, error = 0;
	struct ibv_mr *mr;
	struct nic *nic;
	off_t size;
	void *map;

	if (argc != (read_only ? 3 : 2)) {
		fprintf(stderr, "Usage: register [--read-only] FILE\n");
		return 2;
	}
	fd = open(argv[argc - 1], read_only ? O_RDONLY : O_RDWR);
	size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	map = mmap(NULL, size, read_only ? PROT_READ : PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || !nic_exists(0)) {
		fprintf(stderr, "register: no such file or NIC\n");
		return 2;
	}

	nic = nic_open(0);
	mr = read_only ? nic_register_read_only(nic, map, size) :
			 nic_register(nic, map, size);
	if (!mr)
		error = errno;
	else
		nic_deregister(mr);
	puts(error ? strerrorname_np(error) : "registered");
	return !!error;
}
