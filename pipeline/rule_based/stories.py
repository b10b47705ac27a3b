"""Short prose that the rules' examples are made of: every rule keeps it, so that what is put into it decides."""

from __future__ import annotations

from pipeline.steps import Example, Examples

EN = "They have lived by the river for years, and the ferry still crosses it twice a day."
ZH = "他在北京学习汉语已经三年了，每天早上都去公园里练习发音。"


def story(place: str) -> str:
    """An English paragraph about a place: another place is another text, so that no line is one of many pages."""
    return (
        f"The old {place} by the river was rebuilt in the spring by friends of the {place}, who gave their evenings and "
        f"their tools to it. They had the wheel turned by hand at first, and the children that came to look were told to "
        f"stand back. With the summer came visitors, and the baker sold bread made of the flour of the {place} to all of "
        f"them. It is open on Sundays, and those who want to see the stones at work have to come before noon. "
    )


def story_zh(place: str) -> str:
    """A Chinese paragraph about a place, likewise."""
    return (
        f"村口的老{place}在春天重新修好了，爱{place}的人下班以后都来帮忙，带着自己的工具。起初水轮要用手来转，来看热闹的孩子们只能站在远处。"
        f"到了夏天，游客多了起来，面包店的师傅就用{place}的面粉做面包卖给他们。{place}每个星期天开放，想看石磨工作的人要在中午以前来。"
    )


PROSE: Examples = (Example(story("mill")), Example(story_zh("磨坊"), "zh"))
"""Documents that every rule keeps."""
