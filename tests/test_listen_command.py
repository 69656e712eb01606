"""`refasr listen`: events of a recording as JSON and as lines, pacing, and what it refuses."""

import base64
import io
import json
import sys
import time
import types

import numpy as np
import pytest
import soundfile
from test_session import talk, tiny_endpoint
from tiny_model import TALKERS, tiny_model

from refasr.cli import main
from refasr.cli.listen import Line
from refasr.endpoint.model_file import save_endpoint
from refasr.events import Final, Partial, Reset, Speculative
from refasr.lattice import wire
from refasr.transducer.model_file import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, an end-point model and a recording."""
    path = tmp_path_factory.mktemp("listen")
    save_model(path / "model.npz", tiny_model(*TALKERS[0]))
    save_endpoint(path / "endpoint.npz", tiny_endpoint())
    soundfile.write(path / "talk.wav", talk(4, 2), 16000)
    return path


def listen(folder, capsys, *options, beam="4"):
    """Run it. Parameters: folder, capsys, options, beam. Returns (exit code, lines, complaints)."""
    code = main(["listen", "--model", str(folder / "model.npz"), "--endpoint-model", str(folder / "endpoint.npz"), "--beam", beam,
                 *options])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_json_holds_every_event_and_does_not_depend_on_chunks(folder, capsys):
    code, lines, _ = listen(folder, capsys, "--json", str(folder / "talk.wav"))
    events = [json.loads(line) for line in lines]
    assert code == 0 and {"partial", "final"} <= {event["event"] for event in events}
    for event in events:
        assert {"event", "time", "rule", "utterance", "revision"} <= set(event)
        if event["event"] == "final":
            lattice = wire.decode(base64.b64decode(event["lattice"]))
            assert set(event["text"].split()) <= set(lattice.words)
    assert listen(folder, capsys, "--json", "--chunk", "0.333", str(folder / "talk.wav"))[1] == lines


def test_text_has_a_line_for_each_end(folder, capsys):
    for endpointer in ("model", "sherpa", "kaldi", "length"):
        code, lines, _ = listen(folder, capsys, "--endpointer", endpointer, str(folder / "talk.wav"))
        assert code == 0 and lines and all(line.endswith("]") for line in lines)
    assert lines[-1].endswith("finish]")


def test_greedy_search_will_do(folder, capsys):
    code, lines, _ = listen(folder, capsys, "--json", str(folder / "talk.wav"), beam="1")
    finals = [json.loads(line) for line in lines if json.loads(line)["event"] == "final"]
    assert code == 0 and finals and all(final["lattice"] is None for final in finals)


def test_realtime_takes_as_long_as_the_recording(folder, capsys, tmp_path):
    soundfile.write(tmp_path / "short.wav", talk(1, 2)[:12000], 16000)
    listen(folder, capsys, str(tmp_path / "short.wav"))
    began = time.monotonic()
    assert listen(folder, capsys, "--realtime", str(tmp_path / "short.wav"))[0] == 0
    assert time.monotonic() - began > 0.7


def test_a_terminal_is_rewritten_in_place():
    class Terminal(io.StringIO):
        isatty = lambda self: True
    out = Terminal()
    line = Line(out)
    for event in (Partial(1.0, "text", 0, 0, "turn", "on the"), Speculative(1.2, "model", 0, 0, 0.0, "turn on the", None),
                  Reset(1.3, "text-changed", 0, 0), Partial(2.0, "text", 0, 1, "turn on the lights", ""),
                  Final(2.5, "model", 0, 1, 0.0, "turn on the lights", None)):
        line.show(event)
    shown = out.getvalue()
    assert shown.count("\n") == 1 and shown.count("\r\x1b[K") == 5
    assert "turn \x1b[2mon the\x1b[0m" in shown and "~0.20!" in shown
    assert shown.endswith("turn on the lights  [~0.20! .0.50 model]\n")


def test_lost_sound_of_a_microphone_is_a_gap(folder, capsys, monkeypatch):
    samples = talk(4, 2)

    class InputStream:
        def __init__(self, blocksize, callback, **_):
            self.blocks, self.callback = np.split(samples, np.arange(blocksize, samples.size, blocksize)), callback

        def __enter__(self):
            for i, block in enumerate(self.blocks):
                self.callback(block[:, None], len(block), None, types.SimpleNamespace(input_overflow=i == 40))

        def __exit__(self, *_):
            return False
    monkeypatch.setitem(sys.modules, "sounddevice", types.SimpleNamespace(InputStream=InputStream))
    monkeypatch.setattr("refasr.cli.listen.next_block", lambda waiting: waiting.get_nowait() if not waiting.empty() else None)
    code, lines, err = listen(folder, capsys, "--json", "--endpointer", "length")
    finals = [json.loads(line) for line in lines if '"final"' in line]
    assert code == 0 and "0.04 s of sound lost" in err
    assert [final["rule"] for final in finals] == ["gap", "finish"] and finals[1]["time"] == pytest.approx(4.04)


@pytest.mark.parametrize("options", [["--realtime"], ["--device", "0", "x.wav"], ["--chunk", "0", "x.wav"],
                                     ["--endpointer", "x"]])
def test_wrong_usage_is_refused(folder, capsys, options):
    with pytest.raises(SystemExit) as left:
        listen(folder, capsys, *options)
    assert left.value.code == 2


def test_without_the_package_the_extra_is_named(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = listen(folder, capsys)
    assert code == 1 and "refasr[mic]" in err
