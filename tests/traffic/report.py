"""The verdict of a run as people read it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.traffic.judge import Judgement, timeline

MOST_EXCUSED = 0.02  # of the calls; a run in which more went astray says nothing
NAMED = 10  # calls whose timelines are shown; the rest are in the raw data


@dataclass(slots=True)
class Verdict:
    """All that a run has found. `differences`: lines on which Redis, Asterisk and API did not agree.
    `left`: legs that did not go. `complaints`: what SIPp found wrong. Times in milliseconds. `put_right`: by fault,
    how many times the controllers had lost sight of something."""

    judgements: Sequence[Judgement]
    differences: list[str] = field(default_factory=list)
    comparisons: int = 0
    left: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    to_invite: list[float] = field(default_factory=list)
    to_ringing: list[float] = field(default_factory=list)
    put_right: Mapping[str, int] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Judgement]:
        return [each for each in self.judgements if each.wrong and not each.excused]

    @property
    def excused(self) -> list[Judgement]:
        """Calls that went another way than planned because the machine was too slow for the plan."""
        return [each for each in self.judgements if each.excused]

    def count(self, kind: str) -> int:
        return sum(kind in each.wrong for each in self.wrong)

    @property
    def good(self) -> bool:
        too_slow = len(self.excused) > MOST_EXCUSED * len(self.judgements)
        return not (self.wrong or self.differences or self.left or self.unended or self.put_right or too_slow)


def text(verdict: Verdict) -> str:
    """The tables, the invariants, and the timelines of calls that broke one."""
    lines = [*_calls(verdict), *_transfers(verdict), *_times(verdict), *_invariants(verdict)]
    for each in verdict.wrong[:NAMED]:
        lines += ["", *_story(each)]
    if len(verdict.wrong) > NAMED:
        lines += ["", f"and {len(verdict.wrong) - NAMED} more: see wrong.txt"]
    return "\n".join(lines)


def stories(verdict: Verdict) -> str:
    """Every call that something is wrong with, and then those that the machine was too slow for."""
    return "\n\n".join("\n".join(_story(each)) for each in (*verdict.wrong, *verdict.excused)) + "\n"


def _calls(verdict: Verdict) -> list[str]:
    matters = Counter(
        f"{each.call.site} {each.call.matter}{f' {each.call.way}' if each.call.way else ''}"
        for each in verdict.judgements
    )
    planned = Counter("/".join(sorted(each.call.ends)) for each in verdict.judgements)
    seen = Counter(each.end for each in verdict.judgements)
    return [
        f"calls {len(verdict.judgements)}, withheld numbers {sum(e.call.withheld for e in verdict.judgements)}",
        *(f"    {count:6}  {matter}" for matter, count in sorted(matters.items())),
        "ended by                     planned    seen",
        *(f"    {end:22} {planned[end]:9} {seen[end]:7}" for end in sorted({*planned, *seen})),
    ]


def _transfers(verdict: Verdict) -> list[str]:
    seen: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in verdict.judgements:
        for line, allowed in each.call.reasons.items():
            if each.end != "nobody_answered":
                seen[each.call.scene, "/".join(sorted(allowed))][each.reasons.get(line, "none")] += 1
    lines = ["transfers                    planned reason              seen"]
    for (scene, right), found in sorted(seen.items()):
        words = ", ".join(f"{reason} {count}" for reason, count in found.most_common())
        lines.append(f"    {scene:24} {right:27} {words}")
    return lines


def _times(verdict: Verdict) -> list[str]:
    rows = {"key to INVITE at the far end": verdict.to_invite, "key to ringing": verdict.to_ringing}
    return [
        f"{name:29} p50 {percentile(times, 50):.1f} ms   p99 {percentile(times, 99):.1f} ms   of {len(times)}"
        for name, times in rows.items()
        if times
    ]


def _invariants(verdict: Verdict) -> list[str]:
    rows = [
        ("callers lost", verdict.count("lost"), []),
        ("calls whose end the generator did not see", verdict.count("unclear"), []),
        ("calls ended by another than planned", verdict.count("end"), []),
        ("calls answered by more or fewer seats than planned", verdict.count("answers"), []),
        ("transfers with a wrong reason", verdict.count("reason"), []),
        ("matters not recorded as handed on", verdict.count("diversion"), []),
        ("legs left over", len(verdict.left), verdict.left),
        ("calls that the hotline has not ended", len(verdict.unended), verdict.unended),
        (
            f"Redis, Asterisk, API: differences in {verdict.comparisons} comparisons",
            len(verdict.differences),
            verdict.differences,
        ),
        (
            "put right by the sweep",
            sum(verdict.put_right.values()),
            [f"{fault} {count}" for fault, count in sorted(verdict.put_right.items())],
        ),
    ]
    lines = []
    for what, count, details in rows:
        lines.append(f"{'ok' if not count else 'BROKEN':8} {what}: {count}")
        lines += [f"             {detail}" for detail in details[:NAMED]]
    late = [each.late * 1000 for each in verdict.judgements]
    lines.append(
        f"note     the machine was behind the plan by p50 {percentile(late, 50):.0f} ms, "
        f"p99 {percentile(late, 99):.0f} ms; calls that went another way because of that: {len(verdict.excused)}"
    )
    if verdict.complaints:
        lines.append(f"note     SIPp complained {len(verdict.complaints)} times (see phones/*/errors)")
        lines += [f"             {complaint[:160]}" for complaint in verdict.complaints[:3]]
    return lines


def _story(each: Judgement) -> list[str]:
    what = "; ".join(f"{kind}: {words}" for kind, words in each.wrong.items())
    return [
        f"caller {each.call.number} at {each.call.site}, call {each.record.call_id or 'unknown'}, "
        f"scene {each.call.scene}: {what}",
        *(f"  {line}" for line in timeline(each.record)),
    ]


def percentile(times: Sequence[float], percent: int) -> float:
    """The value below which `percent` of the times are; there must be some."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def ringing_times(logs: Iterable[Path]) -> list[float]:
    """From the controllers' log lines of ended calls: ms from the key to the partner's ringing."""
    times: list[float] = []
    for log in logs:
        with log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if '"call_ended"' not in line:
                    continue
                for transfer in json.loads(line)["transfers"]:
                    if transfer["to_ringing_ms"] is not None:
                        times.append(transfer["to_ringing_ms"])
    return times


def put_right(logs: Iterable[Path]) -> Counter[str]:
    """From the controllers' logs: by fault, what the sweep has put right.

    The metric telephony_put_right_total begins anew with each controller.
    """
    faults: Counter[str] = Counter()
    for log in logs:
        with log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if '"put_right"' in line:
                    faults[json.loads(line)["fault"]] += 1
    return faults
