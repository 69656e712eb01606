"""Many settings of the final end-pointer on many utterances at once: when it fires, as arrays, and which settings are best.

The same rules as `refasr.endpoint.pair.decide`, of the final alone; a test compares them.
"""

from typing import NamedTuple

import numpy as np

from refasr.endpoint import pair, rules

WANTED_S, SLACK_S = 0.4, 0.04        # median wait: a guess that leads it by 200 ms has still heard the end
FINALS, FINAL_PAUSES_S = np.arange(-0.5, 5.1, 0.5), (0.08, 0.16, 0.24, 0.32, 0.4, 0.48, 0.56)
LATE_FINALS, LATE_PAUSES_S = np.arange(-2, 3.1, 0.5), (0.6, 0.72, 0.84, 0.96, 1.08, 1.2, 1.4, 1.6)


class Grid(NamedTuple):
    """Utterances as rows, frames as columns; a shorter utterance repeats its last frame.

    posterior, pause, length, cost : float64 [N, T]; words : bool [N, T]; times : float64 [N, T]; end : float64 [N].
    """

    posterior: np.ndarray
    pause: np.ndarray
    length: np.ndarray
    cost: np.ndarray
    words: np.ndarray
    times: np.ndarray
    end: np.ndarray


def grid_of(tracked):
    """Parameters: tracked (list of (Case, list of Observation)). Returns a Grid."""
    longest, columns = max(len(seen) for _, seen in tracked), [[] for _ in range(6)]
    for case, seen in tracked:
        wide = [*seen, *[seen[-1]] * (longest - len(seen))]
        rows = [(one.posterior, one.pause_s, one.length_s, one.cost, bool(one.text)) for one in wide]
        times = np.append(case.times, np.full(longest - len(seen), case.times[-1]))
        for column, values in zip(columns, (*zip(*rows), times)):
            column.append(values)
    return Grid(*map(np.array, columns), np.array([case.end for case, _ in tracked]))


def latency(grid, settings):
    """Seconds from the true end to the final; negative is too soon. Parameters: grid, settings (PairSettings). Returns [N]."""
    reached = lambda bar, least_s: (grid.posterior >= bar) & (grid.pause >= least_s - 1e-9) & grid.words
    fired = reached(settings.final, settings.final_pause_s) | reached(settings.late_final, settings.late_final_pause_s)
    for rule in settings.rules:
        heard = grid.words if rule.words or rule.name != rules.LONGEST.name else True    # without words nothing is told
        fired = fired | ((grid.pause >= rule.pause_s - 1e-9) & (grid.length >= rule.length_s - 1e-9)
                         & (grid.cost < rule.most_cost) & heard)
    first = np.where(fired.any(axis=1), fired.argmax(axis=1), fired.shape[1] - 1)
    return grid.times[np.arange(len(first)), first] - grid.end


def figures(late):
    """Parameters: late (float64 [N]). Returns (share cut off early, median wait, 90 % wait of the others)."""
    kept = late[late >= 0]
    return float((late < 0).mean()), *(np.percentile(kept, [50, 90]).tolist() if kept.size else (np.inf, np.inf))


def everything(grid):
    """All settings tried. Parameters: grid. Returns a list of (PairSettings, figures)."""
    sigmoid = lambda z: float(1 / (1 + np.exp(-z)))
    tried = [pair.PairSettings(sigmoid(z), final_pause_s=pause_s, late_final=sigmoid(late), late_final_pause_s=late_s)
             for z in FINALS for pause_s in FINAL_PAUSES_S for late in LATE_FINALS if late < z for late_s in LATE_PAUSES_S
             if late_s > pause_s]
    return [(settings, figures(latency(grid, settings))) for settings in tried]


def best(tried, goal, wanted_s=None):
    """Settings with early cut-offs below a goal.

    Parameters
    ----------
    tried : list of (PairSettings, figures)    From `everything`.
    goal : float
    wanted_s : float or None                   Median wait that there shall be; None: the less, the better.

    Returns
    -------
    PairSettings or None                       Shortest waits: the median where it is not as wanted, then the longer ones.
    """
    def badness(one):
        _, median, long = one[1]
        return (median + long,) if wanted_s is None else (max(0.0, abs(median - wanted_s) - SLACK_S), long)
    allowed = [one for one in tried if one[1][0] <= goal]
    return min(allowed, key=badness)[0] if allowed else None
