// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget doctor: why a device or a file cannot be pinned, and what helps
 *
 * A consumer's call fails with the same errno, whatever is in the way. The
 * kernel says of each PCI device why it refuses it. The rest is looked at from
 * outside: the kernel's parameters, the driver of the RDMA device, the file and
 * the block device that it lies on.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dax_retarget.h"

static bool json;
static struct json_object *findings;
static const char *subject;
static unsigned int problems;
static char command_line[4096];
static bool have_feature;
static struct devices devices;

static void about(const char *what)
{
	subject = what;
	if (!json)
		printf("%s\n", what);
}

static void __attribute__((format(printf, 3, 0)))
add_finding(const char *verdict, const char *remedy, const char *fmt,
	    va_list args)
{
	char *text = xvasprintf(fmt, args), *clean;
	struct json_object *object;

	if (json) {
		object = json_object_new_object();
		put_string(object, "subject", subject);
		put_bool(object, "ok", !remedy);
		put_string(object, "finding", text);
		put_string(object, "remedy", remedy);
		json_object_array_add(findings, object);
	} else {
		clean = printable(text);
		printf("  %-4s  %s\n", verdict, clean);
		free(clean);
		if (remedy)
			printf("        remedy: %s\n", remedy);
	}
	free(text);
}

static void __attribute__((format(printf, 1, 2))) ok(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_finding("ok", NULL, fmt, args);
	va_end(args);
}

static void __attribute__((format(printf, 2, 3)))
problem(const char *remedy, const char *fmt, ...)
{
	va_list args;

	problems++;
	va_start(args, fmt);
	add_finding("FAIL", remedy, fmt, args);
	va_end(args);
}

/*
 * The next value of a kernel parameter, from @at in the command line on. The
 * value has @len characters. %NULL if there is none.
 */
static const char *next_value(const char **at, const char *name, size_t *len)
{
	size_t name_len = strlen(name), n;
	const char *word;

	while (*(word = *at + strspn(*at, " "))) {
		n = strcspn(word, " ");
		*at = word + n;
		/* Words after "--" are for init */
		if (n == 2 && !strncmp(word, "--", 2))
			break;
		if (n > name_len && !strncmp(word, name, name_len) &&
		    word[name_len] == '=') {
			*len = n - name_len - 1;
			return word + name_len + 1;
		}
	}
	return NULL;
}

/*
 * The last value of a kernel parameter, which is the one that counts, goes to
 * @buf. Returns false if there is none.
 */
static bool kernel_parameter(const char *name, char *buf, size_t size)
{
	const char *at = command_line, *value;
	bool found = false;
	size_t len;

	while ((value = next_value(&at, name, &len))) {
		snprintf(buf, size, "%.*s", (int)len, value);
		found = true;
	}
	return found;
}

/* Is @word in the list of the parameter, in any of its places? */
static bool parameter_has(const char *name, const char *word)
{
	const char *at = command_line, *value, *end;
	size_t len;

	while ((value = next_value(&at, name, &len))) {
		for (end = value + len; value < end; value += len + 1) {
			len = strcspn(value, ", ");
			if (len == strlen(word) && !strncmp(value, word, len))
				return true;
		}
	}
	return false;
}

static bool is_boolean_on(const char *s)
{
	return !strcmp(s, "1") || !strcmp(s, "y") || !strcmp(s, "Y") ||
	       !strcmp(s, "on");
}

static void check_parameter(void)
{
	char mode[256];

	if (have_feature) {
		ok("the kernel has DAX retarget, and it is on");
		return;
	}
	if (!feature_is_built_in()) {
		problem("run a kernel with the DAX retarget patches, built with CONFIG_DAX_RETARGET=y",
			"the kernel does not have DAX retarget");
		return;
	}
	if (!kernel_parameter("dax_retarget", mode, sizeof(mode)))
		problem("add dax_retarget=on to the kernel's command line, and reboot",
			"DAX retarget was not turned on");
	else if (!strcmp(mode, "off"))
		problem("put dax_retarget=on in its place, and reboot",
			"DAX retarget is turned off: dax_retarget=off on the kernel's command line");
	else
		problem("the words are \"off\", \"on\" and \"revoke\": boot with dax_retarget=on",
			"the kernel's command line says dax_retarget=%s, which means nothing",
			mode);
}

