"""refasr: the executable specification of an on-device speech recogniser.

One utterance, left to right; each arrow is a module to read:

    samples --audio--> 16 kHz mono --features--> log-mel frames --transducer.encoder--> h[t]
                                                 text <--search.greedy-- joiner(h[t], g[u])
                                                          label[u] --transducer.predictor--> g[u]

A plain module is the truth in NumPy; `x_fast.py` beside `x.py` is its Numba twin (see `refasr.twins`).

Axes, used in every docstring and shape comment:

    S samples    T frames    F mel bins    D width     U labels (U+1 grid rows)
    V vocabulary (blank is 0)    B batch or beam    K inputs    N outputs

Times are seconds unless the name says otherwise; scores are natural logarithms, higher is better.
"""

__version__ = "0.1.0"
