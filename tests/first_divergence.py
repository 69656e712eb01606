"""For tests that compare two runs: where they part, if they do."""

import pytest

from refasr.divergence import as_text, first_divergence


def require_equal(a, b):
    """Fail with the first stage, frame and unit that differ. Parameters: a, b (Trace)."""
    found = first_divergence(a, b)
    if found is not None:
        pytest.fail(f"first difference: {as_text(found)}", pytrace=False)
