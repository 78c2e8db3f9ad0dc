"""What runs inside a host image: opens the root, proves the modules, tells the kernel what may run, starts services.

`first` is the program of the initramfs, `machine` what process 1 does on the opened root. No key and no signing code is
here, and no shell: everything that the kernel is asked for is asked for by its own system calls (`syscalls`).
"""
