"""A shop to try things out with: the shipped sample, its transactions made at the simulator.

Who needs something imports its module: the screens give out `sample` alone.
"""
