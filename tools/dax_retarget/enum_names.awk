# SPDX-License-Identifier: GPL-2.0-only
#
# The names of enum entries as strings, from the header of the netlink family:
# of DAX_RETARGET_ACCESS_READ in enum dax_retarget_access, "read" in access_names.

/^enum dax_retarget_[a-z]* \{/ {
	name = $2
	sub("dax_retarget_", "", name)
	prefix = "DAX_RETARGET_" toupper(name) "_"
	printf "static const char *const %s_names[] = {\n", name
	next
}

name && /^\};/ {
	print "};\n"
	name = ""
}

name {
	entry = $1
	sub(",", "", entry)
	text = tolower(substr(entry, length(prefix) + 1))
	gsub("_", "-", text)
	printf "\t[%s] = \"%s\",\n", entry, text
}
