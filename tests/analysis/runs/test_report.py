"""The page of a run: its numbers are the run's, its images the dataset's, its text is text."""

import made
import numpy as np
import pytest

from zoo import metrics
from zoo.analysis.runs import pair_sections, report
from zoo.analysis.runs.images import open_images
from zoo.runs import records
from zoo.training.data import open_data


def class_answers(rng, num, classes, confident=1.0):
    label = rng.integers(classes, size=num).astype("int32")
    predicted = np.where(rng.random(num) < 0.7, label, rng.integers(classes, size=num)).astype("int32")
    confidence = (confident * rng.permutation(num) / num).astype("float32")
    return {"label": label, "predicted": predicted, "confidence": confidence, "loss": confidence}


def page_of(folder, tmp_path):
    output = tmp_path / "output"
    found = made.Page(report.write_run(records.read(folder), output))
    found.check_alone()
    return found, {path.name for path in output.iterdir()}


def test_the_machine_is_said_as_far_as_it_is_known(tmp_path):
    hardware = {"processor": "A  Xeon", "cores": 2, "vendor": "V", "family": 6, "model": 7, "instructions": "AVX2"}
    hardware |= {
        "onednn": True,
        "gpus": [{"name": "G"}],
        "environment": {"TF_ENABLE_ONEDNN_OPTS": "1", "XLA_FLAGS": "--x"},
    }
    run = records.read(made.workdir(tmp_path / "run", made.config(), None, {}))
    for known, said in (
        (hardware, "A Xeon, V family 6 model 7, AVX2, oneDNN on, 2 cores, G, XLA_FLAGS=--x"),
        (hardware | {"onednn": False, "gpus": []}, "A Xeon, V family 6 model 7, AVX2, oneDNN off, 2 cores, XLA_"),
        ({"processor": "AMD EPYC", "cores": 1}, "AMD EPYC, 1 core"),
        ({}, "unknown"),
    ):
        _, facts = report.facts(records.dataclasses.replace(run, run={**run.run, "hardware": known}))
        assert f">{said}" in str(facts)
    began = {"name": "timm/<net>", "licence": "Apache-2.0", "new_layers": ["logits"], "new_because": "4 classes"}
    _, facts = report.facts(records.dataclasses.replace(run, run={**run.run, "init_weights": began}))
    assert ">timm/&lt;net&gt;, Apache-2.0, new: logits (4 classes)<" in str(facts)


@pytest.fixture(scope="module")
def classification(tmp_path_factory):
    """A page of a classification, its files, and the answers that it is made of."""
    folder = tmp_path_factory.mktemp("classification")
    answers = class_answers(np.random.default_rng(0), 64, 4)
    values = {"train/loss": 0.25, "test/loss": 0.5, "test/accuracy": 0.7031, "test/top5_accuracy": 1.0}
    rows = made.curve(accuracy=0.7031, top5_accuracy=1.0)
    rows[1]["accuracy"] = 0.5
    run = made.workdir(folder / "<run>", made.config(learning_rate=0.25), answers, values, rows=rows)
    return *page_of(run, folder), answers


def test_facts_are_those_of_the_run(classification):
    found, _, _ = classification
    facts = dict(found.tables["facts of the run"])
    assert facts["model"] == "simple_cnn"
    assert facts["evaluated on"] == "test, 64 examples"
    assert facts["digest of all variables"] == "ab" * 32
    assert facts["command"] == "train.py <i>"
    assert facts["time"] == "12.5 s, of which training 7.2 s"
    assert found.tables["config fields that differ from the defaults"][1:] == [
        ["dataset", "digits", made.DATASET],
        ["ways", "20", "0"],
        ["learning_rate", "0.001", "0.25"],
    ]
    assert found.tables["metrics"] == [
        ["metric", "train", "test"],
        ["loss", "0.2500", "0.5000"],
        ["accuracy", "", "0.7031"],
    ]
    assert found.text["h1"] == f"simple_cnn on {made.DATASET}, <run>"


def test_what_says_nothing_is_not_plotted(classification):
    found, files, _ = classification
    assert "Never changed: learning_rate 0.1." in found.text["p"]
    # Of four classes five guesses hold the right one.
    assert "top5" not in found.source
    assert not any("top5" in name for name in files)


