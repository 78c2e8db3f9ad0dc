#!/bin/busybox sh
# The first program of the guest: opens the images, loads policies, and tries what must and must not run.
B=/bin/busybox
$B mkdir -p /proc /sys /dev /run /m /base /bad
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev; $B mount -t tmpfs run /run
$B mount -t securityfs sec /sys/kernel/security
export DM_DISABLE_UDEV=1 PATH=/bin
for m in $($B cat /mods/order); do $B insmod /mods/$m.ko; done
opened() { veritysetup open --hash-offset="$3" "$2" "$1" "$2" "$4" && $B mount -t erofs -o ro /dev/mapper/"$1" /"$1"; }
opened base /x/base.erofs "$($B cat /x/base.offset)" "$($B cat /x/base.root)"
read -r root offset image < /x/out/roothashes.txt
opened m /x/out/"$image" "$offset" "$root"
opened bad /x/changed.erofs "$offset" "$root" 2>/dev/null
echo "RESULT changed-image-reads $($B sha256sum /bad/opt/m/bin/hello >/dev/null 2>&1; echo $?)"
veritysetup open --hash-offset="$offset" /x/stranger.erofs s /x/stranger.erofs "$root" >/dev/null 2>&1
echo "RESULT stranger-image-opens $?"
I=/sys/kernel/security/ipe
load() { $B cat "$2" > "$3" 2>/dev/null; echo "RESULT $1 $?"; }
load stranger-policy /x/stranger.p7b $I/new_policy
load policy /x/out/modseal.pol.p7b $I/new_policy
$B cp -r /m/opt/m /run/copy
echo 1 > $I/policies/modseal/active
B=/base/bin/busybox  # from here on, that of the initramfs may not run
load older-policy /x/older/modseal.pol.p7b $I/policies/modseal/update
echo "RESULT enforce-is $($B cat $I/enforce)"
exec /base/bin/busybox sh /tries.sh
