"""Edit distance between word sequences: the fewest substitutions, deletions and insertions, counted apart.

Several alignments may have the fewest errors and differ in their kinds of error. The rule here does not depend on the
order of a back-trace: among the alignments with the fewest errors, one with the fewest substitutions, which is also one
with the most words right. (S + D + I is given and D - I = U - V, so S decides the rest.) The rule is carried by the costs:

    cost of a deletion or insertion = 1,   cost of a substitution = 1 + epsilon,   epsilon = 2^-32

in fixed point, so one minimum finds both. Other tools break ties otherwise: only their totals can be compared.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.errors import RangeError

EPSILON_BITS = 32
GAP = np.int64(1) << np.int64(EPSILON_BITS)  # deletion or insertion
SUBSTITUTION = GAP + np.int64(1)
ALIGNMENT_LIMIT_CELLS = 1 << 28  # the table of `align`: 2 GiB


class EditCounts(NamedTuple):
    """The errors of one hypothesis. Counts of words."""

    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self):
        """The edit distance."""
        return self.substitutions + self.deletions + self.insertions


def require_ends(name, ends, tokens):
    """Require int64 [N], rising from >= 0 to the number of tokens. Parameters: name, ends, tokens."""
    checks.array(name, ends, np.int64, (None,))
    last = ends[-1] if ends.size else 0
    if last != tokens.size or (ends.size and ends[0] < 0) or (ends[1:] < ends[:-1]).any():
        raise RangeError(f"{name}: got ends that do not rise from 0 to {tokens.size}, expected the running total of the lengths")


def next_row(row, token, hypothesis, ahead):
    """One row of the table: one more reference word.

        row'[j] = min(row[j-1] + (0 if equal else 1 + epsilon), row[j] + 1, row'[j-1] + 1)

    The last term is a chain along the row; subtracting j beforehand makes it a running minimum.

    Parameters
    ----------
    row : int64 [V + 1]        Costs of the words before.
    token : int                The reference word.
    hypothesis : int32 [V]
    ahead : int64 [V + 1]      j * GAP, the cost of j insertions.

    Returns
    -------
    int64 [V + 1]
    """
    best = row + GAP
    best[1:] = np.minimum(best[1:], row[:-1] + np.where(hypothesis == token, np.int64(0), SUBSTITUTION))
    return np.minimum.accumulate(best - ahead) + ahead


def unpack(cost, n_reference, n_hypothesis):
    """Split a cost into counts. Parameters: cost, n_reference, n_hypothesis. Returns (substitutions, deletions, insertions)."""
    total, substitutions = int(cost) >> EPSILON_BITS, int(cost) & (int(GAP) - 1)
    gaps, surplus = total - substitutions, n_reference - n_hypothesis
    return substitutions, (gaps + surplus) // 2, (gaps - surplus) // 2


def edit_distance(reference, hypothesis):
    """Count the errors of one hypothesis.

    Parameters
    ----------
    reference : int32 [U]     Any ids; equal ids are equal words.
    hypothesis : int32 [V]

    Returns
    -------
    EditCounts

    Raises
    ------
    DTypeError, ShapeError

    Notes
    -----
    Twin: BITS. Cost: U*V cells of time, V + 1 of memory. Source: Wagner and Fischer, 1974.

    Examples
    --------
    >>> edit_distance(np.array([1, 2, 3], np.int32), np.array([1, 3, 4], np.int32))
    EditCounts(substitutions=0, deletions=1, insertions=1)
    """
    checks.array("reference", reference, np.int32, (None,))
    checks.array("hypothesis", hypothesis, np.int32, (None,))
    ahead = np.arange(hypothesis.size + 1) * GAP
    row = ahead
    for token in reference:
        row = next_row(row, token, hypothesis, ahead)
    return EditCounts(*unpack(row[-1], reference.size, hypothesis.size))


def edit_distances(references, reference_ends, hypotheses, hypothesis_ends):
    """Count the errors of N hypotheses, stored end to end.

    Parameters
    ----------
    references : int32 [sum of U]      Words of all references.
    reference_ends : int64 [N]         Where each ends.
    hypotheses : int32 [sum of V]      Words of all hypotheses.
    hypothesis_ends : int64 [N]        Where each ends.

    Returns
    -------
    int64 [N, 3]                       Substitutions, deletions, insertions.

    Raises
    ------
    DTypeError, ShapeError, RangeError

    Notes
    -----
    Twin: BITS. Cost: sum of U*V.
    """
    checks.array("references", references, np.int32, (None,))
    checks.array("hypotheses", hypotheses, np.int32, (None,))
    require_ends("reference_ends", reference_ends, references)
    require_ends("hypothesis_ends", hypothesis_ends, hypotheses)
    checks.array("hypothesis_ends", hypothesis_ends, np.int64, reference_ends.shape)
    pairs = zip(np.split(references, reference_ends[:-1]), np.split(hypotheses, hypothesis_ends[:-1]))
    counts = [edit_distance(reference, hypothesis) for reference, hypothesis in pairs][:reference_ends.size]
    return np.array(counts, np.int64).reshape(-1, 3)


def align(reference, hypothesis):
    """Pair the words of a reference and a hypothesis, to show the errors.

    Parameters
    ----------
    reference : int32 [U]
    hypothesis : int32 [V]

    Returns
    -------
    int32 [A, 2]    Positions (i, j) in order; -1 in place of j is a deletion, of i an insertion. Its errors are those of
                    `edit_distance`; of equally good alignments, the one that pairs words late and deletes before inserting.

    Raises
    ------
    DTypeError, ShapeError, RangeError    RangeError if the table of U*V cells would not fit.

    Notes
    -----
    Twin: BITS. Cost: U*V cells of time and memory.
    """
    checks.array("reference", reference, np.int32, (None,))
    checks.array("hypothesis", hypothesis, np.int32, (None,))
    checks.between("table cells", (reference.size + 1) * (hypothesis.size + 1), 1, ALIGNMENT_LIMIT_CELLS)
    ahead = np.arange(hypothesis.size + 1) * GAP
    table = [ahead]
    for token in reference:
        table.append(next_row(table[-1], token, hypothesis, ahead))
    pairs, i, j = [], reference.size, hypothesis.size
    while i or j:
        swap = i and j and table[i][j] - table[i - 1][j - 1]
        if i and j and swap == (0 if reference[i - 1] == hypothesis[j - 1] else SUBSTITUTION):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif j and table[i][j] == table[i][j - 1] + GAP:
            j -= 1
            pairs.append((-1, j))
        else:
            i -= 1
            pairs.append((i, -1))
    return np.array(pairs[::-1], np.int32).reshape(-1, 2)
