"""Line: what a metric found, and how it is printed. Used by run and the metrics."""
from typing import NamedTuple, Optional


class Line(NamedTuple):
    """One metric's outcome. With a peer, `ratio` says how many times better we are, or, with
    higher_is_better False, how many times the peer's figure ours is, and the bar is one for the
    ratio. Without a ratio the bar is one for our figure itself. Without a bar it is only told."""
    name: str
    unit: str
    ours: float
    peer: Optional[float]
    ratio: Optional[float]
    bar: Optional[float]
    higher_is_better: bool

    @property
    def ok(self):
        if self.bar is None:
            return True
        judged = self.ours if self.ratio is None else self.ratio
        return judged >= self.bar if self.higher_is_better else judged <= self.bar

    def as_dict(self):
        return {"metric": self.name, **self._asdict(), "ok": self.ok}

    def __str__(self):
        peer = "-" if self.peer is None else f"{self.peer:.4g}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        bar = "-" if self.bar is None else f"{'>=' if self.higher_is_better else '<='}{self.bar:g}"
        verdict = "told" if self.bar is None else "ok" if self.ok else "MISSED"
        return (f"{self.name:<26} {self.ours:>10.4g} {peer:>10} {self.unit:<10} "
                f"{ratio:>8} {bar:>8}  {verdict}")


HEADER = f"{'# metric':<26} {'ours':>10} {'peer':>10} {'unit':<10} {'ratio':>8} {'bar':>8}"


def times_better(name, unit, ours, peer, bar):
    """A line for a figure where less is better: how many times less than the peer's is ours?"""
    return Line(name, unit, ours, peer, peer / ours, bar, True)


def times_more(name, unit, ours, peer, bar=None):
    """A line for a figure where more is better: how many times the peer's is ours?"""
    return Line(name, unit, ours, peer, ours / peer, bar, True)


def at_least(name, unit, ours, bar=None):
    return Line(name, unit, ours, None, None, bar, True)


def at_most(name, unit, ours, bar=None):
    return Line(name, unit, ours, None, None, bar, False)
