"""Writes data/sample/made/pages.jsonl: pages made for what the collections of real pages do not hold.

    python scripts/made_pages.py

The demo is to show every rule at work. Diffs, parked domains, walls, calendars and near-duplicates are not among the real pages
of the sample, or hardly; these few pages stand for them. The near-duplicates are real texts of gold.jsonl.gz with words changed.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"

STORY = (
    "The old mill by the river was rebuilt in the spring by people of the village, who gave their evenings and their "
    "tools to it. "
    "They had the wheel turned by hand at first, and the children that came to look were told to stand back. "
    "With the summer came visitors, and the baker sold bread made of the flour of the mill to all of them. "
    "It is open on Sundays, and those who want to see the stones at work have to come before noon. "
)
STORY_ZH = (
    "村口的老磨坊在春天重新修好了，村里的人下班以后都来帮忙，带着自己的工具。起初水轮要用手来转，来看热闹的孩子们只能站在远处。"
    "到了夏天，游客多了起来，面包店的师傅就用磨坊的面粉做面包卖给他们。磨坊每个星期天开放，想看石磨工作的人要在中午以前来。"
)


PLACES = [
    "mill",
    "forge",
    "bakery",
    "dairy",
    "brewery",
    "tannery",
    "smithy",
    "sawmill",
    "pottery",
    "quarry",
    "vineyard",
    "orchard",
    "chapel",
    "tower",
    "bridge",
    "barn",
    "stable",
    "cellar",
    "granary",
    "lighthouse",
    "ferry",
    "school",
    "library",
    "theatre",
    "station",
    "harbour",
    "market",
    "garden",
    "museum",
    "workshop",
    "kiln",
    "windmill",
    "cottage",
    "castle",
    "abbey",
    "inn",
    "bathhouse",
    "boathouse",
    "observatory",
    "greenhouse",
    "apiary",
    "nursery",
    "distillery",
    "foundry",
]
PLACES_ZH = ["磨坊", "油坊", "染坊", "茶馆", "豆腐坊", "酒坊", "铁匠铺", "书院", "祠堂", "水车"]
given = {"en": 0, "zh": 0}
REARRANGED = {
    "https://developer.hashicorp.com/terraform/language/resources": "en",
    "http://cwce.invalid/77fa9435-93a8-401b-a264-a3f5909d5ea7.html": "zh",
}
"""Pages of the sample that all stages keep, whose clauses are put in another order."""


def story() -> str:
    """The story of another place each time: lines that many pages share are cut before anything else sees them."""
    given["en"] += 1
    name = PLACES[given["en"] % len(PLACES)]
    return STORY.replace("mill", name).replace("people of the village", f"friends of the {name}")


def story_zh() -> str:
    given["zh"] += 1
    name = PLACES_ZH[given["zh"] % len(PLACES_ZH)]
    return STORY_ZH.replace("磨坊", name).replace("村里的人", f"爱{name}的人")


def page(title: str, *blocks: str, language: str = "en") -> str:
    body = "\n".join(b if b.startswith("<") else f"<p>{html.escape(b)}</p>" for b in blocks)
    name = html.escape(title)
    head = f'<html lang="{language}"><head><title>{name}</title></head>'
    return f"{head}<body><article><h1>{name}</h1>\n{body}\n</article></body></html>"


def gold(language: str) -> str:
    """The text of the first long article of a language in the sample."""
    with gzip.open(SAMPLE / "gold.jsonl.gz", "rt", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    found: str = next(
        r["main_content"]
        for r in rows
        if r["language"] == language and r["page_type"] == "article" and 2000 < len(r["main_content"]) < 6000
    )
    return found


def gold_of(url: str) -> str:
    """The text of a page of the sample."""
    with gzip.open(SAMPLE / "gold.jsonl.gz", "rt", encoding="utf-8") as f:
        return next(str(r["main_content"]) for r in map(json.loads, f) if r["url"] == url)


def edited(text: str, every: int, word: str) -> list[str]:
    """Lines of a text with every so many-th word (or eighth character) replaced."""
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) < 3 and len(line) > 3 * every:
            line = "".join(c if i % (6 * every) else word for i, c in enumerate(line, 1))
        else:
            line = " ".join(w if i % every else word for i, w in enumerate(words, 1))
        if line.strip():
            lines.append(line)
    return lines


def pages() -> dict[str, str]:
    """HTML by URL."""
    made = {}
    given.update(en=0, zh=0)
    diff = (
        "<pre>"
        + "\n".join(
            [
                "diff --git a/mill/wheel.py b/mill/wheel.py",
                "index 83db48f..bf2a1c0 100644",
                "--- a/mill/wheel.py",
                "+++ b/mill/wheel.py",
                "@@ -1,14 +1,15 @@",
            ]
            + [
                f"-    the wheel of the mill is turned with hand {i}\n+    the wheel of the mill is turned by the water {i}"
                for i in range(14)
            ]
            + ["+    and that is to be tested with the gate closed"]
        )
        + "</pre>"
    )
    made["https://code.made.example/mill/commit/83db48f"] = page(
        "Turn the wheel by water", "This is the change that was asked for.", diff
    )
    made["https://wiki.made.example/index.php?title=Mill&diff=201&oldid=187"] = page(
        "Mill: Difference between revisions",
        "Revision as of 10:02, 4 May 2019",
        "Latest revision as of 11:30, 6 May 2019",
        "Line 1:",
        story(),
        story(),
    )
    made["https://wiki.made.example/%E7%A3%A8%E5%9D%8A"] = page(
        "“磨坊”的版本间的差异",
        "2019年5月4日 (六) 10:02的版本",
        "2019年5月6日 (一) 11:30的最新修订版本",
        "未显示2个用户的3个中间版本",
        story_zh() * 2,
        language="zh",
    )
    made["https://parked.made.example/"] = page(
        "parked.made.example",
        "This domain is for sale! Interested in this domain? Make an offer on this domain and it can be yours today.",
        "The domain may be for sale by its owner. Buy this domain and have the name that people will remember with ease.",
        "Related searches",
        "Mills, bread, rivers, flour, stones, wheels, visits to the country.",
    )
    made["https://mojibake.made.example/mill"] = page(
        "The mill",
        story().replace("the", "theâ€™s", 9).replace("mill", "mÃ©ll"),
        story().replace("and", "â€œandâ€\u009d"),
    )
    made["https://login.made.example/thread/17"] = page(
        "Thread 17: the mill",
        "You must be logged in to see this thread. Please log in, or create your account, it is free of cost.",
        "Forgot your password? Already have an account? Log in to continue.",
        "This is a place where the people of the village talk about the mill that they have rebuilt with their own hands.",
    )
    made["https://login.made.example/thread/18"] = page(
        "磨坊讨论区",
        "您需要登录后才能查看本帖内容，没有账号的用户请先注册。",
        "忘记密码？请联系管理员找回密码，谢谢您的支持与理解。",
        "这里是村民讨论磨坊修复工作的地方，欢迎大家来分享自己的经验和照片，也可以提出问题。",
        language="zh",
    )
    made["https://consent.made.example/mill"] = page(
        "We value your privacy",
        "We use cookies to have the pages of the mill shown to you, and our partners process data with your consent "
        "or with legitimate interest.",
        "You can accept all cookies, reject all of them, or manage cookies to be used and have your consent preferences "
        "changed at any time.",
        "By continuing to use this site you agree to the use of cookies that is told of in the cookie notice of the mill "
        "and of its partners.",
        story(),
    )
    made["https://calendar.made.example/may"] = page(
        "The mill in May",
        "Days on which the mill is open to be seen:",
        "<p>" + " ".join(map(str, range(1, 32))) + "</p>",
        story(),
        story(),
    )
    made["https://error.made.example/a"] = page("404 Not Found", story(), story())
    made["https://forum.made.example/member.php?u=4"] = page("A visitor of the mill", story(), story())
    made["https://script.made.example/app"] = page(
        "The mill", "Please enable JavaScript to have the pictures of the mill shown.", story(), story()
    )
    made["https://policy.made.example/mill"] = page(
        "Stones of the mill", story(), story(), "Terms of use | Privacy policy"
    )
    made["https://hash.made.example/mill"] = page("#mill", " ".join(f"#{w}" for w in story().split()), story())
    made["https://ellipsis.made.example/mill"] = page("The mill", " ... ".join(story().split()[:60]), story())
    made["https://words.made.example/mill"] = page(
        "Millwork",
        *(
            [
                "Wassermühlenradwellenlagerschmierung and Getreidemühlenbetriebsgenossenschaft of Flussuferbefestigungsmaßnahmen"
            ]
            * 1
        ),
        " ".join(["internationalization-of-millworking"] * 1),
        " ".join(w * 3 for w in story().split()),
    )
    made["https://one-word.made.example/mill"] = page(
        "mill " * 9, " ".join(f"the mill {w}" for w in ["wheel", "stone", "gate", "sack", "flour"] * 14)
    )
    made["https://again.made.example/mill"] = page("The mill again", *([story()] * 4))
    made["https://again.made.example/mofang"] = page("又见磨坊", *([story_zh()] * 4), language="zh")
    made["https://upper.made.example/mill"] = page(
        "The mill", "THE MILL IS OPEN TO ALL VISITORS ON SUNDAYS", story(), story(), "Read more", "12 comments"
    )
    made["https://placeholder.made.example/"] = page(
        "The mill",
        "Coming soon: this page is under construction. Check back soon, the mill will be here with all that can be told of it.",
        "The people of the village are at work on it, and those who want to help them with their hands are welcome at the mill.",
    )
    made["https://offer.made.example/flour"] = page(
        "Flour of the mill",
        story(),
        "Sign up now for the letter of the mill and claim your free sack of flour, with free shipping on all orders. Buy now!",
        "Limited time offer: order now, save up to a half of the cost, or get your free visit. Don't miss out, subscribe today!",
    )
    made["https://runs.made.example/mill"] = page("The mill, drawn", story(), "~" * 240, story(), "哈" * 60, story())
    for language, word in (("en", "indeed"), ("zh", "亦")):
        text = gold(language)
        for i, every in enumerate((40, 90)):
            made[f"https://copy{i}.made.example/{language}"] = page(
                "A copy", *edited(text, every, word), language=language
            )
    for url, language in REARRANGED.items():
        made[f"https://rearranged.made.example/{language}"] = page(
            "Rearranged", *rearranged(gold_of(url), language), language=language
        )
    return made


def rearranged(text: str, language: str) -> list[str]:
    """Lines of a text with the clauses of each in another order: the same words, few of the same 5-grams."""
    joint, stop = ("", "。") if language == "zh" else (" ", ".")
    lines = []
    for line in text.split("\n"):
        clauses = [c.strip() for c in re.split(r"(?<=[,.;!?，。；！？])", line) if c.strip()]
        mixed = joint.join([*clauses[1::2], *clauses[::2]]).rstrip(",;，；")
        if mixed:
            lines.append(mixed if mixed[-1] in ".!?。！？" or len(clauses) < 2 else mixed + stop)
    return lines


def texts() -> dict[str, str]:
    """Texts as other extractors give them: the line model cuts such lines before any rule sees them."""
    numbers = "\n".join(" ".join(str(1000 + 37 * i * k % 9000) for k in range(1, 9)) for i in range(1, 30))
    shoes = ["red", "blue", "cheap", "best", "men", "kids", "sale", "new", "top", "buy", "winter", "leather"]
    return {
        "https://error.made.example/b": f"404 Not Found\nThe page you requested could not be found.\n{story()[:180]}",
        "https://keywords.made.example/": ", ".join(f"{word} shoes" for word in shoes) + f"\n{story()[:150]}",
        "https://lorem.made.example/": f"{story()}\nLorem ipsum dolor sit amet, consectetur adipiscing elit.\n{story()}",
        "https://numbers.made.example/": f"The heights of the river, in millimetres, day by day.\n{numbers}",
    }


def main() -> None:
    path = SAMPLE / "made" / "pages.jsonl"
    rows = [
        {"url": url, kind: text, "crawl_time": "2024-05-01T00:00:00Z"}
        for kind, made in (("html", pages()), ("text", texts()))
        for url, text in made.items()
    ]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} pages, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
