#!/bin/busybox sh
# shellcheck shell=sh
# The first program of the guest: opens the images and starts their system, with what is shipped or with the policy alone.
B=/bin/busybox
$B mkdir -p /proc /sys /dev /run
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev; $B mount -t tmpfs run /run
$B mount -t securityfs sec /sys/kernel/security
export DM_DISABLE_UDEV=1 PATH=/bin
for m in $($B cat /mods/order); do $B insmod "/mods/$m.ko"; done
opened() { veritysetup open --hash-offset="$3" "$2" "$1" "$2" "$4" && $B mount -t erofs -o ro /dev/mapper/"$1" /base/"$5"; }
$B mkdir /base
$B mv /x /run/x
cd /run/x || exit
opened base base.erofs "$($B cat base.offset)" "$($B cat base.root)" ""
read -r root offset image < out/roothashes.txt
opened m "out/$image" "$offset" "$root" m
opened spare "out/$image" "$offset" "$root" spare
opened bad changed.erofs "$offset" "$root" bad
opened stranger stranger.erofs "$($B cat stranger.offset)" "$($B cat stranger.root)" stranger
$B cp -r /base/m/opt/m /run/x/copy
$B cp /mods/dummy.ko /run/x/
set -- /bin/busybox sh /run/x/tries.sh
case " $($B cat /proc/cmdline) " in
*" shipped "*)
    $B mkdir /run/modseal
    $B cp out/modseal.pol.p7b /run/modseal/
    set -- /usr/bin/modseal-init ;;
esac
for place in proc sys dev run; do $B mount --move /$place /base/$place; done
exec $B switch_root /base "$@"
