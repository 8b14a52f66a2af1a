"""Rows of metrics: what is past a step, or no row, is dropped."""

import json

from zoo.runs.rows import truncate_rows


def test_rows_past_a_step_and_a_torn_row_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    truncate_rows(path, 3)  # there is no file yet
    rows = [{"step": step, "loss": 1 / 3} for step in (1, 3, 3, 4, 9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '3\n{"loss": 1}\n{"step": 2, "lo')
    with open(path, "ab") as file:
        file.write(b'\xff\n{"step": null}\n')
    truncate_rows(path, 3)
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows[:3]


def test_the_row_of_an_evaluation_to_come_is_dropped_and_the_training_row_stays(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": step, "split": split} for step in (3, 6) for split in ("train", "test")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    truncate_rows(path, 6, "test")
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows[:3]
