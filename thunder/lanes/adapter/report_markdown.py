"""The report of a window as a person reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import markdown
from thunder.training.preflight import megabytes


def render(report: Mapping[str, Any]) -> str:
    """Return report.md of the content of report.json."""
    lines = [f"# Run {report['run_id']}: step {report['step']} of {report['total_steps']}", ""]
    if report["stand_ins"]:
        names = " and ".join(report["stand_ins"])
        lines += [
            f"> **Stand-in:** {names}, built in place. The machinery is real, the numbers are not.",
            "",
        ]
    lines += [
        f"- Run id: `{report['run_id']}`, profile `{report['profile']}`, site `{report['site']}`",
        f"- Run folder: `{report['run_folder']}`",
        f"- Exact command: `{report['command']}`",
        f"- Reproduce: `{report['reproduce']}`",
        _reached(report),
        *_section("Data set", [_place(report["data_set"]), "", *_checks(report["data_set"])]),
        *_section(
            "Model cache", [_place(report["model_cache"]), "", *_checks(report["model_cache"])]
        ),
        *_section("Hosts", _host_table(report["hosts"])),
        *_section("Preflight", _check_table(_others(report))),
        *_section("Verification, read again from disk", _check_table(report["verification"])),
        *_section("Metrics", [*_metric_table(report["metrics"]), *_peaks(report)]),
        *_section("Remaining limits", [f"- {limit}" for limit in report["remaining_limits"]]),
    ]
    return "\n".join(lines) + "\n"


def _reached(report: Mapping[str, Any]) -> str:
    step, goal = report["step"], report["goal"]
    if report["checkpoint_reached"]:
        return f"- Checkpoint: `checkpoint.json` reached step {step}, verified"
    return f"- Checkpoint: step {goal} was **not** reached; the run is at {step}"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _place(entry: Mapping[str, Any]) -> str:
    return f"`{entry['name']}` in `{entry['folder']}`, sha256 `{entry['sha256']}`"


def _checks(entry: Mapping[str, Any]) -> list[str]:
    return _check_table(entry["checks"])


def _others(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the checks of the preflight that have no section of their own."""
    own = [*report["data_set"]["checks"], *report["model_cache"]["checks"]]
    return [row for row in report["preflight"] if row not in own]


def _host_table(hosts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [["host", "ranks", "item", "path", "sha256"], ["---"] * 5]
    for host in hosts:
        ranks = ", ".join(map(str, host["ranks"])) or "none"
        for one in host["items"]:
            commit = f"commit {one['commit']}" if one["commit"] else ""
            digests = ", ".join(filter(None, (one["sha256"], commit))) or "none"
            lines.append([host["host"], ranks, one["item"], one["path"], digests])
    return [markdown.row(cells) for cells in lines]


def _metric_table(numbers: Mapping[str, float | None]) -> list[str]:
    rows = [[name, _number(value)] for name, value in sorted(numbers.items())]
    return [markdown.row(cells) for cells in (["metric", "value"], ["---"] * 2, *rows)]


def _peaks(report: Mapping[str, Any]) -> list[str]:
    peaks = enumerate(report["peak_memory_bytes"])
    each = ", ".join(f"{megabytes(size)} on rank {rank}" for rank, size in peaks)
    return ["", f"Peak memory of arrays since the window began: {each}."] if each else []


def _check_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [["check", "host", "result", "measured"], ["---"] * 4]
    for row in rows:
        measured = "; ".join(part for part in (row["measured"], row["reason"]) if part)
        lines.append([row["check"], row["host"], row["status"], measured])
    return [markdown.row(cells) for cells in lines]


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.6g}"
