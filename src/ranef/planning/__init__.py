"""Studies that have not been made yet."""

from ranef.planning.simulated_power import Power, power

__all__ = ["Power", "power"]
