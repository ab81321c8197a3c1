#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Send malformed and random messages to the generic netlink family "dax-retarget":

  fuzz_netlink.py NUMBER [SEED]

Or send proper ones while the kernel lacks memory: each allocation that an answer
takes fails once, in turn (needs CONFIG_FAILSLAB):

  fuzz_netlink.py --faults

The kernel's log has what went wrong in it. The status is 0 if the kernel still
answers a proper request afterwards.
"""

import errno
import os
import random
import socket
import struct
import sys

from netlink import (DEVICE_GET, NLMSG_DONE, NLMSG_ERROR,
                     NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST, PIN_GET,
                     REVOKE, STATUS_GET, SUBSCRIBE, attribute, error_of, family_id, message,
                     messages, new_socket, request)

REVOKE_ID = 1


def random_attributes(rng):
    result = b''
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 12))):
        size = rng.choice((0, 1, 2, 3, 4, 4, 4, 7, 8, 8, 9, 16, 64, 300))
        if rng.random() < 0.3:
            payload = struct.pack('Q', rng.choice(
                (0, 1, 2, 0x7fffffff, 0xffffffff, 1 << 63,
                 (1 << 64) - 1)))[:rng.choice((4, 8))]
        else:
            payload = rng.randbytes(size)
        kind = rng.choice((rng.randrange(0, 14), rng.randrange(0, 14),
                           rng.randrange(0, 14) | 0x8000,
                           rng.randrange(0, 14) | 0x4000,
                           rng.randrange(0x10000)))
        length = None
        if rng.random() < 0.1:
            length = rng.choice((0, 1, 3, 4, 5, len(payload) + 3,
                                 len(payload) + 5, 0xffff))
        result += attribute(kind, payload, length)
    return result


# Attributes of a request to revoke, by number. A uint has 4 or 8 bytes.
REVOKE_KINDS = {2: 'name', 3: 'u32', 4: 'u32', 5: 'u32',
                6: 'uint', 7: 'uint', 8: 'uint'}


def revocation(rng):
    """Attributes that the policy accepts, in any combination, and that no pin has"""
    result = attribute(REVOKE_ID, struct.pack('I', 0x7fffffff))
    kinds = list(REVOKE_KINDS)
    if rng.random() < 0.5:
        kinds = [4, 5, 6, 7, 8]
    for kind in rng.sample(kinds, rng.randrange(len(kinds) + 1)):
        value = rng.choice((0, 1, 2, 1 << 20, 0x7fffffff, 0xffffffff,
                            1 << 63, (1 << 64) - 1, rng.randrange(1 << 64)))
        wide = value >> 32 or rng.random() < 0.5
        if REVOKE_KINDS[kind] == 'name':
            payload = b'x' * rng.randrange(40) + b'\0'
        elif REVOKE_KINDS[kind] == 'u32' or not wide:
            payload = struct.pack('I', value & 0xffffffff)
        else:
            payload = struct.pack('Q', value)
        result += attribute(kind, payload)
    return result


def random_message(rng, family, sequence):
    if rng.random() < 0.2:
        return request(family, REVOKE, NLM_F_ACK, revocation(rng), sequence)
    command = rng.choice((0, 1, 2, 3, 4, 4, 4, 4, 5, 6, rng.randrange(256)))
    flags = rng.choice((NLM_F_REQUEST, NLM_F_REQUEST | NLM_F_ACK,
                        NLM_F_REQUEST | NLM_F_DUMP, rng.randrange(0x10000)))
    payload = struct.pack('BBH', command, rng.choice((0, 1, 1, 1, 2, 255)),
                          rng.choice((0, 0, 0, 0xffff)))
    payload += random_attributes(rng)
    if rng.random() < 0.05:
        payload = payload[:rng.randrange(len(payload) + 1)]
    length = None
    if rng.random() < 0.05:
        length = rng.choice((0, 15, 16, 17, 19, 20, len(payload) + 15,
                             len(payload) + 17, 0xffffffff))
    return message(family, flags, sequence, payload, length)


def drain(sock):
    try:
        while True:
            sock.recv(65536, socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
    except OSError:
        pass


def answer_arrives(sock):
    """Wait for the end of an answer; False if there was no memory for it"""
    try:
        while True:
            for kind, flags, payload in messages(sock.recv(65536)):
                if kind in (NLMSG_ERROR, NLMSG_DONE) or \
                   not flags & NLM_F_MULTI:
                    return error_of(payload) != -errno.ENOMEM
    except (OSError, MemoryError) as error:
        # Allocations for Python itself fail, too
        if not isinstance(error, MemoryError) and \
           error.errno not in (errno.ENOMEM, errno.ENOBUFS):
            raise
        return False


def faults(family):
    """Returns how many allocations failed, and how many answers failed by that"""
    no_pin = attribute(REVOKE_ID, struct.pack('I', 0x7fffffff))
    points = failed = 0
    injection = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
    for command, flags, payload in ((PIN_GET, NLM_F_DUMP, b''),
                                    (DEVICE_GET, NLM_F_DUMP, b''),
                                    (STATUS_GET, 0, b''),
                                    (SUBSCRIBE, NLM_F_ACK, b''),
                                    (REVOKE, NLM_F_ACK, no_pin)):
        question = request(family, command, flags, payload)
        for nth in range(1, 1000):
            sock = new_socket()
            sock.settimeout(10)
            os.pwrite(injection, b'%d' % nth, 0)
            try:
                sock.send(question)
                arrived = answer_arrives(sock)
            except (OSError, MemoryError):
                arrived = False
            finally:
                left = os.pread(injection, 16, 0)
                os.pwrite(injection, b'0', 0)
                sock.close()
            if int(left.strip(b'\0\n')):
                break
            points += 1
            failed += not arrived
    os.close(injection)
    return points, failed


def main():
    if sys.argv[1] == '--faults':
        points, failed = faults(family_id(new_socket()))
        print(f'{points} allocations failed, {failed} answers with them')
        sys.exit(failed < 5)
    number = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else os.getpid()
    rng = random.Random(seed)
    sock = new_socket()
    family = family_id(sock)
    refused = 0
    for sequence in range(number):
        try:
            sock.send(random_message(rng, family, sequence),
                      socket.MSG_DONTWAIT)
        except OSError:
            refused += 1
        if sequence % 8 == 0:
            drain(sock)
        # The socket goes away in the middle of a dump
        if sequence % 500 == 0:
            sock.close()
            sock = new_socket()

    sock.close()
    sock = new_socket()
    sock.settimeout(10)
    sock.send(request(family, STATUS_GET))
    answer = sock.recv(65536)
    kind, = struct.unpack('H', answer[4:6])
    print(f'{number} messages, seed {seed}, {refused} refused by send()')
    sys.exit(kind != family)


if __name__ == '__main__':
    main()