static bool passed_through(void)
{
	char value[64];

	if (parameter_has("iommu", "pt"))
		return true;
	return kernel_parameter("iommu.passthrough", value, sizeof(value)) &&
	       is_boolean_on(value);
}

static void check_iommus(void)
{
	DIR *dir = opendir("/sys/class/iommu");
	unsigned int nr = 0;

	while (next_name(dir))
		nr++;
	if (!nr) {
		if (parameter_has("intel_iommu", "off") ||
		    parameter_has("iommu", "off"))
			problem("put intel_iommu=on in its place, and reboot",
				"the IOMMU is turned off on the kernel's command line");
		else
			problem("turn VT-d on in the firmware, and boot with intel_iommu=on",
				"no IOMMU works");
		return;
	}
	if (passed_through())
		problem("boot with iommu=nopt (iommu.passthrough=0), intel_iommu=on",
			"the IOMMU passes DMA through: iommu=pt or iommu.passthrough=1 on the kernel's command line");
	else
		ok("%u IOMMU%s, which translate%s", nr, nr == 1 ? "" : "s",
		   nr == 1 ? "s" : "");
}

static void check_namespaces(void)
{
	DIR *dir = opendir("/sys/block");
	char value[16], dm[64];
	unsigned int nr = 0;
	const char *name;

	while ((name = next_name(dir))) {
		read_line(value, sizeof(value), "/sys/block/%s/queue/dax",
			  name);
		read_line(dm, sizeof(dm), "/sys/block/%s/dm/name", name);
		nr += !strcmp(value, "1") && !dm[0];
	}
	if (nr)
		ok("%u persistent memory block device%s with DAX", nr,
		   nr == 1 ? "" : "s");
	else
		problem("ndctl create-namespace -m fsdax, then mkfs.xfs and mount -o dax=always",
			"no persistent memory namespace is in fsdax mode");
}

static const struct device *device_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < devices.nr; i++)
		if (!strcmp(devices.device[i].name, name))
			return &devices.device[i];
	return NULL;
}

/*
 * Does the driver of an RDMA device let DAX files be pinned? @driver is that of
 * the device that does the DMA.
 */
static bool driver_opted_in(const char *rdma_device, const char *driver)
{
	static const char *const drivers[] = {
		"mlx5_core", "mlx4_core", "bnxt_en", "ice", "i40e", "efa",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		if (!strcmp(driver, drivers[i]))
			return true;
	/*
	 * rxe alone has this attribute. An rxe link has a device only if the
	 * link was given a DMA engine for tests, and then it lets files be pinned.
	 */
	return path_exists("/sys/class/infiniband/%s/parent", rdma_device);
}

/* What helps, by what the kernel says of a device */
static const char *const remedies[] = {
	[DAX_RETARGET_REFUSAL_NO_DMA] =
		"use a NIC with RDMA in hardware, not rxe or siw",
	[DAX_RETARGET_REFUSAL_NO_IOMMU] =
		"boot with intel_iommu=on and iommu=nopt, with VT-d on in the firmware",
	[DAX_RETARGET_REFUSAL_NOT_PCI] = "use a PCI device",
	[DAX_RETARGET_REFUSAL_PASSTHROUGH] =
		"boot with iommu=nopt (iommu.passthrough=0), or: echo DMA > /sys/kernel/iommu_groups/.../type",
	[DAX_RETARGET_REFUSAL_NO_REPLACE] =
		"use a machine with an Intel VT-d IOMMU",
	[DAX_RETARGET_REFUSAL_NESTED] =
		"use the device on the host, not through nested translation",
	[DAX_RETARGET_REFUSAL_NO_DRAIN] =
		"use a machine with a newer IOMMU",
	[DAX_RETARGET_REFUSAL_CACHING_MODE] =
		"use the device on the host, not in this virtual machine",
	[DAX_RETARGET_REFUSAL_ATS] =
		"turn ATS off for the device (firmware, or pci=noats)",
	[DAX_RETARGET_REFUSAL_NOT_COHERENT] =
		"use a device and a machine with cache coherent DMA",
	[DAX_RETARGET_REFUSAL_BOUNCE] =
		"boot without swiotlb=force; an external device cannot be trusted",
	[DAX_RETARGET_REFUSAL_CRASH_KERNEL] = "use the regular kernel",
	[DAX_RETARGET_REFUSAL_STOPPED] =
		"see the kernel log, then unbind its driver and bind it again",
	[DAX_RETARGET_REFUSAL_MANAGED] =
		"map a DAX file by VFIO or iommufd, then ask again: only then it has a domain; other drivers of this kind do no DMA for programs",
};

static void refused(uint32_t refusal)
{
	const char *remedy = NULL;

	if (refusal < ARRAY_SIZE(remedies))
		remedy = remedies[refusal];
	problem(remedy ?: "see \"Requirements\" in the administrator's guide",
		"%s", refusal_words(refusal));
}

/* The device that does the DMA */
static void check_dma_device(const char *name)
{
	const struct device *device = device_by_name(name);
	char driver[64], type[64];

	if (device && device->retargetable) {
		ok("%s (driver %s): the IOMMU can take pages back", name,
		   device->driver);
		return;
	}
	if (device) {
		refused(device->refusal);
		return;
	}
	if (!path_exists("/sys/bus/pci/devices/%s", name)) {
		refused(DAX_RETARGET_REFUSAL_NOT_PCI);
		return;
	}
	read_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver",
		  name);
	if (!driver[0]) {
		problem("load its driver", "no driver has device %s", name);
		return;
	}
	if (have_feature)
		return;

	/* The kernel cannot be asked, but its IOMMU can be looked at */
	read_line(type, sizeof(type), "/sys/bus/pci/devices/%s/iommu_group/type",
		  name);
	if (!type[0])
		refused(DAX_RETARGET_REFUSAL_NO_IOMMU);
	else if (!strcmp(type, "identity"))
		refused(DAX_RETARGET_REFUSAL_PASSTHROUGH);
}

