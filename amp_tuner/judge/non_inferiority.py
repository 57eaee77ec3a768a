"""Whether a smaller setting does the job of the one that it is made from.

Both questions are asked against the *original*, never against the last step, so that small losses
cannot add up:

* speed: less than 1 % slower, with certainty (the lower end of the interval of the paired ratio;
  the tie of :mod:`amp_tuner.judge.front`). A test of non-inferiority (ICH E9, 3.3.2): it is the
  smaller setting that has to be proven, so noise keeps moves and never drops them;
* accuracy: the verdict on the goal is not lost, and a paired test on the same samples does not find
  it worse at one-sided 2.5 %. A loss that this test cannot see (up to five decisions, all in one
  direction) is let pass: of settings that certainly meet the goal the smaller one still does.

Several moves are tried on one point, so one of the looks may be lucky. What stands for the original
in the end is therefore held against it once more, afresh: one look at new times, whose error does
not depend on how many looks chose it. Its accuracy is confirmed on samples that no look has seen,
where samples are held back.
"""

from __future__ import annotations

from amp_tuner.judge.front import TIME_TIE
from amp_tuner.records import Accuracy, Interval, Measurement

#: The smaller setting's speed, as a share of the original's, must certainly be above this.
SLOWEST = 1 - TIME_TIE
#: One-sided probability below which a paired test calls the smaller setting less accurate.
WORSE = 0.025
_VERDICTS = ("misses", "uncertain", "meets")


def verdict_lost(original: str, smaller: str) -> bool:
    """Whether the verdict on the goal is a worse one."""
    return _VERDICTS.index(smaller) < _VERDICTS.index(original)


def less_accurate(original: Accuracy, smaller: Accuracy, p_worse: float | None) -> str | None:
    """Why the smaller setting's accuracy will not do; None if it does.

    Args:
        original: the original's, against FP32.
        smaller: the smaller setting's, against FP32, on the same samples.
        p_worse: of the paired test of the one against the other. None where there is none (a
            metric of the user's own): then the two drops must not differ with certainty.
    """
    if verdict_lost(original.verdict, smaller.verdict):
        return f"accuracy: it {_says(smaller.verdict)}, the original {_says(original.verdict)}"
    if p_worse is None:
        worse = smaller.drop.low > original.drop.high
        return "accuracy: it certainly loses more" if worse else None
    if p_worse < WORSE:
        return f"accuracy: it is worse than the original (paired test, p = {p_worse:.2g})"
    return None


def slower(ratio: Interval) -> str | None:
    """Why the smaller setting's speed will not do; None if it does.

    Args:
        ratio: of the original's time to the smaller setting's, from paired blocks.
    """
    if ratio.low > SLOWEST:
        return None
    exact = ratio.low == ratio.high
    certain = "certainly" if exact or ratio.high < SLOWEST else "perhaps"
    within = "" if exact else f" [{ratio.low:.3f}, {ratio.high:.3f}]"
    return f"speed: {certain} slower, {ratio.value:.3f} times{within} as fast as the original"


def certainly_inferior(original: Measurement, known: Measurement) -> str | None:
    """Why a setting is inferior by what both measured against FP32; None if that is not certain."""
    assert original.timing is not None
    if verdict_lost(original.accuracy.verdict, known.accuracy.verdict):
        return f"accuracy: it {_says(known.accuracy.verdict)}"
    if known.timing is None:
        return "accuracy ended its trial before it was timed"
    if known.timing.speedup.high < SLOWEST * original.timing.speedup.low:
        return "speed: certainly slower by the figures of its own trial"
    return None


def _says(verdict: str) -> str:
    return "may miss the goal" if verdict == "uncertain" else f"certainly {verdict} the goal"
