"""`modseal completion`: scripts for shells, and what the scripts ask for.

A script hands over the words up to the cursor, after `--`, and gets lines of three fields between tabs:

    value  TEXT      ABOUT  a text that fits, and a few words on it
    files  ENDINGS          the shell offers the files with these endings (with none, all files) and folders
    dirs                    the shell offers folders

File names never pass through here: the shell lists and quotes them itself. The program that is asked is the
`modseal` of the PATH, even if the command line names another one: a tab must not start a program of the current folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from modseal.cli.options import Choice

BASH = r"""# Completion of modseal for bash 4 or newer. From `modseal completion bash`.
_modseal() {
    local kind value about current=${COMP_WORDS[COMP_CWORD]}
    local -a found
    COMPREPLY=()
    current=${current#[\"\']}
    current=${current//\\/}
    [[ $current == '=' || $current == ':' ]] && current=
    while IFS=$'\t' read -r kind value about; do
        case $kind in
            value) COMPREPLY+=("$value") ;;
            files)
                compopt -o filenames
                for about in $value; do
                    mapfile -t found < <(compgen -f -X "!*$about" -- "$current")
                    COMPREPLY+=("${found[@]}")
                done
                if ((${#COMPREPLY[@]} == 0)); then
                    mapfile -t COMPREPLY < <(compgen -f -- "$current")
                else
                    mapfile -t found < <(compgen -d -- "$current")
                    COMPREPLY+=("${found[@]}")
                fi
                ;;
            dirs)
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -d -- "$current")
                ;;
        esac
    done < <(command modseal completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _modseal modseal
"""

ZSH = r"""#compdef modseal
# Completion of modseal for zsh. From `modseal completion zsh`.
_modseal() {
    local line kind value about
    local -a lines values
    lines=("${(@f)$(command modseal completion zsh -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    [[ $PREFIX == -*=* ]] && compset -P '*='
    for line in "${lines[@]}"; do
        IFS=$'\t' read -r kind value about <<< "$line"
        case $kind in
            value) values+=("${value//:/\\:}${about:+:$about}") ;;
            files)
                if [[ -n $value ]]; then
                    _files -g "*${value// / *}"
                else
                    _files
                fi
                ;;
            dirs) _files -/ ;;
        esac
    done
    (( $#values )) && _describe modseal values
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _modseal "$@"
else
    compdef _modseal modseal
fi
"""

FISH = r"""# Completion of modseal for fish. From `modseal completion fish`.
function __modseal_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l path (string replace -r -- '^-[^=]*=' '' $current)
    set -l option (string sub -l (math (string length -- $current) - (string length -- $path)) -- $current)
    for line in (command modseal completion fish -- $words[2..-1] $current 2>/dev/null)
        set -l fields (string split \t -- $line)
        switch $fields[1]
            case value
                printf '%s%s\t%s\n' $option $fields[2] $fields[3]
            case files
                set -l all (__fish_complete_path $path)
                set -l ending (string join '|' '/' (string split -n ' ' -- $fields[2] | string escape --style=regex))
                set -l fit (string match -r -- "^[^\t]*(?:$ending)(?:\t.*)?\$" $all)
                test -n "$fields[2]" -a -n "$fit"; or set fit $all
                test -n "$fit"; and printf '%s\n' $option$fit
            case dirs
                set -l folders (__fish_complete_directories $path)
                test -n "$folders"; and printf '%s\n' $option$folders
        end
    end
end
complete --command modseal --no-files --arguments '(__modseal_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
_GLUE = re.compile(r"[=:]+")


@click.command()
@click.argument("shell", type=Choice(list(SCRIPTS)), metavar="SHELL")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- WORD...]")
@click.pass_context
def completion(context: click.Context, shell: str, words: tuple[str, ...]) -> None:
    """Print the script that lets SHELL (bash, zsh or fish) complete the command lines of modseal.

    With WORDs, the words of a command line after `modseal`, it prints what could stand in place of the last one. The
    script asks for that.
    """
    if not words:
        click.echo(SCRIPTS[shell], nl=False)
        return
    root = context.find_root().command
    for line in _answer(root, joined(words) if shell == "bash" else list(words)):
        click.echo(line)


def _answer(root: click.Command, words: list[str]) -> Iterator[str]:
    from click.shell_completion import ShellComplete

    *before, current = words
    for item in ShellComplete(root, {}, "modseal", "").get_completions(before, current):
        if item.type == "plain":
            yield _line("value", item.value, item.help or "")
        else:
            yield _line("dirs" if item.type == "dir" else "files", " ".join(item.suffixes or ()))


def _line(*fields: str) -> str:
    return "\t".join(" ".join(field.split()) for field in fields).rstrip("\t")


def joined(words: Sequence[str]) -> list[str]:
    """The words of a command line from those of bash, which splits at `=` and `:` and leaves quotes in."""
    from click.shell_completion import split_arg_string

    whole: list[str] = []
    glued = False
    for word in words:
        glue = _GLUE.fullmatch(word) is not None
        text = " ".join(split_arg_string(word))
        if whole and (glue or glued):
            whole[-1] += text
        else:
            whole.append(text)
        glued = glue
    return whole
