"""The claims: sets without common people, arms that resume, results that refuse other settings, and the report's arithmetic."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.claims import command, compare, journal, report, sets
from benchmarks.claims.plan import Plan, arms_of, in_order
from benchmarks.claims.training import Workshop
from refasr import corpus
from refasr.errors import FormatError, RangeError
from refasr.shipped import data_path
from refasr.train import run

TRAINING = """
[model]
encoder_widths = [8]
embedding_width = 4
predictor_width = 8
joiner_width = 8
[schedule]
steps = 3
[batch]
seconds = 6
utterances = 4
[augment]
room_chance = 0.0
[[data]]
manifest = "train.tsv"
"""
CLAIMS = """
fine = { steps = 3, warmup_steps = 1 }
[sets]
test_words = 1
[arms]
base = {}
dense = { start = "base" }
sparse = { start = "base", sparsify = { sparsity = 0.5, to_step = 2, every = 1 } }
taught = { start = "base", distil = { teacher = "dense" } }
rounded = { rounded = "dense", quantise = { bits = 4, method = "none" } }
[[claim]]
name = "zeros"
says = "as good"
arms = ["sparse"]
against = "dense"
bar = "within"
[[claim]]
name = "rounding"
says = "costs something"
arms = ["rounded"]
against = "dense"
bar = "reported"
"""
WORDS = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1])


def planned(folder, claims=CLAIMS, training=TRAINING):
    """A small plan. Parameters: folder, claims, training (TOML). Returns a Plan."""
    for name, text in {"claims.toml": claims, "training.toml": training}.items():
        (folder / name).write_text(text)
    return Plan(folder / "claims.toml", folder / "training.toml")


def parts_of_smoke():
    """Shipped synthetic digits in place of the recordings. Returns a dict of lists of Utterance."""
    items = corpus.select(corpus.read_manifest(data_path("smoke", "manifest.tsv")), ["source=pico"])
    return {"train": items[:12], "choice": items[12:15], "test": items[15:18], "labelled": items[:3], "hidden": items[3:6]}


def made(folder, plan, names):
    """Run a plan. Parameters: folder, plan, names. Returns (the journal, lines that were told)."""
    told, results = [], journal.Journal(folder / "results.jsonl")
    command.run(plan, results, names, 1, folder / "work", parts_of_smoke(), told.append)
    return results, told


def test_arms_are_made_once_and_an_interrupted_run_goes_on(tmp_path):
    plan, file = planned(tmp_path), tmp_path / "results.jsonl"
    results, told = made(tmp_path, plan, ["zeros", "rounding"])
    assert [entry["arm"] for entry in results.lines] == ["base", "sparse", "dense", "rounded"] and len(told) == 4
    assert results.lines[1]["zeros"] == pytest.approx(0.5, abs=0.02) and results.lines[2]["zeros"] < 0.01
    whole = file.read_text()
    assert made(tmp_path, plan, ["zeros", "rounding"])[1] == [] and file.read_text() == whole
    file.write_text(whole[:-20])  # killed while it wrote
    again, told = made(tmp_path, plan, ["zeros", "rounding"])
    assert len(told) == 1 and "rounded" in told[0]
    first, last = (json.loads(text.splitlines()[-1]) for text in (whole, file.read_text()))
    assert last["test"] == first["test"] and last["key"] == first["key"]
    rows = report.rows(plan, again, ["zeros", "rounding"], 1)
    assert [row["arm"] for row in rows] == ["sparse", "rounded"] and all("effect" in row and row["decides"] for row in rows)
    assert len(list(report.table(rows))) > 4
    waiting = report.rows(plan, again, ["zeros"], 2)
    assert waiting[0]["verdict"] == "not finished: 2 of 4 arms to come" and list(report.table(waiting))


def test_other_settings_are_refused_or_are_another_arm(tmp_path):
    plan = planned(tmp_path)
    parts, results = parts_of_smoke(), journal.Journal(tmp_path / "results.jsonl")
    results.open(command.shared_settings(plan, parts), WORDS)
    fresh = lambda: journal.Journal(tmp_path / "results.jsonl")
    for changed, where in [(planned(tmp_path, CLAIMS, TRAINING.replace("seconds = 6", "seconds = 7")), "seconds was 6"),
                           (planned(tmp_path, CLAIMS.replace("{ steps = 3,", "{ steps = 4,")), "fine.steps was 3 and is 4")]:
        with pytest.raises(FormatError, match=where):
            fresh().open(command.shared_settings(changed, parts), WORDS)
    with pytest.raises(FormatError, match="sets.test was"):
        fresh().open(command.shared_settings(plan, parts | {"test": parts["choice"]}), WORDS)
    fresh().open(command.shared_settings(plan, parts), WORDS)
    keys = lambda text: {name: planned(tmp_path, text).arm(name, 1, {}).key for name in plan.arms}
    before, after = keys(CLAIMS), keys(CLAIMS.replace("sparsity = 0.5", "sparsity = 0.6"))
    assert {name for name in before if before[name] != after[name]} == {"sparse"}
    after = keys(CLAIMS.replace("base = {}", "base = { schedule = { steps = 4 } }"))
    assert not set(before.values()) & set(after.values()), "all begin with the base"
    assert plan.arm("dense", 1, {}).key != plan.arm("dense", 2, {}).key != plan.arm("dense", 2, {"test": "x"}).key
    for text in (CLAIMS.replace("start = \"base\" }", "start = \"best\" }"), CLAIMS.replace("start =", "begin =")):
        with pytest.raises(FormatError, match="expected"):
            planned(tmp_path, text).arm("dense", 1, {})


def test_an_arm_is_the_run_that_refasr_train_would_make(tmp_path):
    """What is remembered changes nothing, and the claims' own assembly is that of the trainer."""
    plan, folder = planned(tmp_path), tmp_path / "work"
    sets.write(folder, parts_of_smoke())
    workshop = Workshop(folder)
    for arm in in_order([plan.arm("taught", 1, {})]):
        model, _ = workshop.make(arm)
        workshop.keep(arm, model)
        config = dataclasses.replace(workshop.config(arm), work=f"straight-{arm.key}")
        *_, (progress, _) = (trainer := run.prepare(config)).steps(trainer.start())
        flat = np.concatenate([model.parameters[name].ravel() for name in trainer.shapes])
        assert flat.tobytes() == progress.adam.average.tobytes()
    assert workshop.memory, "the arms after the base hear the same"


