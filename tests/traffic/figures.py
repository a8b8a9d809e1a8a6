"""What a day at the hotlines is like: the figures that the plan of a run is drawn from.

Guangzhou's 110, January to November 2023: 6.628 million calls (19,844 a day), 2.048 million no police matters,
1.206 million of those handed on, 0.842 million handled jointly with other units. What the sources do not
say (the shape of a day, how the three ways of handing on compare, what callers and partners do) is an
assumption of ours, marked so.
"""

from __future__ import annotations

import random

CALLS_A_DAY = 19_844
NON_POLICE = 0.309
HANDED_ON = 0.589  # of the non-police calls
JOINT = 0.127  # of all calls

# Assumptions.
WAYS = {"guidance": 0.40, "transfer": 0.45, "platform": 0.15}  # of those handed on
AT_12345 = 0.20  # of all calls: citizens who call 12345 instead
EMERGENCY_AT_12345 = 0.15  # of those: 12345's taker presses 110
GIVE_UP = 0.04  # of all calls: before anybody has answered
WITHHELD = 0.05  # of the calls
UNITS = {"119": 0.40, "120": 0.40, "gas": 0.20}  # of the joint calls

# Assumption: quiet from 2 to 6, a first hump before noon, the higher one in the evening.
_HOURS = (
    *(2.6, 1.9, 1.4, 1.1, 1.0, 1.2, 2.0, 3.3, 4.6, 5.3, 5.5, 5.2),
    *(4.7, 4.6, 4.8, 5.0, 5.2, 5.6, 6.0, 6.2, 6.1, 5.5, 4.6, 3.5),
)
DAY_CURVE = tuple(hour / sum(_HOURS) for hour in _HOURS)
"""The share of a day's calls in each hour."""

PEAK = max(DAY_CURVE) * len(DAY_CURVE)
"""How many times the mean rate comes in the busiest hour."""


def arrivals(calls: int, seconds: float, draw: random.Random) -> list[float]:
    """When each call comes, in seconds: a Poisson process whose rate goes once through the day's curve.

    Given their number, a Poisson process's arrivals are independent draws from its rate.
    """
    hours = draw.choices(range(len(DAY_CURVE)), DAY_CURVE, k=calls)
    return sorted((hour + draw.random()) / len(DAY_CURVE) * seconds for hour in hours)
