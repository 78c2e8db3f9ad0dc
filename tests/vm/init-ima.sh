#!/bin/busybox sh
# shellcheck shell=sh
# The first program of the guest: mounts the disk, and does the tries on it.
B=/bin/busybox
$B mkdir -p /proc /sys /dev /disk
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev
$B mount -t securityfs sec /sys/kernel/security
for m in $($B cat /mods/order); do $B insmod "/mods/$m.ko"; done
$B mount -t ext4 -o loop,rw /disk.ext4 /disk
for place in proc sys dev; do $B mount --rbind /$place /disk/$place; done
$B cp /mods/dummy.ko /at /disk/x/
exec $B chroot /disk /bin/busybox sh /x/tries.sh