static void check_rdma(const char *name)
{
	char parent[256], driver[64];

	if (!rdma_parent(name, parent, sizeof(parent))) {
		refused(DAX_RETARGET_REFUSAL_NO_DMA);
		return;
	}
	check_dma_device(parent);
	read_link(driver, sizeof(driver), "/sys/class/infiniband/%s/device/driver",
		  name);
	if (driver_opted_in(name, driver))
		ok("its driver, %s, lets DAX files be pinned", driver);
	else
		problem("use a NIC of one of mlx5, mlx4, bnxt_re, irdma, efa",
			"its driver, %s, does not let DAX files be pinned",
			driver[0] ? driver : "none");
}

static void check_all_rdma(void)
{
	DIR *dir = opendir("/sys/class/infiniband");
	unsigned int nr = 0;
	const char *name;

	while ((name = next_name(dir))) {
		nr++;
		about(name);
		check_rdma(name);
		subject = "machine";
	}
	if (!nr) {
		about("RDMA devices");
		problem("load the driver of the NIC, e.g. modprobe mlx5_ib",
			"there is no RDMA device");
	}
}

/* Returns false if there is an extent that other files have as well */
static bool unshared(int fd, const char *path)
{
	enum { NR = 256 };
	struct fiemap *map = calloc(1, sizeof(*map) +
				    NR * sizeof(struct fiemap_extent));
	bool shared = false, last = false;
	uint64_t start = 0;
	unsigned int i;

	if (!map)
		fail(EXIT_FAILED, "out of memory");
	while (!shared && !last) {
		memset(map, 0, sizeof(*map));
		map->fm_start = start;
		map->fm_length = FIEMAP_MAX_OFFSET - start;
		map->fm_extent_count = NR;
		if (ioctl(fd, FS_IOC_FIEMAP, map) || !map->fm_mapped_extents)
			break;
		for (i = 0; i < map->fm_mapped_extents; i++) {
			shared |= map->fm_extents[i].fe_flags &
				  FIEMAP_EXTENT_SHARED;
			last |= map->fm_extents[i].fe_flags &
				FIEMAP_EXTENT_LAST;
			start = map->fm_extents[i].fe_logical +
				map->fm_extents[i].fe_length;
		}
	}
	free(map);
	return !shared;
}

static void check_block_device(uint32_t major, uint32_t minor)
{
	char value[64];

	read_line(value, sizeof(value), "/sys/dev/block/%u:%u/dm/name", major,
		  minor);
	if (value[0]) {
		problem("make the file system on the namespace itself, without LVM and the like",
			"the file system is on the device mapper's %s", value);
		return;
	}
	read_line(value, sizeof(value), "/sys/dev/block/%u:%u/queue/dax",
		  major, minor);
	if (!value[0])	/* a partition */
		read_line(value, sizeof(value),
			  "/sys/dev/block/%u:%u/../queue/dax", major, minor);
	if (strcmp(value, "1"))
		problem("put the file on a namespace in fsdax mode: ndctl create-namespace -m fsdax",
			"block device %u:%u has no DAX", major, minor);
}

