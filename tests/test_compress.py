"""The integer network on speech-like input: true to the float one, the same in both twins, and refused when it is not sound."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tiny_integer import tiny_calibration, tiny_integer_model
from tiny_model import noise, tiny_model

from refasr import models
from refasr.compress import container, integer_network
from refasr.compress.calibrate import best_scale, calibrate, stacked_frames
from refasr.compress.integer_model import checked, from_contents, to_contents
from refasr.compress.layout import code_shapes, linear_layers, recurrent_layers
from refasr.compress.quantise import multiplier_at, multiplier_of, quantise
from refasr.compress.rounding import compensated_codes, nearest, row_scales
from refasr.errors import FormatError, RangeError
from refasr.recognise import Recogniser
from refasr.search.boost import Phrase
from refasr.search.hypotheses import SearchSettings
from refasr.twins import select

SAMPLES = noise(24000, seed=9)
BACKENDS = ("fast", "reference")


def real(model, multiplier, shift):
    """What a stored factor stands for. Parameters: model, multiplier, shift (names). Returns float64."""
    return model.arrays[multiplier] / 2.0 ** model.arrays[shift]


def in_float(model, name, state, x):
    """A layer with rounded weights in float64, rounded as the integers. Parameters: model, name, state, x. Returns codes."""
    scales = model.scales
    a = ((x.astype(float) @ model.codes[f"{name}.input"].T + model.arrays[f"{name}.bias"])
         * real(model, f"{name}.input_multiplier", f"{name}.shift")
         + state.h.astype(float) @ model.codes[f"{name}.recurrent"].T
         * real(model, f"{name}.recurrent_multiplier", f"{name}.shift"))
    i, f, g, o = np.split(a / 4096, 4)
    logistic = lambda half: 1 / (1 + np.exp(-2 * half))
    unit = 2.0 ** -model.scalars[f"{name}.cell_bits"]
    c = np.clip(np.round((logistic(f) * state.c * unit + logistic(i) * np.tanh(g)) / unit), -32767, 32767)
    h = np.clip(np.round(logistic(o) * np.tanh(c * unit) / scales[f"{name}.hidden"]), -127, 127)
    return h, c


def normalised(model, name, h):
    """A layer normalisation in float64. Parameters: model, name, h (codes). Returns codes."""
    value, width = h * model.scales[f"{name}.hidden"], h.size
    normal = (value - value.mean()) / np.sqrt(value.var() + model.scalars[f"{name}.norm_epsilon"]
                                              * model.scales[f"{name}.hidden"] ** 2 / width**2)
    gain, bias = (np.ldexp(model.arrays[f"{name}.norm_{part}"].astype(float), -model.scalars[f"{name}.norm_bits"])
                  for part in ("gain", "bias"))
    return np.clip(np.round(normal * gain + bias), -127, 127)


@pytest.mark.parametrize("bits", [8, 5, 4])
def test_rounded_float_network_agrees_within_one_code_at_every_layer_and_step(bits):
    model = tiny_integer_model(bits)
    network = integer_network.assemble(model, select("reference"))
    x = network.encoder.enter(stacked_frames(tiny_model(), SAMPLES, select("reference")))
    for index, state in enumerate(network.encoder.start()):
        name, rows = f"encoder.{index}", []
        for frame in x:
            row, after = network.encoder.encode_layer(index, frame[None], state)
            h, c = in_float(model, name, state, frame)
            assert np.abs(h - after.h).max() <= 1 and np.abs(c - after.c).max() <= 1
            assert np.abs(normalised(model, name, after.h) - row[0]).max() <= 1
            rows.append(row[0])
            state = after
        x = np.stack(rows)
    state = network.predictor.before()
    for label in (0, 8, 9, 30, 12, 8):
        g, after = network.predictor.predict(label, state)
        h, c = in_float(model, "predictor", state, network.predictor.table[label])
        assert max(np.abs(h - after.h).max(), np.abs(c - after.c).max()) <= 1
        assert np.abs(normalised(model, "predictor", after.h) - g).max() <= 1
        audio, text = network.joiner.project_audio(x[label]), network.joiner.project_text(g)
        for part, source, got in (("audio", x[label], audio), ("text", g, text)):
            want = linear(model, f"joiner.{part}", source)
            assert np.abs(np.clip(np.round(want), -127, 127) - got).max() <= 1
        joint = network.joiner._join(audio[None], text[None], network.joiner.joint)[0]
        meant = np.tanh(audio * model.scales["joiner.audio"] + text * model.scales["joiner.text"])
        assert np.abs(np.clip(np.round(meant / model.scales["joiner.hidden"]), -127, 127) - joint).max() <= 1
        logits = network.joiner.logits(audio[None], text[None])[0]
        assert np.abs(linear(model, "joiner.output", joint) - logits).max() <= 1
        state = after


def linear(model, name, x):
    """A matrix in float64, before rounding. Parameters: model, name, x (codes). Returns float64."""
    total = x.astype(float) @ model.codes[name].T + model.arrays[f"{name}_bias"]
    return total * real(model, f"{name}_multiplier", f"{name}_shift")


def test_stored_factors_are_the_scales_they_are_made_of():
    model, plain = tiny_integer_model(), tiny_model()
    for name, _, _ in linear_layers(model.architecture):
        factor = real(model, f"{name}_multiplier", f"{name}_shift")
        source = {"joiner.audio": "encoder.1.output", "joiner.text": "predictor.output", "joiner.output": "joiner.hidden"}[name]
        goal = model.scales["joiner.logits" if name == "joiner.output" else name]
        rows = factor * goal / model.scales[source]
        error = np.abs(model.codes[name] * rows[:, None] - plain.parameters[name].T)
        assert (error.mean(axis=1) <= rows).all()
    assert model.scales["joiner.logits"] == model.arrays["logit_scale"][0]


def test_integer_logits_follow_the_float_ones():
    error = {}
    for bits in (8, 5, 4):
        backend = select("fast")
        plain, coded = (models.assemble(model, backend) for model in (tiny_model(), tiny_integer_model(bits)))
        frames, encodings = stacked_frames(tiny_model(), SAMPLES, backend), []
        for network in (plain, coded):
            x = network.encoder.enter(frames)
            for index, state in enumerate(network.encoder.start()):
                x, _ = network.encoder.encode_layer(index, x, state)
            e, p = network.joiner.project_audio(x), network.joiner.project_text(network.predictor.start()[0])
            encodings.append(network.joiner.forward(e, p[None])[0])
        error[bits] = np.square(encodings[0] - encodings[1]).sum() / np.square(encodings[0]).sum()
    assert error[8] < 1e-3 and error[8] < error[5] < error[4] < 0.2


def test_both_twins_recognise_the_same():
    for search in (None, SearchSettings(beam=4), SearchSettings(beam=3, context=2)):
        phrases = [Phrase(np.array([8, 9, 10], np.int32), 2.0)] if search else ()
        results = [Recogniser(tiny_integer_model(), backend, search=search, phrases=phrases).transcribe_samples(SAMPLES)
                   for backend in BACKENDS]
        assert results[0].text == results[1].text and results[0].nbest == results[1].nbest
        assert [word.word for word in results[0].words] == [word.word for word in results[1].words]


@pytest.mark.parametrize("search", [None, SearchSettings(beam=3)])
def test_cuts_change_nothing(search):
    recogniser = Recogniser(tiny_integer_model(), search=search)
    stream = recogniser.stream()
    for chunk in np.array_split(SAMPLES, [1, 700, 701, 9000]):
        stream.accept(chunk)
    assert stream.finish() == recogniser.transcribe_samples(SAMPLES)


def test_a_file_gives_the_same_model_and_the_same_words(tmp_path):
    path = tmp_path / "tiny.refasr"
    container.write_contents(path, to_contents(tiny_integer_model(5)))
    found, want = models.load(path), tiny_integer_model(5)
    same_models(found, want)
    assert Recogniser.load(path).transcribe_samples(SAMPLES) == Recogniser(want).transcribe_samples(SAMPLES)


def same_models(a, b):
    """Require equality. Parameters: a, b (IntegerModel)."""
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("codes", "arrays"):
            assert list(left) == list(right)
            assert all(left[name].dtype == right[name].dtype and np.array_equal(left[name], right[name]) for name in left)
        else:
            assert np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right


def test_contents_are_plain_and_complete():
    contents = to_contents(tiny_integer_model())
    assert json.loads(json.dumps(contents[0])) == contents[0]
    same_models(from_contents(json.loads(json.dumps(contents[0])), *contents[1:]), tiny_integer_model())


def spoiled(change):
    """Contents with something wrong. Parameters: change (function of header, coded, plain as fresh copies). Returns the three."""
    header, coded, plain = to_contents(tiny_integer_model())
    parts = (json.loads(json.dumps(header)), {name: (entry[0].copy(), entry[1]) for name, entry in coded.items()},
             {name: value.copy() for name, value in plain.items()})
    change(*parts)
    return parts


WRONG = [
    (lambda h, c, p: h.update(arithmetic=2), "arithmetic"), (lambda h, c, p: h.pop("scales"), "header"),
    (lambda h, c, p: h["scales"].update(input=0.0), "scale input"),
    (lambda h, c, p: h["scales"].update(input=float("nan")), "scale"),
    (lambda h, c, p: h["scales"].update(input=float("inf")), "scale input"),
    (lambda h, c, p: h["scales"].update(input="1"), "scale"),
    (lambda h, c, p: h["scalars"].update({"encoder.0.cell_bits": 13}), "cell_bits"),
    (lambda h, c, p: h["scalars"].update({"encoder.0.norm_epsilon": 0}), "norm_epsilon"),
    (lambda h, c, p: h["architecture"].update(joiner_width=21), "joiner"), (lambda h, c, p: h.update(units=["a"]), "units"),
    (lambda h, c, p: c.pop("joiner.audio"), "joiner.audio"), (lambda h, c, p: c.update(extra=c["joiner.audio"]), "extra"),
    (lambda h, c, p: c["encoder.0.input"][0].__setitem__((0, 0), -128), "encoder.0.input"),
    (lambda h, c, p: c.update({"joiner.text": (c["joiner.text"][0], 4)}), "joiner.text"),
    (lambda h, c, p: c.update({"joiner.text": (c["joiner.text"][0], 9)}), "9 bits"),
    (lambda h, c, p: c.update({"joiner.text": (c["joiner.text"][0].T, 8)}), "joiner.text"),
    (lambda h, c, p: p["encoder.0.input_multiplier"].__setitem__(0, -1), "input_multiplier"),
    (lambda h, c, p: p["encoder.0.shift"].__setitem__(0, 0), "encoder.0.shift"),
    (lambda h, c, p: p["encoder.0.shift"].__setitem__(0, 63), "encoder.0.shift"),
    (lambda h, c, p: p.update({"joiner.add_shift": p["joiner.add_shift"].astype(np.int32)}), "joiner.add_shift"),
    (lambda h, c, p: p["input_reciprocal"].__setitem__(0, np.nan), "input_reciprocal"),
    (lambda h, c, p: p["logit_scale"].__setitem__(0, 0.3), "power of two"),
    (lambda h, c, p: p["mean"].__setitem__(0, np.inf), "mean"),
    (lambda h, c, p: p["joiner.output_shift"].__setitem__(0, 5), "logit 0"),
    (lambda h, c, p: p["encoder.0.bias"].__setitem__(0, 2**31 - 1), "row 0"),
    (lambda h, c, p: p["encoder.0.norm_bias"].__setitem__(0, 2**31 - 1) or h["scalars"].update(
        {"encoder.0.norm_bits": 24, "encoder.0.norm_epsilon": 2**46}), "norm"),
]


@pytest.mark.parametrize("change, place", WRONG, ids=[place for _, place in WRONG])
def test_what_is_not_sound_is_refused(change, place):
    with pytest.raises(FormatError, match=place) as caught:
        from_contents(*spoiled(change), place="x.refasr")
    assert "x.refasr" in str(caught.value) and "\n" not in str(caught.value)


def test_only_an_integer_model_is_checked():
    assert checked(tiny_integer_model()).bits == tiny_integer_model().bits
    with pytest.raises(FormatError, match="expected an IntegerModel"):
        checked(tiny_model())


def test_widths_may_differ_by_layer():
    model = quantise(tiny_model(), tiny_calibration(), {"encoder.0.input": 4, "predictor.embedding": 5})
    assert np.abs(model.codes["encoder.0.input"]).max() == 7 and np.abs(model.codes["predictor.embedding"]).max() == 15
    assert np.abs(model.codes["encoder.0.recurrent"]).max() == 127
    assert list(model.codes) == list(code_shapes(model.architecture))
    for wrong in (9, 1, {"encoder.7.input": 8}, {"encoder.0.input": 8.0}):
        with pytest.raises(RangeError, match="bits"):
            quantise(tiny_model(), tiny_calibration(), wrong)


def test_calibration_needs_speech():
    with pytest.raises(RangeError, match="no frame"):
        calibrate(tiny_model(), [], select("fast"))


@given(st.lists(st.floats(2.0**-32, 2.0**29), min_size=1, max_size=5))
@example([1.0, 0.5, 1 - 2.0**-17, 1 - 2.0**-18, 1 - 2.0**-40, 123.4, 2.0**-32, 2.0**29])
def test_multipliers_have_sixteen_bits_and_are_as_near_as_these_allow(factors):
    """Section 7 of the document, in fractions."""
    with np.errstate(all="raise"):
        multiplier, shift = multiplier_of(np.array(factors))
    for factor, m, s in zip(factors, multiplier.tolist(), shift.tolist()):
        stored, exact = Fraction(m, 2**s), Fraction(factor)
        assert 2**30 <= m < 2**31 and m % 2**15 == 0 and abs(stored / exact - 1) <= Fraction(1, 2**16)


def test_multipliers_of_factors_at_the_edges():
    factors = np.array([1.0, 1 - 2.0**-18, 2.0**-60, 0.0])
    multiplier, shift = multiplier_of(factors)
    assert multiplier.tolist() == [1 << 30, 1 << 30, 4, 0] and shift.tolist() == [30, 30, 62, 62]
    for wrong in (2.0**31, 2.0**30, 2.0**30 - 1):
        with pytest.raises(RangeError, match="factor"):
            multiplier_of(np.array([wrong]))


def test_the_smaller_of_two_multipliers_is_as_near():
    real = np.array([3.7, 1e-3, 4e-5, 3e-8])
    shift = np.full(4, 29)
    found = multiplier_at(real, shift)
    assert found.tolist()[3] == round(3e-8 * 2**29) == 16
    assert all(abs(Fraction(m, 2**29) / Fraction(x) - 1) <= Fraction(1, 2**16) for m, x in zip(found.tolist()[:3], real.tolist()))
    assert all(m.bit_length() - (m & -m).bit_length() < 16 for m in found.tolist())


def test_best_scale_clips_rare_outliers_and_keeps_even_values():
    rng = np.random.default_rng(0)
    even = rng.uniform(-1, 1, 10_000)
    assert best_scale(even) == pytest.approx(1 / 127, rel=0.02)
    assert best_scale(np.append(rng.normal(size=100_000), 8.0)) < 6.5 / 127


def test_compensation_costs_less_than_rounding_alone():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 24)) @ rng.normal(size=(24, 24))
    w, moment = rng.normal(size=(40, 24)), x.T @ x / 500
    for limit in (7, 15):
        scales = row_scales(w, limit, np.diag(moment))
        found = nearest(w, scales, limit), compensated_codes(w, scales, limit, moment)
        alone, compensated = (np.square(x @ (w - scales[:, None] * q).T).sum() for q in found)
        assert compensated < 0.7 * alone and np.abs(found[1]).max() <= limit


def test_layers_are_named_once():
    names = [name for name, *_ in recurrent_layers(tiny_model().architecture)]
    assert names == ["encoder.0", "encoder.1", "predictor"]
