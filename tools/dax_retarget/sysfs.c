// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: which devices belong together, as sysfs has it
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dax_retarget.h"

#define RDMA	"/sys/class/infiniband"

void read_line(char *buf, size_t size, const char *fmt, ...)
{
	char *path;
	va_list args;
	FILE *f;

	va_start(args, fmt);
	path = xvasprintf(fmt, args);
	va_end(args);
	buf[0] = '\0';
	f = fopen(path, "re");
	free(path);
	if (!f)
		return;
	if (!fgets(buf, size, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	fclose(f);
}

void read_link(char *buf, size_t size, const char *fmt, ...)
{
	char *path, target[4096], *name;
	va_list args;
	ssize_t len;

	va_start(args, fmt);
	path = xvasprintf(fmt, args);
	va_end(args);
	buf[0] = '\0';
	len = readlink(path, target, sizeof(target) - 1);
	free(path);
	if (len < 0)
		return;
	target[len] = '\0';
	name = strrchr(target, '/');
	snprintf(buf, size, "%s", name ? name + 1 : target);
}

bool path_exists(const char *fmt, ...)
{
	va_list args;
	char *path;
	bool exists;

	va_start(args, fmt);
	path = xvasprintf(fmt, args);
	va_end(args);
	exists = !access(path, F_OK);
	free(path);
	return exists;
}

/*
 * The next name in a folder that does not begin with a dot. After the last name,
 * closes the folder and returns %NULL. @dir may be %NULL.
 */
const char *next_name(DIR *dir)
{
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			return entry->d_name;
	if (dir)
		closedir(dir);
	return NULL;
}

/* The device that does an RDMA device's DMA; false if it has none of its own */
bool rdma_parent(const char *rdma_device, char *buf, size_t size)
{
	read_link(buf, size, RDMA "/%s/device", rdma_device);
	return buf[0];
}

/* Names of the RDMA devices whose DMA @device does */
struct json_object *rdma_devices_of(const char *device)
{
	struct json_object *names = json_object_new_array();
	DIR *dir = opendir(RDMA);
	char parent[256];
	const char *name;

	while ((name = next_name(dir)))
		if (rdma_parent(name, parent, sizeof(parent)) &&
		    !strcmp(parent, device))
			json_object_array_add(names,
					      json_object_new_string(name));
	return names;
}

bool is_vfio_bound(const char *driver)
{
	return strstr(driver, "vfio");
}
