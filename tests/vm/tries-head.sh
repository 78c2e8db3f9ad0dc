# shellcheck shell=sh disable=SC2034,SC3045
# Before the tries, as root of the guest's system.
export PATH=/bin:/sbin DM_DISABLE_UDEV=1
cd /run/x || exit
I=/sys/kernel/security/ipe
L="/lib64/ld-linux-x86-64.so.2 --library-path /lib/x86_64-linux-gnu"
read -r ROOT _ IMAGE < out/roothashes.txt
if [ ! -e $I/policies/modseal ]; then
    cat out/modseal.pol.p7b > $I/new_policy
    echo 1 > $I/policies/modseal/active
fi
off() { [ "$(cat $I/enforce)" = 0 ] && echo REACHED; echo 1 > $I/enforce; }
helper() {
    echo "|/bin/busybox sh /run/x/helper.sh" > /proc/sys/kernel/core_pattern
    ulimit -c unlimited
    /m/opt/m/bin/hello crash
    sleep 1
    off
}
t() {
    said=$(eval "$2" 2>&1)
    umount /mnt
    case $said in *REACHED*) found=runs ;; *) found=denied ;; esac
    echo "RESULT $1 $found $(echo "$said" | grep -v REACHED | tail -n 1)" > /dev/console
} 2> /dev/null
