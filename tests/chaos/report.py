"""The verdict of a chaos run as people read it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.judge import Finding, Tally
from tests.traffic.report import NAMED, percentile, timeline

APART = 6.0  # s; no fault lasts longer, with its recovery: those of one hotline that are further apart do not meet


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was done; `recovery` in seconds, None if the hotline did not come back."""

    at: float
    kind: str
    site: str
    words: str
    recovery: float | None


@dataclass(slots=True)
class Verdict:
    findings: Sequence[Finding]
    struck: Sequence[Struck]
    tally: Tally = field(default_factory=Tally)

    def ended(self, end: str) -> list[Finding]:
        return [each for each in self.findings if each.end == end]

    def invariants(self) -> list[tuple[str, list[str]]]:
        """What must not be, and where it was."""
        tally = self.tally
        return [
            ("callers lost", [_line(each) for each in self.ended("lost")]),
            ("callers left waiting until they gave up", [_line(each) for each in self.ended("unanswered")]),
            ("callers left alone until they hung up", [_line(each) for each in self.ended("alone")]),
            ("calls whose end the generator did not see", [_line(each) for each in self.ended("unclear")]),
            ("actions carried out twice", [_line(each) for each in self.findings if each.doubles]),
            ("presses without an answer", tally.unanswered),
            ("calls or transfers without an end", tally.unended),
            ("legs and calls left over", tally.left),
            (
                f"Redis, Asterisk, API: differences in {tally.comparisons} comparisons",
                tally.differences,
            ),
            ("faults that the hotline did not recover from", tally.unmended),
        ]

    @property
    def good(self) -> bool:
        return not any(lines for _, lines in self.invariants())


def text(verdict: Verdict) -> str:
    """The tables, the invariants, and the timelines of calls that broke one."""
    lines = [*_calls(verdict), *_faults(verdict), *_invariants(verdict)]
    wrong = [each for each in verdict.findings if each.wrong]
    for each in wrong[:NAMED]:
        lines += ["", *story(each)]
    if len(wrong) > NAMED:
        lines += ["", f"and {len(wrong) - NAMED} more: see wrong.txt"]
    return "\n".join(lines)


def story(each: Finding) -> list[str]:
    """One call from its beginning to its end."""
    return [
        f"caller {_line(each)}, scene {each.call.scene}",
        *(f"  {line}" for line in timeline(each.record)),
    ]


def _line(each: Finding) -> str:
    words = [each.why, *each.doubles]
    return (
        f"{each.call.number} at {each.call.site}, call {each.record.call_id or 'unknown'}: "
        f"{'; '.join(filter(None, words)) or each.end}"
    )


def _calls(verdict: Verdict) -> list[str]:
    seen = Counter(each.end for each in verdict.findings)
    rows = [f"    {end:22} {count:6}" for end, count in sorted(seen.items())]
    return [f"calls {len(verdict.findings)}, ended by", *rows]


def _faults(verdict: Verdict) -> list[str]:
    """All, and beside them those that no other fault of the same hotline has met."""
    kinds: defaultdict[str, list[Struck]] = defaultdict(list)
    for each in verdict.struck:
        kinds[each.kind].append(each)
    lines = [
        f"{f'faults {len(verdict.struck)}, recovery (s)':30} count    p50    p99    max | alone    p50    p99    max"
    ]
    for kind, struck in [*sorted(kinds.items()), ("all", list(verdict.struck))]:
        alone = [each for each in struck if _alone(each, verdict.struck)]
        lines.append(f"    {kind:26} {_times(struck)} | {_times(alone)}")
    return lines


def _alone(one: Struck, struck: Sequence[Struck]) -> bool:
    near = (other for other in struck if other.site == one.site and abs(other.at - one.at) < APART)
    return all(other is one for other in near)


def _times(struck: Sequence[Struck]) -> str:
    times = [each.recovery for each in struck if each.recovery is not None]
    if not times:
        return f"{len(struck):5}      -      -      -"
    return f"{len(struck):5} {percentile(times, 50):6.2f} {percentile(times, 99):6.2f} {max(times):6.2f}"


def _invariants(verdict: Verdict) -> list[str]:
    lines = []
    for what, wrong in verdict.invariants():
        lines.append(f"{'BROKEN' if wrong else 'ok':8} {what}: {len(wrong)}")
        lines += [f"             {each}" for each in wrong[:NAMED]]
    tally = verdict.tally
    lines += [
        f"note     excused, because their Asterisk was killed or no seat had a phone: {len(verdict.ended('excused'))}",
        f"note     presses: {_counts(tally.presses)}",
        f"note     put right by the sweep: {_counts(tally.put_right)}",
    ]
    if tally.forgotten:
        lines.append(
            f"note     calls that nobody remembers since their Redis was emptied: {len(tally.forgotten)}"
        )
    return lines


def _counts(counts: object) -> str:
    assert isinstance(counts, dict | Counter)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
