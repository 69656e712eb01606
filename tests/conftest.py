"""What every test shares: hypothesis profiles, the oracle mark, and the folder `../shared`."""

import os
import pathlib
import signal

import hypothesis
import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # inherited by a job in the background; tests interrupt what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROFILES = {
    "fixed": dict(derandomize=True, max_examples=100, database=None),  # the same examples in every run
    "small": dict(derandomize=True, max_examples=12, database=None),   # for passes two and three
    "random": dict(max_examples=1000, print_blob=True),                # long runs: new examples each time
}


def pytest_configure(config):
    for name, settings in PROFILES.items():
        hypothesis.settings.register_profile(name, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), **settings)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name.startswith("test_oracles_"):
            item.add_marker(pytest.mark.oracle)


@pytest.fixture(scope="session")
def shared():
    """The folder ../shared with speech and vectors that are not ours to redistribute."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared is not here: it holds recordings that the repository does not ship")
    return folder