def test_names_are_text_everywhere(classification):
    found, _, _ = classification
    assert not {"b", "i", "run"} & set(found.text)
    for name in made.NAMES:
        assert name in found.text["figcaption"] + found.text["table"]


def test_a_figure_stands_beside_the_page_for_each_part(classification):
    _, files, _ = classification
    curves = {f"curve_{name}.png" for name in ("loss", "accuracy")}
    assert files == {"index.html", *curves, "confusion_label.png", "mistakes_label.png", "calibration_label.png"}


def test_confused_classes_are_counted(classification):
    found, _, answers = classification
    counts = metrics.confusion_matrix(answers["label"], answers["predicted"], 4)
    rows = found.tables["most confused classes"][1:]
    for true, taken, times in rows:
        row, column = made.NAMES.index(true), made.NAMES.index(taken)
        assert times == f"{counts[row, column]} of {counts[row].sum()}"
    assert sum(int(times.split()[0]) for *_, times in rows) == counts.sum() - np.trace(counts)
    assert f"{np.trace(counts)} of 64 are right." in found.text["p"]


def test_the_worst_mistakes_are_shown_with_what_was_said(classification):
    found, _, answers = classification
    wrong = [i for i in np.argsort(-answers["confidence"]) if answers["predicted"][i] != answers["label"][i]]
    source = open_data(made.config()).evaluation
    assert list(found.images) == [f"example {i}" for i in wrong]
    for i in wrong:
        np.testing.assert_array_equal(found.images[f"example {i}"], source.fetch(np.array([i]))["image"][0])
        predicted, true = (made.NAMES[answers[name][i]] for name in ("predicted", "label"))
        assert f"{predicted}, is {true}; {answers['confidence'][i]:.3f}" in found.text["figcaption"]


def test_the_calibration_error_is_the_metric(classification):
    found, _, answers = classification
    error = metrics.expected_calibration_error(answers["confidence"], answers["predicted"] == answers["label"])
    assert f"The calibration error is {error:.4f}:" in found.text["figcaption"]


def test_heads_have_their_sections_and_numbers_their_errors(tmp_path):
    rng = np.random.default_rng(1)
    answers = {f"kind/{name}": values for name, values in class_answers(rng, 64, 4).items()}
    answers |= {"loss": np.zeros(64, "float32"), "angle/loss": np.zeros(64), "angle/error": rng.random(64)}
    names = {"kind": made.NAMES, "angle": []}
    run = made.workdir(tmp_path / "run", made.config(), answers, {"test/kind_accuracy": 0.5}, class_names=names)
    found, files = page_of(run, tmp_path)
    assert found.text["h2"].endswith("Confusion: kindWorst mistakes: kindCalibration: kindWorst mistakes: angle")
    assert f"error {answers['angle/error'].max():.4g}" in found.text["figcaption"]
    assert {"mistakes_kind.png", "mistakes_angle.png"} <= files


