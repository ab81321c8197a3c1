// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget doctor: why can a device or a file not be pinned, and what helps?
 *
 * The kernel refuses with one errno, whatever is in the way. Here all that it
 * wants is looked at from outside: the kernel and its parameters, the IOMMU, the
 * device and its driver, the file and what it lies on.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dax_retarget.h"

const char doctor_usage[] =
"Usage: dax-retarget doctor [OPTION...] [DEVICE|FILE...]\n"
"\n"
"Explain why a device or a file cannot be pinned on this machine, and what to\n"
"change. DEVICE is an RDMA device (mlx5_0), a PCI device (0000:01:00.0) or a network\n"
"device (eth0); a FILE of that name is ./NAME. Without arguments: the machine and\n"
"its RDMA devices.\n"
"\n"
"  -j, --json\n"
"  -h, --help\n"
"\n"
"Exit status 0 if all can work, 1 if something is in the way.\n";

/* Of VT-d, capability and extended capability register */
#define CAP_CACHING_MODE	(1ULL << 7)
#define CAP_WRITE_DRAIN		(1ULL << 54)
#define CAP_READ_DRAIN		(1ULL << 55)
#define ECAP_QUEUED		(1ULL << 1)
#define ECAP_SCALABLE_MODE	(1ULL << 43)

#define PCI_EXT_CAP_START	0x100
#define PCI_EXT_CAP_ATS		0x0f
#define PCI_ATS_CONTROL		6
#define PCI_ATS_ENABLE		0x8000

static bool json;
static struct json_object *findings;
static const char *subject;
static unsigned int problems;
static char command_line[4096];
static bool have_feature;
static struct devices devices;
static struct pins pins;

static void about(const char *what)
{
	subject = what;
	if (!json)
		printf("%s\n", what);
}

static void add_finding(const char *verdict, const char *text,
			const char *remedy)
{
	struct json_object *object;
	char *clean;

	if (!json) {
		clean = printable(text);
		printf("  %-4s  %s\n", verdict, clean);
		free(clean);
		if (remedy)
			printf("        remedy: %s\n", remedy);
		return;
	}
	object = json_object_new_object();
	put_string(object, "subject", subject);
	put_bool(object, "ok", strcmp(verdict, "FAIL"));
	put_string(object, "finding", text);
	put_string(object, "remedy", remedy);
	json_object_array_add(findings, object);
}

static void __attribute__((format(printf, 1, 2))) ok(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		fail(EXIT_FAILED, "out of memory");
	va_end(args);
	add_finding("ok", text, NULL);
	free(text);
}

static void __attribute__((format(printf, 2, 3)))
problem(const char *remedy, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		fail(EXIT_FAILED, "out of memory");
	va_end(args);
	problems++;
	add_finding("FAIL", text, remedy);
	free(text);
}

/*
 * The last value of a kernel parameter, which is the one that counts, into @buf.
 * Returns false if there is none.
 */
static bool kernel_parameter(const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);
	const char *word = command_line;
	bool found = false;
	int n;

	while (*(word += strspn(word, " "))) {
		n = strcspn(word, " ");
		/* What follows is for init */
		if (n == 2 && !strncmp(word, "--", 2))
			break;
		if (!strncmp(word, name, len) && word[len] == '=') {
			snprintf(buf, size, "%.*s", (int)(n - len - 1),
				 word + len + 1);
			found = true;
		}
		word += n;
	}
	return found;
}

