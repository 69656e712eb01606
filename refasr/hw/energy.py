"""Energy of what was counted: every operation times the figure of the part (`presets.py` names the sources).

Not in it: leakage, the clock, control and registers inside the array. So it ranks designs; it does not predict a battery.
"""

PICO = 1e-12


def joules(cost, energies):
    """Energy by where it goes.

    Parameters
    ----------
    cost : Cost             Sums over some instructions.
    energies : Energies

    Returns
    -------
    dict of str to float    Joules: external, on_chip, decoder, array, vector.
    """
    spent = {"external": cost.external_bytes * energies.external_byte,
             "on_chip": cost.on_chip_bytes * energies.on_chip_byte,
             "decoder": cost.codes * energies.decode,
             "array": cost.done * (energies.multiply + energies.add),
             "vector": cost.multiplies * energies.vector_multiply + cost.additions * energies.vector_add
             + cost.lookups * energies.lookup}
    return {name: PICO * value for name, value in spent.items()}
