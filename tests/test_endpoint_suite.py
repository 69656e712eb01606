"""The latency suite of `data/training`: settings tried as arrays fire where the pair does; figures by hand; the picture."""

import json
import pathlib
import sys

import numpy as np
import pytest

from refasr import cli
from refasr.endpoint import compose, pair, rules
from refasr.endpoint.follow import Observation
from refasr.errors import FormatError

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "data" / "training"


@pytest.fixture(scope="module")
def tools():
    """The modules of the suite."""
    sys.path.insert(0, str(TOOLS))
    try:
        import endpoint_bytes
        import endpoint_data
        import endpoint_grid
        import endpoint_report
        import endpoint_sets
        yield {"sets": endpoint_sets, "grid": endpoint_grid, "report": endpoint_report, "data": endpoint_data,
               "bytes": endpoint_bytes}
    finally:
        sys.path.remove(str(TOOLS))


def tracked(sets, rng, n=40):
    """Made-up utterances. Parameters: sets (module), rng, n. Returns (Case, list of Observation) pairs."""
    found = []
    for number in range(n):
        n_frames = int(rng.integers(40, 120))
        times, spoken, text, pause, seen = sets.REACH_S + sets.FRAME_S * np.arange(n_frames), rng.random(n_frames), "", 0, []
        for t in range(n_frames):
            said = spoken[t] < (0.3 if t < n_frames // 2 else 0.01) and t > 3
            text, pause = (text + " on").strip() if said else text, 0 if said else pause + 1
            seen.append(Observation(float(rng.random() ** 2), text, "", pause * sets.FRAME_S, (t + 1) * sets.FRAME_S,
                                    float(rng.exponential(3))))
        texts, pauses, costs = zip(*[(one.text, one.pause_s, one.cost) for one in seen])
        case = sets.Case(("barista", "kokoro", "libri")[number % 3], "on", times[n_frames // 2], [(0.1, 0.2)] * (number % 2),
                         times, np.zeros((n_frames, 40)), np.zeros((n_frames, 8)), list(texts), np.array(pauses),
                         np.array(costs), (None, 20.0, 10.0)[number // 3 % 3])
        found.append((case, seen))
    return found


def test_settings_tried_as_arrays_fire_where_the_pair_does(tools):
    sets, grid = tools["sets"], tools["grid"]
    made = tracked(sets, np.random.default_rng(1))
    everything = grid.grid_of(made)
    tried = [pair.SHERPA, pair.KALDI, pair.PairSettings(0.9, final_pause_s=0.2),
             pair.PairSettings(0.99, final_pause_s=0.1, late_final=0.4, late_final_pause_s=0.6),
             pair.PairSettings(rules=(rules.Rule("length", 0.0, False, 2.0), rules.LONGEST))]
    for settings in tried:
        expected = [sets.outcome(case, seen, settings).final_s - case.end for case, seen in made]
        assert np.allclose(grid.latency(everything, settings), expected, atol=1e-12)


def test_the_best_settings_keep_to_the_goal(tools):
    grid = tools["grid"]
    tried = [("hasty", (0.2, 0.1, 0.3)), ("middle", (0.03, 0.42, 0.8)), ("slow", (0.01, 0.5, 0.7)), ("slower", (0.0, 0.9, 1.5))]
    assert [grid.best(tried, goal) for goal in (0.5, 0.05, 0.0)] == ["hasty", "slow", "slower"]
    assert grid.best(tried, 0.05, 0.4) == "middle" and grid.best(tried[:1], 0.1) is None
    assert grid.figures(np.array([-0.1, 0.2, 0.4])) == pytest.approx((1 / 3, 0.3, 0.38))


def test_summaries_are_those_counted_by_hand(tools):
    sets = tools["sets"]
    case = tracked(sets, np.random.default_rng(2), 1)[0][0]._replace(end=1.0)
    outcomes = [sets.Outcome(case, 1.4, 1.2, 1.2, True, True, 1, "on", "model"),
                sets.Outcome(case, 1.6, 0.8, 1.4, False, True, 2, "on", "model"),
                sets.Outcome(case, 0.9, None, None, False, False, 0, "", "sherpa-rule2")]
    found = sets.summary(outcomes)
    assert (found["early"], found["ep50"], found["lead"], found["agreement"]) == (0.3333, 500, 200, 0.3333)
    assert found["wasted"] == pytest.approx(1 / 3, abs=1e-4)


def test_strung_words_end_where_they_say(tools):
    data, rng = tools["data"], np.random.default_rng(3)
    words = [np.concatenate([np.zeros(3000), 0.3 * rng.standard_normal(n), np.zeros(2000)]).astype(np.float32)
             for n in (4000, 6000, 3000)]
    samples, text, placed = data.string(np.random.default_rng(4), words, "one two three")
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    assert text == "one two three" and abs(loud[0] - placed.begin) < 200 and abs(loud[-1] - placed.end) < 200
    assert len(placed.gaps) == 2 and all(np.abs(samples[gap - 100:gap + 100]).max() < 0.05 for gap in placed.gaps)
    made = compose.compose(samples, placed, compose.Plan(((0, 0.5),), 0.3, 1.0, None, 0.0, 0.0, None, 1), [], [])
    assert made.end_s == pytest.approx(0.3 + 0.5 + (placed.end - placed.begin) / 16000)


def test_sound_has_the_bytes_of_its_codecs(tools):
    samples = (0.1 * np.sin(np.arange(32000) / 9)).astype(np.float32)
    found = tools["bytes"].sound_bytes(samples)
    assert found["pcm"] == 64000 and found["opus"] < found["flac"] < found["pcm"]


@pytest.fixture
def report(tools):
    """A report on made-up utterances, as JSON would bring it."""
    from refasr.endpoint.model_file import EndpointModel, load_endpoint
    shipped = load_endpoint()
    endpoint = EndpointModel(*shipped[:3], shipped.card | {"points": [{"goal": 0.1, "final": 0.9, "final_pause_s": 0.2}]})
    rows = tracked(tools["sets"], np.random.default_rng(5), 60)
    ways = {name: 1000.0 for name in ("pcm", "flac", "opus", "lattices", "final")}
    return json.loads(json.dumps(tools["report"].report_on(rows, endpoint) | {"bytes": {"real people": ways}}))


def test_a_report_has_every_group_and_its_picture_is_drawn(report, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'refasr[plots]'")
    assert {row["ended_by"] for row in report["table"]} == {"model", "sherpa", "kaldi"}
    assert {row["set"] for row in report["table"]} >= {"requests", "real people", "libri", "requests, 10 dB", "synthetic, pauses"}
    for curve in report["curves"]:
        assert [rate for rate, *_ in curve["at"]] == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1]
        waits = [median for _, median, _ in curve["at"] if median is not None]
        assert waits == sorted(waits, reverse=True)
    path, out = tmp_path / "report.json", tmp_path / "endpoint.png"
    path.write_text(json.dumps(report))
    assert cli.main(["plot", "endpoint", str(path), "-o", str(out)]) == 0
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    path.write_text(json.dumps({"curves": []}))
    assert cli.main(["plot", "endpoint", str(path), "-o", str(out)]) == 1
    assert "got no curve" in capsys.readouterr().err
    with pytest.raises(FormatError):
        from refasr.plot.endpoint import points_of
        points_of({}, "requests", "model")