static void check_file(const char *path)
{
	const struct mount *mount;
	unsigned int before = problems;
	uint32_t major, minor;
	struct statx st;
	bool known;
	int fd;

	if (statx(AT_FDCWD, path, AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS,
		  &st)) {
		problem("name a file that exists and that you may reach",
			"%s", strerror(errno));
		return;
	}
	if (!S_ISREG(st.stx_mode)) {
		problem("name a regular file", "not a regular file");
		return;
	}
	major = st.stx_dev_major;
	minor = st.stx_dev_minor;

	mount = find_mount(major, minor);
	known = mount && (!strcmp(mount->type, "xfs") ||
			  !strncmp(mount->type, "ext", 3));
	if (mount && !known)
		problem("put the file on XFS, ext4 or ext2",
			"file system %s does not let files be pinned",
			mount->type);
	if (!mount || known)
		check_block_device(major, minor);

	if (st.stx_attributes & STATX_ATTR_DAX)
		ok("the file is accessed by DAX");
	else if (known && before == problems)
		problem(!strcmp(mount->type, "ext2") ?
			"mount with -o dax" :
			"mount with -o dax=always, or: xfs_io -c 'chattr +x' FILE with dax=inode; it is applied when the file is opened anew",
			"the file is not accessed by DAX");
	else
		problem("see above", "the file is not accessed by DAX");

	if (mount && !strcmp(mount->type, "xfs")) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			problem("run as a user who may read it",
				"cannot look at its extents: %s",
				strerror(errno));
		else if (!unshared(fd, path))
			problem("make a copy: cp --reflink=never",
				"the file shares blocks with another (reflink)");
		else
			ok("the file shares no blocks now; one that did and is open somewhere is refused still");
		if (fd >= 0)
			close(fd);
	}
	if (st.stx_attributes & STATX_ATTR_ENCRYPTED)
		problem("use a file without encryption",
			"an encrypted file is not accessed by DAX");
}

static void check_argument(const char *name)
{
	char link[256];

	about(name);
	if (!strchr(name, '/')) {
		if (path_exists("/sys/class/infiniband/%s", name)) {
			check_rdma(name);
			return;
		}
		if (path_exists("/sys/bus/pci/devices/%s", name)) {
			check_dma_device(name);
			return;
		}
		read_link(link, sizeof(link), "/sys/class/net/%s/device", name);
		if (link[0]) {
			check_dma_device(link);
			return;
		}
	}
	check_file(name);
}

static int run_doctor(int argc, char **argv)
{
	const struct verb_option options[] = {
		OPT_FLAG('j', "json", &json, "one array of findings"),
		OPT_HELP(),
		OPT_END()
	};
	int i;

	i = parse_options(argc, argv, &doctor_verb, options);

	findings = json_object_new_array();
	read_line(command_line, sizeof(command_line), "/proc/cmdline");
	read_mounts();
	have_feature = feature_exists();
	if (have_feature)
		get_devices(&devices);

	about("machine");
	check_parameter();
	check_iommus();
	check_namespaces();
	if (i == argc)
		check_all_rdma();
	for (; i < argc; i++)
		check_argument(argv[i]);

	if (json)
		print_json_value(findings);
	else
		json_object_put(findings);
	if (!json)
		printf("%s\n", problems ? "something is in the way" :
		       "nothing is in the way");
	free_devices(&devices);
	return problems ? EXIT_FAILED : EXIT_OK;
}

const struct verb doctor_verb = {
	.name = "doctor",
	.arguments = "[OPTION...] [DEVICE|FILE...]",
	.summary = "explain why a device or a file cannot be pinned",
	.description =
"Explain why a device or a file cannot be pinned on this machine, and what to\n"
"change. DEVICE is an RDMA device (mlx5_0), a PCI device (0000:01:00.0) or a\n"
"network device (eth0); a FILE of that name is ./NAME. Without arguments: the\n"
"machine and its RDMA devices.\n",
	.notes =
"Exit status 0 if all can work, 1 if something is in the way.\n",
	.takes_arguments = true,
	.run = run_doctor,
};
