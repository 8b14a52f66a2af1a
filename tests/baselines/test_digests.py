"""What runs ended with on which kinds of machines, and what of it records keep."""

import json
import re

import pytest
from clones import changed, record

from zoo.baselines.agreement import add_digests, disagreements, update
from zoo.baselines.recipes import read_recipe
from zoo.baselines.records import RESULTS, digests_of, read_records, same_bits
from zoo.baselines.running import Outcome


def test_records_of_unknown_code_are_noted_and_no_error(recorded):
    for seed, commit in ((0, None), (2, None), (1, "abc+changes")):
        run = recorded.record(seed)["run"]
        recorded.change_record(seed, run={**run, "versions": {"zoo_commit": commit}})
    status, out, err = recorded("--check")
    assert (status, out) == (0, "1 recipes: configs, records and README agree\n")
    assert err.splitlines() == [
        "note: results/tiny, made at no commit: seeds 0, 2",
        "note: results/tiny, made at abc+changes: seeds 1",
    ]


def test_other_bits_are_named_on_the_same_kind_of_machine(recorded):
    records = read_records("tiny")
    assert same_bits(records, []) == ""
    assert same_bits(records, records) == "same bits"
    other = changed(records, digest=64 * "f")
    other[1]["run"]["versions"]["zoo_commit"] = "def"
    assert same_bits(records, other) == "other bits than recorded on this kind of machine (1 of 3)"


@pytest.mark.parametrize(
    "facts",
    [
        *({"vendor": "W"}, {"family": 7}, {"model": 2}, {"instructions": "AVX512_CORE"}, {"onednn": False}),
        *({"environment": {"XLA_FLAGS": "--x"}}, {"cores": 3}, {"gpus": [{"name": "G"}]}),
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_bits_of_other_kinds_of_machines_say_nothing(recorded, facts):
    records = read_records("tiny")
    other = changed(records, digest=64 * "f", **facts)
    assert same_bits(records, other) == "no record of this kind of machine: bits not compared"
    alike = changed(records, **facts)
    said = "no record of this kind of machine, but the same bits as recorded"
    assert same_bits(records, alike) == said
    # A record that knows this kind beside its own.
    other[1]["digests"] = digests_of(records[1])
    assert same_bits(records, other) == "same bits (1 of 3 are recorded)"


@pytest.mark.parametrize("side", [0, 1])
def test_where_the_kind_is_unknown_bits_are_not_compared(recorded, side):
    """Older records know the name of the processor alone, and some systems do not tell more."""
    records = read_records("tiny")
    old = changed(records, digest=64 * "f")
    for own in old:
        own["run"]["hardware"] = {"cores": 2, "processor": "P"}
    pair = (records, old) if side else (old, records)
    assert same_bits(*pair) == "no record of this kind of machine: bits not compared"
    assert same_bits(old, changed(old, digest=64 * "0")).startswith("no record of this kind of machine: bits")


def test_a_name_is_no_kind_and_fixed_threads_make_cores_alike(recorded):
    records = read_records("tiny")
    assert same_bits(records, changed(records, processor="Q")) == "same bits"
    for own in records:
        own["fields"]["cpu_threads"] = 1
    assert same_bits(records, changed(records, cores=64)) == "same bits"


def test_digests_of_another_machine_are_added_and_nothing_else(recorded, monkeypatch):
    before = [recorded.record(seed) for seed in range(3)]
    config = recorded.config.read_text()
    monkeypatch.setenv("STUB_MODEL", "2")
    status, out, _ = recorded("tiny", "--seeds=3", "--add_digests")
    assert (status, recorded.config.read_text()) == (0, config)
    assert "but the same bits as recorded" in out.splitlines()[1]
    machine = "V family 6 model 2, AVX2, oneDNN on, 2 threads"
    assert out.splitlines()[-1] == f"results/tiny: 3 digests added of {machine}"
    for seed, old in enumerate(before):
        new = recorded.record(seed)
        (added,) = new.pop("digests")
        assert new == old
        assert (added["kind"]["model"], added["zoo_commit"], added["state_sha256"]) == (2, "abc", f"{seed:064x}")
    assert disagreements(["tiny"]) == []
    # Again there is nothing to add, and now there is something to compare with.
    status, out, _ = recorded("tiny", "--seeds=3", "--add_digests")
    assert out.splitlines()[1].endswith("; same bits")
    assert "results/tiny: 0 digests added of" in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": 64 * "f"}, "since this kind of machine is recorded with other bits"),
        ({"fields": {"epochs": 1, "seed": 1}}, "since the config of its records is another one; --update replaces"),
        ({"missing": True}, "since it has records of 2 seeds; --update makes them"),
        ({"vendor": None}, "since this system does not tell what kind of processor it has"),
        ({"more": 0.2}, "since it does not hold"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_digests_that_belong_to_no_record_are_not_added(recorded, change, said):
    recipe, before = read_recipe("tiny"), read_records("tiny")
    hardware = {"vendor": None} if "vendor" in change else {}
    made = [record(seed, 0.9 + 0.02 * seed + change.get("more", 0), **hardware) for seed in range(3)]
    made = changed(made, digest=change.get("digest"))
    made[1]["fields"] = change.get("fields", made[1]["fields"])
    files = {file: file.read_bytes() for file in recorded.root.rglob("results/*/*.json")}
    kept = before[:2] if "missing" in change else before
    (line,) = add_digests(Outcome(recipe, kept, made))
    assert line.startswith("tiny: nothing added, ")
    assert said in line
    assert files == {file: file.read_bytes() for file in files}


def test_an_update_keeps_the_digests_that_still_belong_to_the_code(recorded):
    recipe, before = read_recipe("tiny"), read_records("tiny")

    def updated(records: list[dict]) -> dict[int, str]:
        """The digests that the record of seed 1 holds after an update by these runs, by model of the processor."""
        update(Outcome(recipe, before, records))
        return {own["kind"]["model"]: own["state_sha256"] for own in digests_of(recorded.record(1))}

    same, ones, twos = f"{1:064x}", 64 * "1", 64 * "2"
    before[1]["digests"] = digests_of(changed(before, digest=ones, model=7)[1])
    assert updated(before) == {1: same, 7: ones}
    # Another machine's runs take the place of the records, which stay as digests.
    assert updated(changed(before, digest=twos, model=2)) == {2: twos, 1: same, 7: ones}
    assert updated(changed(before, digest=ones, model=7)) == {7: ones, 1: same}
    # The code gives other bits now on a kind that is known.
    assert updated(changed(before, digest=twos)) == {1: twos}
    assert updated(changed(before, digest=twos, model=7)) == {7: twos}
    other = changed(before, model=2)
    other[1]["fields"] = {**other[1]["fields"], "batch_size": 64}
    assert updated(other) == {2: same}
    # What an older record ended with cannot be kept, since nobody knows on what.
    made = changed(before, model=2)
    before[1]["run"]["hardware"] = {"cores": 2, "processor": "P"}
    assert updated(made) == {2: same, 7: ones}


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*/*.json")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_record_says_where_nothing_lies(file):
    record = json.loads(file.read_text())
    recipe, seed = file.parent.name, file.stem
    assert record["run"]["command"] == ["train.py", f"--config=configs/{recipe}.py", f"--seed={seed}"]
    assert not re.search(r"\"[^\"]*/(tmp|home|root|work|Users|mnt|data)/", file.read_text())
    assert record["curve"][-1]["step"] == record["result"]["steps"]
