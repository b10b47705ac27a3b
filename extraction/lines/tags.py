"""What the scanner knows of tags: numbers, traits, the bits that they set for all that is in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from extraction.characters import fnv1a_of

# fmt: off
NAMES = (
    "a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blockquote body br button canvas "
    "caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption "
    "figure font footer foreignobject form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image img input "
    "ins kbd keygen label legend li link listing main map mark marquee math menu meta meter nav nobr noembed noframes noscript "
    "object ol optgroup option output p param path picture plaintext pre progress q rb rp rt rtc ruby s samp "
    "script search section "
    "select slot small source span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time "
    "title tr track tt u ul var video wbr xmp"
).split()
# fmt: on
TAG = {name: number for number, name in enumerate(NAMES, 1)}
"""Number of each known tag; 0 is any other."""

N_TAGS = len(NAMES) + 1

# --- traits: how a tag is treated ------------------------------------------------------------------------------------


class Traits(NamedTuple):
    """Bits of `TRAITS`: how a tag is treated."""

    BLOCK: int = 1  # begins and ends a line
    VOID: int = 2  # has no content
    RAW: int = 4  # its content is no markup
    CLOSES_P: int = 8  # ends an open <p>
    FORMAT: int = 16  # end tags reach through blocks (adoption agency)
    SPECIAL: int = 32  # end tags of inline elements do not reach through it
    SCOPE: int = 64  # no end tag but a table's reaches through it
    IN_HEAD: int = 128  # does not end <head>
    BREAKOUT: int = 256  # ends <svg> and <math>
    HEADING: int = 512
    CELL: int = 1024
    ROW_GROUP: int = 2048


T = Traits()
_TRAITS = {
    T.BLOCK: "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html iframe legend li listing "
    "main marquee menu nav noframes noscript ol optgroup option p plaintext pre search section select summary "
    "table tbody td template textarea tfoot th thead title tr ul video audio xmp br object applet canvas",
    T.VOID: "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr",
    T.RAW: "script style textarea title iframe noembed noframes xmp",
    T.CLOSES_P: "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary "
    "table ul xmp dd dt",
    T.FORMAT: "a b big code em font i nobr s small strike strong tt u",
    T.SPECIAL: "address applet area article aside base basefont bgsound blockquote body br button caption center col "
    "colgroup dd details dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 "
    "h4 h5 h6 head header hgroup hr html iframe img input keygen li link listing main marquee menu meta nav "
    "noembed noframes noscript object ol p param plaintext pre script search section select source style "
    "summary table tbody td template textarea tfoot th thead title tr track ul wbr xmp foreignobject",
    T.SCOPE: "applet caption html table td th marquee object template foreignobject",
    T.IN_HEAD: "base basefont bgsound link meta noframes noscript script style template title head html",
    T.BREAKOUT: "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing "
    "menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var",
    T.HEADING: "h1 h2 h3 h4 h5 h6",
    T.CELL: "td th",
    T.ROW_GROUP: "tbody thead tfoot",
}
TRAITS = np.zeros(N_TAGS, np.int32)
for _trait, _names in _TRAITS.items():
    for _name in _names.split():
        TRAITS[TAG[_name]] |= _trait

# --- flags: what a line stands in ------------------------------------------------------------------------------------

FLAGS = (
    "a|nav menu|header|footer|aside|main|article|form|li|td th|button|h1 h2 h3 h4 h5 h6|table|ul ol dl dir|p|"
    "pre listing xmp plaintext|"
    "code kbd samp|blockquote|section|figure figcaption|label|strong b|em i|details summary|dd dt|h1|time|address|small|noscript|"
    "template datalist|svg math|select|video audio canvas object applet|rt rp rtc"
).split("|")
"""Bit i is set in everything inside one of the tags of entry i."""

FLAG = {name: 1 << bit for bit, names in enumerate(FLAGS) for name in names.split() if name != "h1" or names == "h1"}
IN_HEADING = FLAG["h2"]
HIDDEN = 1 << len(FLAGS)
"""By the attribute `hidden`, or `display: none` or `visibility: hidden` in `style`."""
ARIA_HIDDEN = HIDDEN << 1
HREF = HIDDEN << 2
N_FLAGS = len(FLAGS) + 3
UNSEEN = HREF << 1
"""Within a line but not to be seen: hidden, or for screen readers and editors alone. A long text there is one that a button
shows."""
AS_BLOCK = HREF << 2
"""By `display: block` in `style`; holds of the element alone."""
INVISIBLE = FLAG["template"] | FLAG["svg"] | FLAG["select"] | FLAG["video"] | FLAG["rt"]
"""Text in these gives no line. Text in <noscript> does: forums put their whole thread there for readers without scripts. What
<object> and <applet> hold is shown by browsers that have no such plug-in: all of today's."""

TAG_FLAGS = np.zeros(N_TAGS, np.int64)
for _bit, _names in enumerate(FLAGS):
    for _name in _names.split():
        TAG_FLAGS[TAG[_name]] |= 1 << _bit
for _name in ("object", "applet"):
    TAG_FLAGS[TAG[_name]] = 0  # what they hold is shown by browsers without the plug-in: all of today's

# --- finding a tag by its name ---------------------------------------------------------------------------------------


def table(names: dict[str, int], size: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Open-addressed table of hash and number, shape (size, 2)."""
    out = np.zeros((size, 2), np.int64)
    for name, number in names.items():
        slot = fnv1a_of(name.encode()) % size
        while out[slot, 1]:
            slot = (slot + 1) % size
        out[slot] = fnv1a_of(name.encode()), number
    return out


TAG_TABLE = table(TAG, 1024)
_ATTRIBUTES = (
    "class id role itemprop hidden href aria-hidden style type start value itemtype shadowrootmode shadowroot alt src"
)
ATTRIBUTES = {name: number for number, name in enumerate(_ATTRIBUTES.split(), 1)}
FORMULA_ATTRIBUTES = (
    "data-tex data-latex data-katex data-mathml data-entry data-formula data-math data-equation data-expr"
).split()
"""Attributes with the source of a formula; numbered behind `ATTRIBUTES`."""
ATTRIBUTE_TABLE = table(ATTRIBUTES | {n: i for i, n in enumerate(FORMULA_ATTRIBUTES, len(ATTRIBUTES) + 1)}, 256)

# --- characters ------------------------------------------------------------------------------------------------------

LOWER, UPPER, DIGIT, SPACE, PUNCTUATION, LEAD, TRAIL = 1, 2, 3, 4, 5, 6, 7
CLASSES = np.full(256, PUNCTUATION, np.uint8)
CLASSES[ord("a") : ord("z") + 1] = LOWER
CLASSES[ord("A") : ord("Z") + 1] = UPPER
CLASSES[ord("0") : ord("9") + 1] = DIGIT
CLASSES[[9, 10, 12, 13, 32]] = SPACE
CLASSES[0x80:0xC0] = TRAIL
CLASSES[0xC0:] = LEAD

STOP_WORDS = (
    "the of and to a in is it you that he was for on are with as i his they be at one have this from or had "
    "by not but what all were we when your can said there use an each which she do how their if will up other "
    "about out many then them these so some her would make like him into has two more no way could my than "
    "been who its now did get may die der das den von zu mit ist des auf nicht im dem ein eine auch es de la "
    "le les et un une du que est pour dans qui sur el los las por con una para su del se lo il di che non per"
).split()
STOP_TABLE = table(dict.fromkeys(STOP_WORDS, 1), 1024)