@pytest.fixture(scope="module")
def verification(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verification")
    config = made.config(model="siamese", ways=3, shots=2)
    data = open_data(config)
    batch = data.evaluation_batches()
    everything = batch.evaluate(np.arange(batch.num_examples))
    same = everything["same"].numpy()
    score = (np.random.default_rng(2).random(len(same)) + 0.3 * same).astype("float32")
    values = {"test/one_shot_accuracy": 0.5, "test/one_shot_pixel_accuracy": 0.25}
    answers = {"score": score, "same": same, "loss": score}
    found, files = page_of(made.workdir(folder / "run", config, answers, values), folder)
    return found, files, answers, everything


def test_the_roc_is_that_of_the_pairs_alone(verification):
    found, files, answers, _ = verification
    area = metrics.roc_auc(answers["score"][:64], answers["same"][:64])
    assert f"64 pairs. The area is {area:.4f}." in found.text["figcaption"]
    assert {"roc.png", "pairs_same.png", "pairs_different.png"} <= files


def test_misleading_pairs_are_the_extremes(verification):
    found, _, answers, everything = verification
    different = [i for i in np.argsort(-answers["score"][:64]) if not answers["same"][i]]
    alike = [i for i in np.argsort(answers["score"][:64]) if answers["same"][i]]
    shown = [int(alt.split()[-1]) for alt in found.images if alt.startswith("left of pair")]
    assert shown == [*different[: pair_sections.PAIRS], *alike[: pair_sections.PAIRS]]
    for side in ("left", "right"):
        np.testing.assert_array_equal(found.images[f"{side} of pair {shown[3]}"], everything[side][shown[3]])


def test_episodes_show_query_candidates_and_what_was_chosen(verification):
    found, files, answers, everything = verification
    assert {"one_shot_first.png", "one_shot_wrong.png"} <= files
    assert (
        "400 episodes of 3 classes, 2 of each; one_shot_accuracy 0.5000, one_shot_pixel_accuracy 0.2500"
        in (found.text["p"])
    )
    scores = answers["score"][64:].astype(float).reshape(400, 3, 2).mean(2)
    right = answers["same"][64:].reshape(400, 3, 2)[:, :, 0].argmax(1)
    np.testing.assert_array_equal(found.images["query of episode 1"], everything["left"][64 + 6])
    for way in range(3):
        marks = {"true": way == right[1], "chosen": way == scores[1].argmax()}
        words = [f"candidate {way + 1}", *(mark for mark, holds in marks.items() if holds)]
        assert ", ".join([*words, f"score {scores[1, way]:.4g}"]) in found.images
    wrong = np.flatnonzero(right != scores.argmax(1))
    assert f"query of episode {wrong[4]}" in found.images


def test_a_run_without_answers_says_so(tmp_path):
    run = made.workdir(tmp_path / "run", made.config(), None, {"test/accuracy": 0.5})
    found, files = page_of(run, tmp_path)
    assert "evaluation.npz is not there" in found.text["p"]
    assert files == {"index.html", "curve_loss.png"}


def test_other_examples_are_not_shown_for_the_runs(tmp_path):
    answers = class_answers(np.random.default_rng(0), 64, 4)
    run = made.workdir(tmp_path / "run", made.config(), answers, {"test/accuracy": 0.5}, eval_sha256="other")
    found, files = page_of(run, tmp_path)
    assert "holds other examples than in the run" in found.text["p"]
    assert found.images == {}
    assert len(found.tables["worst mistakes"]) > 5
    assert "mistakes_label.png" not in files


def test_a_dataset_that_is_gone_is_named(tmp_path):
    run = made.workdir(tmp_path / "run", made.config(), None, {})
    config = made.config(dataset="folder:<nowhere>")
    found = open_images(records.dataclasses.replace(records.read(run), config=config))
    assert found.source is None
    assert "<nowhere>" in found.why


def test_nothing_is_wrong_and_nothing_was_measured_twice(tmp_path):
    label = np.arange(64, dtype="int32") % 4
    answers = {"label": label, "predicted": label, "confidence": np.ones(64, "float32"), "loss": np.zeros(64)}
    run = made.workdir(tmp_path / "run", made.config(), answers, {"test/loss": 0.0}, rows=made.curve()[:2])
    found, _ = page_of(run, tmp_path)
    assert "Measured once: train/loss 0.5; test/loss 1; learning_rate 0.1." in found.text["p"]
    assert "There is none." in found.text["p"]
    assert "64 of 64 are right.None." in found.text["p"]


def test_the_worst_mistakes_name_their_files(tmp_path):
    answers = class_answers(np.random.default_rng(0), 64, 4)
    answers["example"] = np.array([f"class/<{number}>.png" for number in range(64)])
    run = made.workdir(tmp_path / "run", made.config(), answers, {"test/accuracy": 0.5})
    found, _ = page_of(run, tmp_path)
    rows = found.tables["worst mistakes"]
    assert rows[0] == ["example", "predicted", "true", "confidence"]
    assert len(rows) > 5
    for name, predicted, true, confidence in rows[1:]:
        place = int(name.removeprefix("class/<").removesuffix(">.png"))
        assert [predicted, true] == [made.NAMES[answers[key][place]] for key in ("predicted", "label")]
        assert confidence == f"{answers['confidence'][place]:.3f}"
        assert f"{confidence}{name}" in found.text["figcaption"]
        assert f"example {name}" in found.images


def test_examples_of_heads_and_of_numbers_are_named_too(tmp_path):
    rng = np.random.default_rng(1)
    answers = {f"kind/{name}": values for name, values in class_answers(rng, 64, 4).items()}
    answers |= {"angle/loss": np.zeros(64), "angle/error": rng.random(64), "example": np.arange(64) + 500}
    names = {"kind": made.NAMES, "angle": []}
    run = made.workdir(tmp_path / "run", made.config(), answers, {}, class_names=names)
    found, _ = page_of(run, tmp_path)
    largest = int(answers["angle/error"].argmax())
    assert f"error {answers['angle/error'][largest]:.4g}example {largest + 500}" in found.text["figcaption"]
    assert f'<td>{largest + 500}</td><td class="number">{answers["angle/error"][largest]:.4g}</td>' in found.source


def test_misleading_pairs_name_their_files(tmp_path):
    config = made.config(model="siamese", ways=0)
    data = open_data(config)
    batch = data.evaluation_batches()
    same = batch.evaluate(np.arange(batch.num_examples))["same"].numpy().astype(bool)
    answers = {"score": np.linspace(0, 1, len(same), dtype="float32"), "same": same}
    for side in ("left", "right"):
        answers[f"{side}_example"] = np.array([f"{side}/{number}.png" for number in range(len(same))])
    run = made.workdir(tmp_path / "run", config, answers, {"test/accuracy": 0.5})
    found, _ = page_of(run, tmp_path)
    different = np.flatnonzero(~same)[::-1]
    rows = found.tables["misleading pairs, different"]
    assert rows[0] == ["pair", "score", "left", "right"]
    assert [row[2:] for row in rows[1:3]] == [[f"{side}/{i}.png" for side in ("left", "right")] for i in different[:2]]
    assert f"left/{different[0]}.pngright/{different[0]}.png" in found.text["figcaption"]


def test_of_many_classes_only_the_largest_confusions_are_shown(tmp_path):
    config = made.config(dataset="synthetic:9x7x3,classes=21,examples=640")
    answers = class_answers(np.random.default_rng(0), 64, 21)
    names = {"label": [f"class {number}" for number in range(21)]}
    run = made.workdir(tmp_path / "run", config, answers, {"test/top5_accuracy": 0.9}, class_names=names)
    found, files = page_of(run, tmp_path)
    assert "confusion_label.png" not in files
    assert 1 < len(found.tables["most confused classes"]) <= 21
    assert "All 21 classes are in confusion_label.csv" in found.text["p"]
    assert "test/top5_accuracy 0.9000" in found.text["p"]


def test_a_run_that_was_stopped_has_a_page(tmp_path):
    run = made.unfinished(tmp_path / "run", made.config(), made.curve(accuracy=0.5))
    found, files = page_of(run, tmp_path)
    assert found.text["p"].startswith("Not finished: step 18 of 400.test/accuracy 0.5000")
    assert files == {"index.html", "curve_loss.png"}
    facts = dict(found.tables["facts of the run"][1:])
    assert facts["steps"] == "18 (20 epochs are to be, seed 0)"
    assert facts.keys() == {"model", "dataset", "trained on", "evaluated on", "steps", "command"}
    assert "They come with the end of the run." in found.text["p"]


def test_a_run_whose_loss_became_nan_has_a_page_without_the_files_that_are_missing(tmp_path):
    rows = made.curve(values=(0.5, 0.25, float("nan")))
    rows[2]["loss"] = float("inf")
    run = made.unfinished(tmp_path / "run", made.config(), rows)
    (run / "run.json").unlink()
    found, files = page_of(run, tmp_path)
    assert found.text["p"].startswith("Not finished: step 27; the train loss became inf by step 18.")
    assert "No number: train/loss inf at epoch 2 and at 1 later ones; test/loss nan at epoch 3." in found.text["p"]
    assert "curve_loss.png" in files
    (run / "metrics.jsonl").unlink()
    found, files = page_of(run, tmp_path / "again")
    assert found.text["p"].startswith("Not finished: step 0.")
    assert "There is none: nothing was measured." in found.text["p"]


def test_a_finished_run_without_its_run_json_says_what_it_lacks(tmp_path):
    run = made.workdir(tmp_path / "run", made.config(), class_answers(np.random.default_rng(0), 64, 4), {})
    (run / "run.json").unlink()
    found, _ = page_of(run, tmp_path)
    assert "run.json lacks class_names" in found.text["p"]
