"""End-pointing: rules against their sources, the pair's decisions one by one, the model's file, trail and gradients."""

import json

import numpy as np
import pytest
from tiny_model import TALKERS, noise, tiny_model

from refasr.endpoint import compose, features, fit, model, pair, rules
from refasr.endpoint.follow import Completeness, Observation
from refasr.endpoint.model_file import EndpointModel, Sizes, load_endpoint, save_endpoint
from refasr.endpoint.trail import SURE_NATS, BeamTrail, GreedyTrail, Heard
from refasr.errors import FormatError, RangeError
from refasr.nn.lstm import LstmState
from refasr.recognise import Recogniser
from refasr.search.hypotheses import SearchSettings
from refasr.transducer.units import CHARACTERS, encode_text
from refasr.twins import select

F32 = np.float32


def seen(posterior=0.0, text="lights", pause_s=0.5, length_s=2.0, cost=0.0):
    """An observation. Parameters: posterior, text, pause_s, length_s, cost. Returns it."""
    return Observation(posterior, text, "", pause_s, length_s, cost)


def test_sherpa_rules_are_those_of_its_defaults():
    after = lambda pause_s, text="on", length_s=4.0: rules.fired(rules.SHERPA, seen(0, text, pause_s, length_s))
    assert (after(1.19), after(1.2), after(2.4)) == (None, "sherpa-rule2", "sherpa-rule1")
    assert (after(2.39, ""), after(2.4, "")) == (None, "sherpa-rule1")
    assert (after(0.0, "on", 19.9), after(0.0, "", 20.0)) == (None, "sherpa-rule3")


def test_kaldi_rules_are_those_of_its_defaults():
    after = lambda pause_s, cost, text="on", length_s=4.0: rules.fired(rules.KALDI, seen(0, text, pause_s, length_s, cost))
    assert (after(0.49, 0), after(0.5, 1.9), after(0.5, 2.0)) == (None, "kaldi-rule2", None)
    assert (after(1.0, 7.9), after(1.99, 8.0), after(2.0, 99.0)) == ("kaldi-rule3", None, "kaldi-rule4")
    assert (after(4.9, 0, ""), after(5.0, 99, ""), after(0, 99, "on", 20.0)) == (None, "kaldi-rule1", "kaldi-rule5")


PAIR = pair.PairSettings(0.8, 0.5, 0.2)


@pytest.mark.parametrize("observation, guess, decisions, stands", [
    (seen(0.4), None, [], None),
    (seen(0.5), None, [("speculative", "model")], "lights"),
    (seen(0.6), "lights", [], "lights"),
    (seen(0.2), "lights", [], "lights"),
    (seen(0.1), "lights", [("reset", "speech-went-on")], None),
    (seen(0.1, "lights on"), "lights", [("reset", "text-changed")], None),
    (seen(0.6, "lights on"), "lights", [("reset", "text-changed"), ("speculative", "model")], "lights on"),
    (seen(0.9), "lights", [("final", "model")], None),
    (seen(0.9), None, [("final", "model")], None),
    (seen(0.9, "lights on"), "lights", [("reset", "text-changed"), ("final", "model")], None),
    (seen(0.1, pause_s=2.4), "lights", [("final", "longest-pause")], None),
    (seen(0.9, pause_s=0.04), None, [], None),
    (seen(0.9, ""), None, [], None),
    (seen(0.9, "", pause_s=5.0), None, [("final", "idle")], None),
    (seen(0.1, length_s=20.0, pause_s=0.0), "lights", [("final", "longest")], None)])
def test_the_pair_decides(observation, guess, decisions, stands):
    assert pair.decide(observation, guess, PAIR) == (decisions, stands)


def test_the_final_waits_for_its_own_pause():
    patient = PAIR._replace(final_pause_s=0.3)
    assert pair.decide(seen(0.9, pause_s=0.28), None, patient) == ([("speculative", "model")], "lights")
    assert pair.decide(seen(0.9, pause_s=0.32), "lights", patient) == ([("final", "model")], None)


