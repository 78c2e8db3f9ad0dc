# Runs in the guest under the exported policy; nothing but the images of the policy may run.
t() { name=$1; shift; "$@" >/dev/null 2>&1; echo "RESULT $name $?"; }
L="/base/lib64/ld-linux-x86-64.so.2 --library-path /base/lib/x86_64-linux-gnu"
t signed /m/opt/m/bin/hello
t ld-so-signed $L /m/opt/m/bin/dynamic
t dlopen-signed $L /m/opt/m/bin/dynamic dlopen /m/opt/m/lib/libone.so
t tmpfs-copy /run/copy/bin/hello
t memfd /m/opt/m/bin/hello memfd /m/opt/m/bin/hello
t ld-so-copy $L /run/copy/bin/dynamic
t dlopen-copy $L /m/opt/m/bin/dynamic dlopen /run/copy/lib/libone.so
t initramfs /bin/veritysetup --version
echo 'exit 7' > /run/script
t script-by-interpreter /base/bin/busybox sh /run/script
echo "RESULT end 0"
/base/bin/busybox poweroff -f
