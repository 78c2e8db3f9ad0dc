# What the demos say and do the same; each reads it with `.` first.

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

say() {
    printf '\n# %s\n' "$*"
}

# A command that must be refused: any other end of it is a fault of the demo.
refused() {
    if run "$@"; then
        echo "this was accepted: it must never be" >&2
        exit 1
    fi
}