def test_after_a_longer_pause_less_is_enough():
    late = PAIR._replace(speculative=0.7, late_speculative=0.3, late_final=0.4, late_least_pause_s=0.8, late_final_pause_s=1.0)
    at = lambda posterior, pause_s, guess=None: pair.decide(seen(posterior, pause_s=pause_s), guess, late)[0]
    assert [at(0.35, pause_s) for pause_s in (0.76, 0.8, 1.0)] == [[], [("speculative", "model-late")]] + [
        [("speculative", "model-late")]]
    assert at(0.45, 0.96, "lights") == [] and at(0.45, 1.0, "lights") == [("final", "model-late")]
    assert at(0.85, 0.1) == [("final", "model")] and at(0.1, 1.0, "lights") == [("reset", "speech-went-on")]
    for bad in (late._replace(late_speculative=0.5), late._replace(retract=0.35), late._replace(late_final_pause_s=-1.0)):
        with pytest.raises(RangeError):
            pair.check_settings(bad)


def test_without_a_model_rules_decide():
    assert pair.decide(seen(0.0, pause_s=1.2), None, pair.SHERPA) == ([("final", "sherpa-rule2")], None)


def labels(text):
    """Units of a text. Parameters: text. Returns a tuple of int."""
    return tuple(encode_text(text).tolist())


def test_stable_words_are_whole():
    units = labels("turn on the")
    assert features.stable_text(Heard(units, len(units), 9, 0.0, 1.0), CHARACTERS) == "turn on"
    assert features.stable_text(Heard(units, len("turn on") + 1, 9, 0.0, 1.0), CHARACTERS) == "turn"
    assert features.stable_text(Heard(units, 0, 9, 0.0, 1.0), CHARACTERS) == ""


def test_decoder_features_are_what_they_are_named():
    heard = Heard(labels("go") + (CHARACTERS.index("\u2581"),), 0, 5, -3.0, 4.0)
    found = features.decoder_features(heard, -1.0, 15, 2.0, CHARACTERS, 0.04)
    assert found.dtype == F32 and np.allclose(found, [0.4, np.log1p(4), 1, 0.5, 0.5, 1.0, 0.25, 1])
    early = features.decoder_features(heard, -1.0, 7, 2.0, CHARACTERS, 0.04)
    assert early[4] == 0 and len(found) == features.N_DECODER


@pytest.mark.parametrize("beam", [1, 4])
def test_the_trail_spells_what_the_search_says(beam):
    recogniser = Recogniser(tiny_model(*TALKERS[0]), search=SearchSettings(beam=beam, context=0))
    state, trail, graph = recogniser.start(), BeamTrail(), recogniser.decoder.utterance()
    samples, n_words = noise(32000, 3), 0
    for begin in range(0, samples.size, 640):
        output, state = recogniser.step(samples[begin:begin + 640], state)
        if len(output.encodings) == 0:
            continue
        graph.take(output.written, state.search)
        heard = trail.take(output.written, state.search)
        assert features.text_of(heard, CHARACTERS) == graph.text(state.search)
        spelled = [tuple(label for _, label, _ in trail.path(int(node)) if label) for node in state.search.beam.node]
        assert all(one[:heard.n_stable] == heard.labels[:heard.n_stable] for one in spelled)
        assert 0 <= heard.margin <= SURE_NATS and heard.last_frame < state.search.frame
        n_words = max(n_words, heard.n_stable)
    assert n_words > 0 and len(trail.into) < 600


def test_the_greedy_trail_takes_nothing_back():
    recogniser, trail = Recogniser(tiny_model(*TALKERS[0])), GreedyTrail()
    output, state = recogniser.step(noise(16000, 3), recogniser.start())
    heard = trail.take(output.written, state.search)
    assert heard.n_stable == len(heard.labels) == len(output.written) and heard.margin == SURE_NATS


