#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Set up the RDMA NIC "plain": an rxe link without a DMA engine, as every machine
# can have it. The CPU copies its payload, so it cannot have pins.
#
# Prints name and IP address, as engine-nics.sh does. Needs root.
set -e

modprobe rdma_rxe
[ -e /sys/class/net/plain0 ] || ip link add plain0 type dummy
ip link set plain0 up
ip address replace 10.0.9.1/24 dev plain0
rdma link add plain type rxe netdev plain0
echo "plain 10.0.9.1"