/* Is @word in the list of the parameter, in any of its places? */
static bool parameter_has(const char *name, const char *word)
{
	size_t name_len = strlen(name), len = strlen(word), n;
	const char *p = command_line;

	while (*(p += strspn(p, " "))) {
		n = strcspn(p, " ");
		if (n > name_len && !strncmp(p, name, name_len) &&
		    p[name_len] == '=') {
			const char *q = p + name_len + 1, *end = p + n;

			while (q < end) {
				size_t m = strcspn(q, ", ");

				if (m == len && !strncmp(q, word, len))
					return true;
				q += m + 1;
			}
		}
		p += n;
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
	struct status status;
	char mode[256];

	if (!have_feature) {
		problem("run a kernel with the DAX retarget patches, built with CONFIG_DAX_RETARGET=y",
			"the kernel does not have DAX retarget");
		return;
	}
	get_status(&status);
	if (status.enabled) {
		ok("the kernel has DAX retarget, and it is on");
		return;
	}
	if (!kernel_parameter("dax_retarget", mode, sizeof(mode)))
		problem("add dax_retarget=on to the kernel's command line, and reboot",
			"DAX retarget was not turned on");
	else if (!strcmp(mode, "off"))
		problem("put dax_retarget=on in its place, and reboot",
			"DAX retarget is turned off: dax_retarget=off on the kernel's command line");
	else
		problem("the words are \"off\" and \"on\": boot with dax_retarget=on",
			"the kernel's command line says dax_retarget=%s, which means nothing",
			mode);
}

static uint64_t iommu_register(const char *iommu, const char *name)
{
	char text[64];

	read_line(text, sizeof(text), "/sys/class/iommu/%s/intel-iommu/%s",
		  iommu, name);
	return strtoull(text, NULL, 16);
}

static bool passed_through(void)
{
	char value[64];

	if (parameter_has("iommu", "pt"))
		return true;
	return kernel_parameter("iommu.passthrough", value, sizeof(value)) &&
	       is_boolean_on(value);
}

/* What the IOMMU of a device, or any, lacks. Returns the number of problems. */
static unsigned int check_iommu(const char *iommu)
{
	uint64_t cap = iommu_register(iommu, "cap");
	uint64_t ecap = iommu_register(iommu, "ecap");
	unsigned int before = problems;

	if (strncmp(iommu, "dmar", 4)) {
		problem("none: use a machine with an Intel VT-d IOMMU",
			"%s is not an Intel VT-d IOMMU", iommu);
		return problems - before;
	}
	if (cap & CAP_CACHING_MODE)
		problem("run it on the host, not in this virtual machine",
			"%s is emulated by a hypervisor that copies its tables (caching mode)",
			iommu);
	if (!(ecap & ECAP_QUEUED) || !(cap & CAP_WRITE_DRAIN) ||
	    !(cap & CAP_READ_DRAIN))
		problem("none: use a machine with a newer IOMMU",
			"%s cannot wait for DMA that is under way (queued invalidation, draining)",
			iommu);
	if ((ecap & ECAP_SCALABLE_MODE) && parameter_has("intel_iommu", "sm_on"))
		problem("boot with intel_iommu=on,sm_off",
			"%s works in scalable mode", iommu);
	return problems - before;
}

static void check_iommus(void)
{
	DIR *dir = opendir("/sys/class/iommu");
	struct dirent *entry;
	unsigned int nr = 0, bad = 0;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		nr++;
		bad += check_iommu(entry->d_name);
	}
	if (dir)
		closedir(dir);
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
	else if (!bad)
		ok("%u IOMMU%s, which translate%s", nr, nr == 1 ? "" : "s",
		   nr == 1 ? "s" : "");
}

static void check_namespaces(void)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	unsigned int nr = 0;
	char value[16], dm[64];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		read_line(value, sizeof(value), "/sys/block/%s/queue/dax",
			  entry->d_name);
		read_line(dm, sizeof(dm), "/sys/block/%s/dm/name",
			  entry->d_name);
		nr += !strcmp(value, "1") && !dm[0];
	}
	if (dir)
		closedir(dir);
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