def tiny(rng, encoder=0):
    """Random networks. Parameters: rng, encoder. Returns EndpointModel, of weights that float16 holds."""
    sound = fit.start_sound(rng, np.zeros(40 + encoder, F32), np.ones(40 + encoder, F32), features.N_DECODER, (7, 5))
    groups = [type(group)(*(array.astype(np.float16).astype(F32) for array in group))
              for group in (sound, fit.start_text(rng, len(CHARACTERS), 6))]
    return EndpointModel(Sizes(40, encoder, 7, 5, 6), *groups, {"thresholds": {"speculative": 0.5, "final": 0.75}})


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_completeness_of_a_revised_text_is_that_of_the_text(backend):
    weights = tiny(np.random.default_rng(1)).text
    known = Completeness(weights, select(backend))
    for text in ("turn on", "turn on the", "turn off", "", "to", "turn on the light"):
        fresh = Completeness(weights, select(backend)).of(labels(text))
        assert known.of(labels(text)) == fresh
        assert (fresh == 0) == (text == "")


def test_finished_is_the_plain_equation():
    weights, rng = tiny(np.random.default_rng(2)).sound, np.random.default_rng(3)
    sound, decoder, h, c = (rng.standard_normal(n).astype(F32) for n in (40, features.N_DECODER, 7, 7))
    p, state = model.finished(sound, decoder, LstmState(h, c), weights)
    wide = [array.astype(np.float64) for array in weights]
    mean, scale, into, recurrent, bias, joint, joint_bias, output, output_bias = wide
    i, f, g, o = np.split((sound - mean) * scale @ into + h @ recurrent + bias, 4)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    cell = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    hidden = np.tanh(np.append(sigmoid(o) * np.tanh(cell), decoder) @ joint + joint_bias)
    assert np.allclose(state.c, cell, atol=1e-5) and np.allclose(p, sigmoid(hidden @ output + output_bias), atol=1e-5)


def batches(rng):
    """A small batch for each network. Parameters: rng. Returns two Sequences."""
    vector = lambda *shape: rng.standard_normal(shape).astype(F32)
    target = lambda n: (rng.random(n) < 0.5).astype(F32)
    text = fit.batch_of([(rng.integers(0, 36, n).astype(np.int32), target(n), np.ones(n, F32)) for n in (3, 5, 2)])
    sound = fit.batch_of([(vector(n, 40), vector(n, features.N_DECODER), target(n), rng.random(n).astype(F32)) for n in (3, 6)])
    return text, sound


def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(5)
    made = tiny(rng)
    for weights, loss_of, batch in zip((made.text, made.sound), (fit.text_loss, fit.sound_loss), batches(rng)):
        loss, gradient = loss_of(weights, batch, select("reference"))
        for name in weights._fields[-7:]:
            direction = rng.standard_normal(getattr(weights, name).shape).astype(F32)
            at = lambda step: weights._replace(**{name: getattr(weights, name) + F32(step) * direction})
            moved = [loss_of(at(step), batch, select("reference"))[0] for step in (1e-2, -1e-2)]
            expected = 0.0 if name in ("mean", "scale") else (moved[0] - moved[1]) / 2e-2
            assert abs((getattr(gradient, name) * direction).sum() - expected) < 2e-3 + 2e-2 * abs(expected), name
        assert loss > 0