def test_no_person_is_on_two_sides(shared):
    plan = Plan()
    parts = sets.deal(plan.sets, shared / "speech")
    people = {name: {(item.source, item.speaker) for item in parts[name]} for name in parts}
    assert not people["test"] & (people["train"] | people["choice"] | people["labelled"] | people["hidden"])
    assert not people["choice"] & (people["train"] | people["labelled"] | people["hidden"])
    assert sets.n_words(parts["test"]) >= 4000 and {item.source for item in parts["test"]} == {"gsc", "fsdd"}
    files = [{item.file for item in parts[name]} for name in ("labelled", "hidden")]
    assert not files[0] & files[1]
    share = np.mean([item.file in files[1] for item in parts["train"] if item.source == "gsc"])
    assert 0.87 < share < 0.93


def test_people_are_dealt_whole(tmp_path):
    items = [item for items in parts_of_smoke().values() for item in items]
    with pytest.raises(RangeError, match="expected more than"):
        sets.by_people(items, [10**6])


def test_every_claim_of_the_repository_names_arms_that_fit():
    plan = Plan()
    for claim in plan.claims.values():
        assert hasattr(compare, claim["bar"]) and claim["says"]
        for name in arms_of(claim):
            arm = plan.arm(name, 1, {})
            assert arm.rounded or arm.config.schedule.end() > 0


def test_rates_and_pairing_by_hand():
    """Two seeds, all utterances alike: a resample draws seeds a, b as aa, ab, ba or bb, for both arms at once."""
    ones = np.ones(10, np.int64)
    arm, dense = np.stack([ones * 3, ones * 1]), np.stack([ones * 2, ones * 2])
    value, drawn = compare.rates([arm, dense], WORDS, n_resamples=400)
    assert value.tolist() == [2, 2]
    assert set(drawn[:, 0]) == {1, 2, 3} and set(drawn[:, 1]) == {2}
    assert np.mean(drawn[:, 0] == 2) == pytest.approx(0.5, abs=0.08)
    shifted = dense + np.array([[5], [1]])
    _, drawn = compare.rates([shifted, dense + 1], WORDS, n_resamples=400)
    assert set(drawn[:, 0] - drawn[:, 1]) == {0, 2, 4}, "seeds are drawn once for both arms"


def test_verdicts_by_hand():
    row = lambda *counts: np.array([counts, counts], np.int64)
    dense, worse = row(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), row(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    effect, verdict = compare.lower(dense, worse, WORDS)
    assert effect.value == pytest.approx(-0.9) and effect.high < 0 and verdict == "holds"
    assert compare.lower(worse, dense, WORDS)[1] == "fails" == compare.lower(dense, dense, WORDS)[1]
    slightly = row(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert compare.lower(slightly, dense, WORDS)[1] == "lower, but not surely"
    assert compare.within(dense, dense, WORDS)[1] == "holds" and compare.within(worse, dense, WORDS)[1] == "fails"
    half = row(1, 1, 1, 1, 1, 1, 0, 0, 0, 0)
    effect, verdict = compare.recovers(half, worse, dense, WORDS)
    assert effect.value == pytest.approx((1.0 - 0.6) / (1.0 - 0.1)) and verdict == "fails"
    assert compare.recovers(dense, worse, dense, WORDS) == ((1, 1, 1), "holds")
    assert "no sure loss" in compare.recovers(dense, dense, dense, WORDS)[1]
    assert compare.reported(half, dense, WORDS)[0].value == pytest.approx(0.5)


def test_journal_keeps_counts_and_refuses_damage(tmp_path):
    counts = np.array([0, 3, 0, 255], np.int64)
    assert journal.unpack(journal.pack(counts)).tolist() == counts.tolist()
    path = tmp_path / "results.jsonl"
    first = journal.Journal(path)
    first.open({"sets": {}}, np.ones(4, np.int64))
    first.add({"arm": "a", "seed": 1, "key": "k", "test": counts})
    first.add({"arm": "b", "seed": 1, "key": "m", "test": counts})
    text = path.read_text()
    assert [entry["arm"] for entry in journal.Journal(path).by_key().values()] == ["a", "b"]
    path.write_text(text[:-5])
    assert [entry["arm"] for entry in journal.Journal(path).lines] == ["a"]
    path.write_text(text.replace("\"arm\": \"a\"", "\"arm\" \"a\""))
    with pytest.raises(FormatError, match="line 2"):
        journal.Journal(path)


def test_without_recordings_the_claims_are_skipped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sets, "SPEECH", tmp_path / "nowhere")
    assert command.main(["zeros-50", "--out", str(tmp_path / "results.jsonl"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "skipped: the folder ../shared is not here" in err and "not finished" in json.loads(out)[0]["verdict"]
    for arguments in (["zeros-51"], ["--seeds", "0"]):
        with pytest.raises(SystemExit):
            command.main(arguments)
