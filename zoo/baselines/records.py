"""The records of recipes: what runs wrote about themselves, `results/<recipe>/<seed>.json`.

A record holds `config` and `seed`, `fields` (the resolved config), `result` (result.json), `run` (run.json without the
places of its data and its workdir), and `curve` (the rows of metrics.jsonl). All of it is written here and nowhere
else.

Bits repeat on one kind of machine, accuracy on all of them. So a record may also hold `digests`: what the same run
ended with on other kinds of machines. Each is `kind` (see `zoo.runs.provenance.kind`), `zoo_commit` and
`state_sha256`. They lie beside the config that they belong to, so that nobody can change the one without the other.
"""

import json
from pathlib import Path
from typing import Any

from zoo.baselines import recipes
from zoo.config import recorded_config
from zoo.errors import RequestError
from zoo.runs import provenance
from zoo.runs.files import write_atomically, writing
from zoo.runs.records import load_record, record_files

RESULTS = recipes.ROOT / "results"


def read_records(name: str) -> list[dict[str, Any]]:
    """The records of a recipe by seed; none where it was not yet run here.

    Raises:
        RequestError: a record cannot be read.
    """
    records = []
    for file in record_files(folder_of(name)):
        record = load_record(file)
        if (record["config"], f"{record['seed']}.json") != (name, file.name):
            whose = f"that of {record['config']}, seed {record['seed']}"
            raise RequestError(f"{recipes.shown(file)} is no record of this recipe and seed: it is {whose}")
        records.append(record)
    return records


def folder_of(name: str) -> Path:
    """Where the records of a recipe lie."""
    return RESULTS / name


def recorded_recipes() -> list[str]:
    """The names of the recipes of which there are records, sorted; other folders beside them are none."""
    folders = sorted(RESULTS.iterdir()) if RESULTS.is_dir() else ()
    return [folder.name for folder in folders if record_files(folder)]


def write_record(name: str, record: dict[str, Any]) -> None:
    """Writes the record of a seed, in place of the one that there may be."""
    folder = folder_of(name)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / f"{record['seed']}.json", text.encode())


def kind_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """The kind of machine of a record's own run, see `zoo.runs.provenance.kind`; None where it is unknown."""
    return provenance.kind(record["run"], record["fields"].get("cpu_threads", 0))


def digests_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What a run ended with, on each kind of machine that its record knows; the kind of its own run may be None."""
    commit = record["run"]["versions"].get("zoo_commit")
    digest = {"kind": kind_of(record), "zoo_commit": commit, "state_sha256": record["result"]["state_sha256"]}
    return [digest, *record.get("digests", [])]


def of_kind(digests: list[dict[str, Any]], kind: dict[str, Any] | None) -> dict[str, Any] | None:
    """The digest of a kind of machine; None where there is none, or the kind is unknown."""
    return next((digest for digest in digests if kind is not None and digest["kind"] == kind), None)


def same_bits(records: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> str:
    """How the bits of runs compare with what is recorded of the same seeds; empty where there are no records of them.

    Only digests of the same kind of machine can tell that something changed. Those of other and unknown kinds are
    looked at where there are no others, since equal bits are worth knowing, and different ones mean nothing.
    """
    before = {record["seed"]: digests_of(record) for record in recorded}
    runs = [(record["result"]["state_sha256"], kind_of(record), before.get(record["seed"])) for record in records]
    runs = [(state, kind, digests) for state, kind, digests in runs if digests]
    if not runs:
        return ""
    pairs = [(state, of_kind(digests, kind)) for state, kind, digests in runs]
    comparable = [(state, digest["state_sha256"]) for state, digest in pairs if digest]
    different = sum(state != recorded_state for state, recorded_state in comparable)
    if different:
        return f"other bits than recorded on this kind of machine ({different} of {len(comparable)})"
    if comparable:
        count = f" ({len(comparable)} of {len(runs)} are recorded)" if len(comparable) < len(runs) else ""
        return f"same bits{count}"
    if all(state in [digest["state_sha256"] for digest in digests] for state, _, digests in runs):
        return "no record of this kind of machine, but the same bits as recorded"
    return "no record of this kind of machine: bits not compared"


def same_states(records: list[dict[str, Any]]) -> str:
    """Which seeds ended with the same variables as another one; empty where all differ."""
    seeds: dict[str, list[str]] = {}
    for record in records:
        seeds.setdefault(record["result"]["state_sha256"], []).append(str(record["seed"]))
    groups = [f"seeds {', '.join(group)}" for group in seeds.values() if len(group) > 1]
    return f"{' and '.join(groups)} ended with the same variables: the seed had no effect" if groups else ""


def kept_digests(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The digests of an old record that stay in the new one: those of other kinds of machines.

    None stays where the config changed, nor where the new run has other bits on a kind that the old record knows: then
    the code changed them, and what other machines would end with now is not known.
    """
    known, kind = digests_of(old), kind_of(new)
    same = of_kind(known, kind)
    if not same_config(old, new) or (same and same["state_sha256"] != new["result"]["state_sha256"]):
        return []
    return [digest for digest in known if digest["kind"] not in (None, kind)]


def same_config(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two records are of one config; a field that an older record lacks has its default there."""
    try:
        return recorded_config(old["fields"]) == recorded_config(new["fields"])
    except (TypeError, ValueError):
        return False


def unknown_code(names: list[str]) -> list[str]:
    """The records of which no commit tells what code made them, a line for each recipe and what they say.

    Raises:
        RequestError: a record cannot be read.
    """
    lines = []
    for name in names:
        seeds: dict[str, list[str]] = {}
        for record in read_records(name):
            commit = record["run"]["versions"].get("zoo_commit")
            if commit is None or commit.endswith("+changes"):
                seeds.setdefault(commit or "no commit", []).append(str(record["seed"]))
        lines += [f"results/{name}, made at {commit}: seeds {', '.join(group)}" for commit, group in seeds.items()]
    return lines