def test_training_learns_where_texts_end():
    rng = np.random.default_rng(0)

    def sequence(text):
        units = encode_text(text)
        target = np.zeros(units.size, F32)
        target[-1] = 1
        return units, target, np.ones_like(target)
    batch = fit.batch_of([sequence(text) for text in ("stop", "turn it on", "turn it off", "go on to the end")])
    losses = []
    fit.fit(fit.start_text(rng, 36, 16), fit.text_loss, [lambda: batch] * 80, 2e-2, select("fast"),
            lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.3 * losses[0]


def test_the_file_keeps_the_model(tmp_path):
    made = tiny(np.random.default_rng(7), encoder=16)
    save_endpoint(tmp_path / "e.npz", made)
    again = load_endpoint(tmp_path / "e.npz")
    assert again.sizes == made.sizes and again.card == made.card
    assert all(np.array_equal(a, b) for a, b in zip((*again.sound, *again.text), (*made.sound, *made.text), strict=True))


def spoil_card(data, change):
    """Archive with another card. Parameters: data (dict of arrays), change (function of the header). Returns a dict."""
    header = json.loads(bytes(data["card"]))
    change(header)
    return data | {"card": np.frombuffer(json.dumps(header).encode(), np.uint8)}


@pytest.mark.parametrize("change", [
    lambda h: h.update(format=2), lambda h: h.update(kind="x"), lambda h: h["sizes"].update(acoustic=8),
    lambda h: h["sizes"].pop("mel"),
    lambda h: h["sizes"].update(text=10**9), lambda h: h.update(units=["a"]), lambda h: h["card"]["thresholds"].update(final=1.5),
    lambda h: h["card"].pop("thresholds"), lambda h: h["card"]["thresholds"].update(final="x"), lambda h: h.pop("card")])
def test_a_card_that_lies_is_refused(tmp_path, change):
    save_endpoint(tmp_path / "e.npz", tiny(np.random.default_rng(7)))
    with np.load(tmp_path / "e.npz") as archive:
        data = {name: archive[name] for name in archive.files}
    np.savez(tmp_path / "bad.npz", **spoil_card(data, change))
    with pytest.raises(FormatError):
        load_endpoint(tmp_path / "bad.npz")


def test_damaged_files_are_refused(tmp_path):
    save_endpoint(tmp_path / "e.npz", tiny(np.random.default_rng(7)))
    content, rng = (tmp_path / "e.npz").read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        spoilt = bytearray(content[:int(rng.integers(1, len(content) + 1))])
        for at in rng.integers(0, len(spoilt), 3):
            spoilt[at] ^= int(rng.integers(1, 256))
        (tmp_path / "bad.npz").write_bytes(spoilt)
        try:
            load_endpoint(tmp_path / "bad.npz")    # a flipped bit that no checksum covers may do no harm
        except FormatError:
            continue
    with pytest.raises(FormatError, match="no such file"):
        load_endpoint(tmp_path / "none.npz")


def test_composed_utterances_end_where_they_say():
    samples = np.zeros(32000, F32)
    for begin, end in ((4000, 9000), (11000, 18000), (20000, 26000)):
        samples[begin:end] = 0.2 * np.random.default_rng(begin).standard_normal(end - begin)
    placed = compose.place(samples, [(0.25, 0.56), (0.7, 1.1), (1.25, 1.6)])
    assert abs(placed.begin - 4000) <= 160 and abs(placed.end - 26000) <= 160
    assert len(placed.gaps) == 2 and 9000 <= placed.gaps[0] <= 11000 and 18000 <= placed.gaps[1] <= 20000
    plan = compose.Plan(((0, 0.5), (1, 1.0)), 0.4, 3.0, None, 0.0, 0.0, None, 1)
    made = compose.compose(samples, placed, plan, [], [])
    assert made.end_s == pytest.approx(0.4 + (placed.end - placed.begin) / 16000 + 1.5)
    assert made.samples.size == round((made.end_s + 3.0) * 16000)
    loud = np.flatnonzero(np.abs(made.samples) > 0.02)
    assert abs(loud[-1] / 16000 - made.end_s) < 0.02 and abs(loud[0] / 16000 - made.begin_s) < 0.02
    for begin, end in made.pauses:
        assert np.abs(made.samples[round(begin * 16000) + 100:round(end * 16000) - 100]).max() < 0.02
    noisy = compose.compose(samples, placed, plan._replace(snr_db=10.0, talk_db=15.0), [noise(5000)], [noise(9000, 1)])
    assert noisy.samples.size == made.samples.size
    assert np.abs(noisy.samples[-16000:]).mean() > np.abs(made.samples[-16000:]).mean()
    with pytest.raises(RangeError):
        compose.place(samples, [])


def test_plans_are_drawn_as_asked():
    plans = [compose.draw(np.random.default_rng(seed), compose.Ranges(), 5) for seed in range(400)]
    share = sum(bool(plan.pauses) for plan in plans) / len(plans)
    assert 0.3 < share < 0.5 and {len(plan.pauses) for plan in plans} == {0, 1, 2}
    assert all(0.2 <= pause <= 1.2 for plan in plans for _, pause in plan.pauses) and all(plan.trail_s >= 3 for plan in plans)
    assert {plan.snr_db for plan in plans} == {None, 20.0, 10.0}
    assert compose.draw(np.random.default_rng(1), compose.Ranges(pause_chance=1.0), 0).pauses == ()
