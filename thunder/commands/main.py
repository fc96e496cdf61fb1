"""The entry of `python -m thunder`: read the words, plan, run."""

import sys
from pathlib import Path

from thunder.ground.errors import EXIT_STOPPED, ThunderError, exit_code, of_os_error
from thunder.ground.places import check_working_folder
from thunder.ground.wording import nearest
from thunder.screen import streams

HELP = """\
Thunder: a declarative experiment-matrix runner.

  python -m thunder +profile=NAME [window=10] [target=30] [KEY=VALUE …]  one job
  python -m thunder matrix=NAME [jobs=2] [dry_run=true] [KEY=VALUE …]    every cell without a result
  python -m thunder -m +profile=NAME seed=1,2,3                          an ad-hoc matrix
  thunder --list                                                         what else there is

  KEY=VALUE      any key of the config, in Hydra's grammar: train.steps=20, site=mac_pair
  window=N       train bounded windows of N steps
  target=N       walk windows up to absolute step N (default: one window)
  jobs=N         runs at once, on each machine
  outputs=DIR    where runs land (default: ./outputs)
  dry_run=true   show the plan and stop
  force=true     a new attempt beside a run that is done
  wait=true      wait for what other runners have, instead of leaving it to them
  retries=N      try a run again that failed for a cause that may pass: environment, write
  max_cells=N    more cells than 20,000, the most of a matrix or a sweep

  --config-dir DIR   a conf/ folder of your own; matrices/ and schemas/ beside it are read too
  --cfg job          print the config of the job and stop
  -m, --multirun     sweep over KEY=A,B,C
  --version, --help

Exit codes: 0 all reached; 1 something failed or cannot run; 3 some runs are busy in another
runner; 130 stopped.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; a user's mistake is one message, without a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    streams.prepare()
    try:
        check_working_folder()
        code = _main(words)
        sys.stdout.flush()
        return code
    except ThunderError as error:
        print(f"thunder: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("thunder: stopped", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:
        streams.forget_output()
        return 1
    except OSError as error:
        print(f"thunder: {of_os_error(error)}", file=sys.stderr)
        return 1


def _main(words: list[str]) -> int:
    from thunder.commands import launch, requests

    flags, rest = _flags(words)
    if flags.get("help") or not words:
        print(HELP + "\n" + requests.choices_text(_config_dir(flags)))
        return 0
    if flags.get("version"):
        from thunder import __version__

        print(f"thunder {__version__}")
        return 0
    request = requests.read(rest, config_dir=_config_dir(flags), sweep=bool(flags.get("multirun")))
    if "cfg" in flags:
        launch.print_config(request)
        return 0
    return launch.run(request)


def _config_dir(flags: dict[str, str]) -> Path | None:
    return Path(flags["config-dir"]) if "config-dir" in flags else None


_SWITCHES = {
    "-m": "multirun", "--multirun": "multirun", "--help": "help", "-h": "help",
    "--version": "version",
}  # fmt: skip
_OPTIONS = {"--cfg": "cfg", "-c": "cfg", "--config-dir": "config-dir", "-cd": "config-dir"}


def _flags(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Take Hydra's flags out of the words."""
    flags: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if word in _SWITCHES:
            flags[_SWITCHES[word]] = "yes"
        elif name in _OPTIONS:
            if not equals and not waiting:
                raise ThunderError(f"{word}: a value is needed after it")
            flags[_OPTIONS[name]] = value if equals else waiting.pop(0)
            if not flags[_OPTIONS[name]]:
                raise ThunderError(f"{name}: a value is needed after it")
        elif word.startswith("-"):
            known = [*_SWITCHES, *_OPTIONS]
            hint = nearest(name, known)
            raise ThunderError(f"{word}: not a flag of thunder{hint}; flags: {', '.join(known)}")
        else:
            rest.append(word)
    if flags.get("cfg", "job") != "job":
        raise ThunderError(f"--cfg {flags['cfg']}: only 'job' can be shown")
    return flags, rest


if __name__ == "__main__":
    sys.exit(main())
