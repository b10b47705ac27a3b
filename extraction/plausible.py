"""How likely a text is one, and not the bytes of another encoding read wrongly.

What is wrong reads as rare characters ("ÇÅÏÂÃæ" for Chinese, Han characters that nobody writes for accented letters). So what
is asked of the characters that are not ASCII is: are they among the commonest of their language; do letters stand in words as
letters do.
"""

from __future__ import annotations

import functools
import re

COMMON_SIMPLIFIED = (
    "的一是有个在了不以为中时要可这大用到和上能来对下于出我就多后人会行方发成现如所分数过最年定前开实理法作也自点之间面地好进"
    "新题本同动都而得们小生么其然更子意目看日经次没果比说入力合还重加内通问高只关全化接等代度者当但家里性因月提那并种很天需从"
    "些学文部相式与主去工体心每他解计长应第道无事程常机表期使做将公设国样情求想两量结平路资制明业记及给位被向建据着起已系三类"
    "此少市场先持回知指原件正何展信把非利什己始外标由示基模特单别或名你保完手变直区思务产头处放存再调值线统取该任元总二口型读"
    "安写候至复管身格员注各运强活金打共它容东技认改必组置让转算则又几考万民交推收决服整品传规步流话习确选网参达续感造四项物深"
    "报象近受构义图条立界列字即今价门世增投十导证术美形电易水源真态具空色码论创告书布效包政命除况简且息显台优西功根带号际风费"
    "节像教速质观维供司才越限找神快影准段觉专社终较未首边例海反集备约老走足见试户太序级历初满消离排链客战言引识难广清获环配商"
    "山光联周称往极办科领域器编装五随照权气断精策按依便院研干仅够怎益验查致张支视女失呢住录钱升继积率华请许否城南护连章笔议望"
    "举马众讲操营某阅游换响略远超差治低白势输素声划站企预属份史北料究局百景境控车语案半另官顺眼乐协助令概修星士似块争济志花乎"
    "充角须险师吗她底范适买择却落片友球尽测切错币载施端普曾篇博尔免儿州奇英育爱止微般团养热层喜突承智销跟哪树京念江符析居德母"
)
"""Three quarters of the Han characters of Chinese pages; counted in the gold texts of zh-gold and zh-pages and in blogs."""

COMMON_TRADITIONAL = (
    "的一是有個在了不以為中時要可這大用到和上能來對下於出我就多後人會行方發成現如所分數過最年定前開實理法作也自點之間面地好進"
    "新題本同動都而得們小生麼其然更子意目看日經次沒果比說入力合還重加內通問高只關全化接等代度者當但家裡性因月提那並種很天需從"
    "些學文部相式與主去工體心每他解計長應第道無事程常機表期使做將公設國樣情求想兩量結平路資制明業記及給位被向建據着起已系三類"
    "此少市場先持回知指原件正何展信把非利什己始外標由示基模特單別或名你保完手變直區思務產頭處放存再調值線統取該任元總二口型讀"
    "安寫候至復管身格員注各運強活金打共它容東技認改必組置讓轉算則又幾考萬民交推收決服整品傳規步流話習確選網參達續感造四項物深"
    "報象近受構義圖條立界列字即今價門世增投十導證術美形電易水源真態具空色碼論創告書布效包政命除況簡且息顯臺優西功根帶號際風費"
    "節像教速質觀維供司才越限找神快影準段覺專社終較未首邊例海反集備約老走足見試戶太序級歷初滿消離排鏈客戰言引識難廣清獲環配商"
    "山光聯周稱往極辦科領域器編裝五隨照權氣斷精策按依便院研幹僅夠怎益驗查致張支視女失呢住錄錢升繼積率華請許否城南護連章筆議望"
    "舉馬眾講操營某閱遊換響略遠超差治低白勢輸素聲劃站企預屬份史北料究局百景境控車語案半另官順眼樂協助令概修星士似塊爭濟志花乎"
    "充角須險師嗎她底範適買擇卻落片友球盡測切錯幣載施端普曾篇博爾免兒州奇英育愛止微般團養熱層喜突承智銷跟哪樹京念江符析居德母"
    "爲衆裏著"
)
"""The same in traditional form."""

_CJK_SIGNS = "，。、：；？！（）《》〈〉「」『』【】“”‘’…—·～　％＋－＝／０１２３４５６７８９"
_PRINTERS = "«»“”‘’„‚‹›–—…\xa0\u2009\u200b"  # may stand beside one another, and within words
_OTHER_SIGNS = "·•°§©®™€£¥¡¿ªº²³½¼¾×±¶†→←↑↓✓★☆■●◆▶►│─\xad\u2011\u200e\ufeff№"
_SIGN = re.compile(
    rf"[{_PRINTERS}]|(?<![\x80-\uffff])[{_OTHER_SIGNS}](?![\x80-\uffff])(?!(?<=[a-zA-Z].)[a-zA-Z])|(?<=[{_PRINTERS}])[{_OTHER_SIGNS}](?![^\W\d_])"
)
_WORD = re.compile(r"[^\W\d_]+")
_REGULAR = re.compile(
    r"(?:[^\W\d_])?(?:(?![A-Z\u00c0-\u00de\u0391-\u03a9\u0400-\u042f])[^\W\d_])*|(?:(?![a-z\u00df-\u00ff\u03b1-\u03c9\u0430-\u045f])[^\W\d_])+"
)


@functools.cache
def _common(codec: str) -> frozenset[str] | None:
    """Characters that a text in one of the East Asian encodings mostly has."""
    kana = "".join(map(chr, range(0x3041, 0x30FF)))
    match codec:
        case "gb18030" | "gb2312" | "gbk" | "hz":
            return frozenset(COMMON_SIMPLIFIED + _CJK_SIGNS)
        case "big5hkscs" | "big5" | "cp950":
            return frozenset(COMMON_TRADITIONAL + _CJK_SIGNS)
        case "cp932" | "shift_jis" | "euc_jp" | "iso2022_jp":
            return frozenset(COMMON_TRADITIONAL + COMMON_SIMPLIFIED + _CJK_SIGNS + kana)
        case "cp949" | "euc_kr" | "johab":
            return frozenset(_CJK_SIGNS + "".join(map(chr, range(0xAC00, 0xD7A4))))
    return None


def plausibility(text: str, codec: str) -> float:
    """Share of the characters that are not ASCII which are what one expects of a text in this encoding, 0 to 1; 1 without such
    characters. Of Chinese texts about 0.75, of Korean and of Latin, Greek and Cyrillic ones over 0.9."""
    others = [c for c in text if c >= "\x80"]
    if not others:
        return 1.0
    common = _common(codec)
    if common is not None:
        share = sum(map(common.__contains__, others)) / len(others)
        return share * share if codec in ("cp949", "euc_kr", "johab") else share
    good = sum(len(match[0]) for match in _SIGN.finditer(text))
    for match in _WORD.finditer(text):
        word = match[0]
        if not word.isascii():
            good += _letters(word)
    return good / len(others)


def _letters(word: str) -> int:
    """Characters that are not ASCII of a word, if it is one: of one script, capitals first or alone; of Latin words at least half
    is ASCII."""
    n = sum(c >= "\x80" for c in word)
    latin = sum(c < "\u0250" for c in word)
    if not _REGULAR.fullmatch(word):
        return 0
    if latin == len(word):
        return n if 2 * n <= len(word) + 1 else 0
    if latin or len({ord(c) >> 8 for c in word}) > 1:
        return 0
    return 0 if "\u3400" <= word[0] <= "\u9fff" else n