/* Drivers, by the PCI device's, whose RDMA devices may pin DAX files */
static bool driver_opted_in(const char *driver)
{
	static const char *const drivers[] = {
		"mlx5_core", "mlx4_core", "bnxt_en", "ice", "i40e", "hns3",
		"efa",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		if (!strcmp(driver, drivers[i]))
			return true;
	return false;
}

/* Is ATS on? The extended capabilities are for root only. */
static bool ats_enabled(const char *device)
{
	unsigned char config[4096];
	char *path = xasprintf("/sys/bus/pci/devices/%s/config", device);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int at = PCI_EXT_CAP_START, hops = 0;
	ssize_t len;

	free(path);
	if (fd < 0)
		return false;
	len = pread(fd, config, sizeof(config), 0);
	close(fd);
	/* Each capability: 16 bits id, 4 bits version, 12 bits of the next */
	while (at >= PCI_EXT_CAP_START && (ssize_t)at + 8 <= len &&
	       hops++ < 1024) {
		unsigned int id = config[at] | config[at + 1] << 8;

		if (id == PCI_EXT_CAP_ATS)
			return (config[at + PCI_ATS_CONTROL + 1] << 8) &
			       PCI_ATS_ENABLE;
		at = (config[at + 2] | config[at + 3] << 8) >> 4;
	}
	return false;
}

/* Why the IOMMU cannot replace entries of a device: the kernel does not tell */
static void explain_iommu(const char *name)
{
	unsigned int before = problems;
	char iommu[64];

	read_link(iommu, sizeof(iommu), "/sys/bus/pci/devices/%s/iommu", name);
	if (ats_enabled(name))
		problem("turn ATS off for the device (firmware, or pci=noats)",
			"the device caches translations (ATS)");
	if (iommu[0])
		check_iommu(iommu);
	if (before == problems)
		problem("boot with intel_iommu=on,sm_off; see \"Requirements\" in the administrator's guide",
			"the IOMMU cannot replace live entries for the device, probably as it works in scalable mode");
}

static void explain_refusal(const struct device *device)
{
	if (!strcmp(device->domain_type, "none"))
		problem("boot with intel_iommu=on, with VT-d on in the firmware",
			"%s", device->reason ?: "no IOMMU");
	else if (is_vfio_bound(device->driver))
		problem("bind the device to its own driver: VFIO cannot pin DAX files yet",
			"the device is given to VFIO");
	else if (!strcmp(device->domain_type, "identity"))
		problem("boot with iommu=nopt (iommu.passthrough=0), or: echo DMA > /sys/kernel/iommu_groups/.../type",
			"%s", device->reason ?: "DMA is passed through");
	else if (device->reason && strstr(device->reason, "live entries"))
		explain_iommu(device->name);
	else if (device->reason && strstr(device->reason, "bounce"))
		problem("boot without swiotlb=force; an external device cannot be trusted",
			"%s", device->reason);
	else
		problem("see \"Requirements\" in the administrator's guide",
			"%s", device->reason ?: "the kernel gives no reason");
}

/* The device that does the DMA */
static void check_pci(const char *name)
{
	const struct device *device = device_by_name(name);
	char driver[64], type[64];

	if (device) {
		if (device->retargetable)
			ok("%s (driver %s): the IOMMU can take pages back",
			   name, device->driver);
		else if (!strstr(device->reason ?: "", "dax_retarget="))
			/* That is a finding about the machine */
			explain_refusal(device);
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
	/* An older kernel: what can be said without it */
	read_line(type, sizeof(type), "/sys/bus/pci/devices/%s/iommu_group/type",
		  name);
	if (!type[0])
		problem("boot with intel_iommu=on, with VT-d on in the firmware",
			"no IOMMU translates the device's DMA");
	else if (!strcmp(type, "identity"))
		problem("boot with iommu=nopt (iommu.passthrough=0)",
			"the device's IOMMU domain is passed through");
}

static void check_rdma(const char *name)
{
	char parent[256], driver[64];
	size_t i;

	for (i = 0; i < pins.nr; i++) {
		if (strcmp(pins.pin[i].consumer, name))
			continue;
		ok("it has pins, by DMA of %s", pins.pin[i].device);
		return;
	}
	if (!rdma_parent(name, parent, sizeof(parent))) {
		problem("use a NIC with RDMA in hardware",
			"the RDMA device does no DMA of its own, as rxe and siw");
		return;
	}
	check_pci(parent);
	read_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver",
		  parent);
	if (!driver_opted_in(driver))
		problem("use a NIC of one of mlx5, mlx4, bnxt_re, irdma, hns, efa",
			"its driver, %s, does not let DAX files be pinned",
			driver[0] ? driver : "none");
	else
		ok("its driver, %s, lets DAX files be pinned", driver);
}

static void check_all_rdma(void)
{
	DIR *dir = opendir("/sys/class/infiniband");
	struct dirent *entry;
	unsigned int nr = 0;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		nr++;
		about(entry->d_name);
		check_rdma(entry->d_name);
		subject = "machine";
	}
	if (dir)
		closedir(dir);
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
	char link[256], *path;
	bool is_pci;

	about(name);
	if (!strchr(name, '/')) {
		path = xasprintf("/sys/class/infiniband/%s", name);
		if (!access(path, F_OK)) {
			free(path);
			check_rdma(name);
			return;
		}
		free(path);
		path = xasprintf("/sys/bus/pci/devices/%s", name);
		is_pci = !access(path, F_OK);
		free(path);
		if (is_pci) {
			check_pci(name);
			return;
		}
		read_link(link, sizeof(link), "/sys/class/net/%s/device", name);
		if (link[0]) {
			check_pci(link);
			return;
		}
	}
	check_file(name);
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	static const struct selector all;
	int option;

	while ((option = next_option(argc, argv, "jh", options)) != -1)
		json = true;

	findings = json_object_new_array();
	read_line(command_line, sizeof(command_line), "/proc/cmdline");
	read_mounts();
	have_feature = feature_exists();
	if (have_feature) {
		get_devices(&devices);
		get_pins(&pins, &all);
	}

	about("machine");
	check_parameter();
	check_iommus();
	check_namespaces();
	if (optind == argc)
		check_all_rdma();
	for (; optind < argc; optind++)
		check_argument(argv[optind]);

	if (json)
		print_json_value(findings);
	else
		json_object_put(findings);
	if (!json)
		printf("%s\n", problems ? "something is in the way" :
		       "nothing is in the way");
	free_devices(&devices);
	free_pins(&pins);
	return problems ? EXIT_FAILED : EXIT_OK;
}
