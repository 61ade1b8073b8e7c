"""Plots as SVG, without a library and without scripts; the same figures give the same bytes."""

import math
from xml.sax.saxutils import escape

WIDTH = 900
LABELS = 210
RIGHT = 70
ROW = 18
TOP = 56
BOTTOM = 34
# Names of sizes that are closer would overlap.
LABEL_DISTANCE = 26
FONT = 'font-family="sans-serif" font-size="12"'

BACKGROUND = "#ffffff"
INK = "#222222"
FAINT = "#dddddd"
GOOD = "#2e7d6b"
BAD = "#c0392b"
BAR = "#f0a202"
COLOURS = {"ours": "#2e7d6b", "reference": "#7a7a7a", "nng": "#8e5ea2", "zmq": "#d1762f",
           "raw": "#2b6cb0"}
NAMES = {"ours": "spmsg", "reference": "libnanomsg", "nng": "nng", "zmq": "libzmq",
         "raw": "plain system calls"}


class Scale:
    """A logarithmic axis from `low` to `high`, over pixels from `start` to `end`."""

    def __init__(self, low, high, start, end):
        self.low, self.high = low, high
        self.start, self.end = start, end

    def at(self, value):
        value = min(max(value, self.low), self.high)
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, steps=(1, 2, 5)):
        exponent = math.floor(math.log10(self.low))
        while 10 ** exponent <= self.high:
            for step in steps:
                tick = step * 10 ** exponent
                if self.low * 0.999 <= tick <= self.high * 1.001:
                    yield tick
            exponent += 1


def scale_for(values, start, end, include=()):
    values = [*values, *include]
    return Scale(min(values) / 1.15, max(values) * 1.15, start, end)


def short(number):
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:g}{unit}"
    return f"{number:g}"


def text(x, y, words, anchor="start", colour=INK, size=12):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size}">{escape(words)}</text>')


def line(x1, y1, x2, y2, colour, width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def document(height, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'width="{WIDTH}" height="{height:.0f}" {FONT}>')
    ground = f'<rect width="100%" height="100%" fill="{BACKGROUND}"/>'
    return "\n".join([head, ground, *parts, "</svg>", ""])


def gains(title, rows):
    """A bar for each row (name, gain, bar or None), from 1: to the right what is better."""
    height = TOP + ROW * len(rows) + BOTTOM
    scale = scale_for([gain for _, gain, _ in rows], LABELS, WIDTH - RIGHT, include=(0.8, 2))
    parts = [text(16, 24, title, size=15)]
    for tick in scale.ticks():
        x = scale.at(tick)
        parts.append(line(x, TOP - 8, x, height - BOTTOM, INK if tick == 1 else FAINT))
        parts.append(text(x, height - BOTTOM + 16, short(tick), "middle"))
    for number, (name, gain, bar) in enumerate(rows):
        y = TOP + ROW * number
        left, right = sorted((scale.at(1), scale.at(gain)))
        colour = GOOD if gain >= 1 else BAD
        parts.append(text(LABELS - 8, y + 10, name, "end"))
        parts.append(f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(right - left, 1):.1f}" '
                     f'height="{ROW - 6}" fill="{colour}"/>')
        parts.append(text(right + 5, y + 10, f"{gain:.3g}", size=11))
        if bar is not None:
            x = scale.at(bar)
            parts.append(line(x, y - 2, x, y + ROW - 4, BAR, 2))
    parts.append(text(WIDTH - RIGHT, 24, "orange: the least that is demanded", "end", size=11))
    return document(height, parts)


def sizes(title, unit, panels):
    """Two panels a row; a panel is (name, {series: [(size, value), ...]}) on logarithmic axes."""
    half, tall = WIDTH / 2, 260
    rows = (len(panels) + 1) // 2
    height = 64 + tall * rows
    present = [name for name in NAMES if any(name in series for _, series in panels)]
    parts = [text(16, 24, f"{title} ({unit})", size=15)]
    x = 16
    for name in present:
        parts.append(line(x, 42, x + 18, 42, COLOURS[name], 3))
        parts.append(text(x + 23, 46, NAMES[name]))
        x += 45 + 8 * len(NAMES[name])
    for number, (name, series) in enumerate(panels):
        parts += panel(name, series, half * (number % 2), 56 + tall * (number // 2), half, tall)
    return document(height, parts)


def panel(name, series, left, top, width, height):
    points = [point for values in series.values() for point in values]
    across = Scale(min(x for x, _ in points), max(x for x, _ in points), left + 62,
                   left + width - 16)
    up = scale_for([y for _, y in points], top + height - 34, top + 24)
    parts = [text(left + 62, top + 16, name, size=13)]
    labelled = -math.inf
    for tick in sorted({x for x, _ in points}):
        x = across.at(tick)
        parts.append(line(x, up.start, x, up.end, FAINT))
        if x - labelled >= LABEL_DISTANCE:
            parts.append(text(x, up.start + 16, size_name(tick), "middle", size=10))
            labelled = x
    for tick in up.ticks(steps=(1,)):
        parts.append(line(across.start, up.at(tick), across.end, up.at(tick), FAINT))
        parts.append(text(across.start - 6, up.at(tick) + 4, short(tick), "end", size=10))
    for key, values in series.items():
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in sorted(values))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[key]}" '
                     f'stroke-width="2"/>')
        parts += [f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="2.5" '
                  f'fill="{COLOURS[key]}"/>' for x, y in values]
    return parts


def size_name(size):
    for factor, unit in ((1 << 20, "M"), (1 << 10, "K")):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
