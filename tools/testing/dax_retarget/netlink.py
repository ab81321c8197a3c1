# SPDX-License-Identifier: GPL-2.0-only
"""
Generic netlink, as far as the tests of the family "dax-retarget" need it: they
build each message by hand, also those that no library would send.
"""

import socket
import struct
import sys

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP = 1, 2, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NETLINK_GENERIC = 16
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 1, 2
PIN_GET, DEVICE_GET, STATUS_GET, REVOKE, EVENT, SUBSCRIBE = range(1, 7)


def new_socket():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    sock.bind((0, 0))
    return sock


def attribute(kind, payload, length=None):
    length = len(payload) + 4 if length is None else length
    return struct.pack('HH', length & 0xffff, kind & 0xffff) + payload + \
        bytes(-len(payload) % 4)


def message(kind, flags, sequence, payload, length=None):
    length = len(payload) + 16 if length is None else length
    return struct.pack('IHHII', length, kind, flags, sequence, 0) + payload


def request(family, command, flags=0, attributes=b'', sequence=1):
    return message(family, NLM_F_REQUEST | flags, sequence,
                   struct.pack('BBH', command, 1, 0) + attributes)


def messages(data):
    """Yields kind, flags and payload of each message that was received"""
    while data:
        length, kind, flags = struct.unpack('IHH', data[:8])
        yield kind, flags, data[16:length]
        data = data[length + 3 & ~3:]


def error_of(payload):
    """The status that ends an answer: 0, or a negative errno"""
    return struct.unpack('i', payload[:4])[0]


def family_id(sock):
    name = attribute(CTRL_ATTR_FAMILY_NAME, b'dax-retarget\0')
    sock.send(request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, attributes=name))
    data = sock.recv(65536)[20:]
    while data:
        length, kind = struct.unpack('HH', data[:4])
        if kind == CTRL_ATTR_FAMILY_ID:
            return struct.unpack('H', data[4:6])[0]
        data = data[length + 3 & ~3:]
    sys.exit('the kernel does not have the family')
