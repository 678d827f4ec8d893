"""Personal details taken out of text before it is kept: mails, phones, cards, addresses and names, English and Chinese.

By form where a thing has one, by the words around it and a list of common names where it has none. What is found
becomes `[name 1]`: the same detail is the same placeholder throughout a conversation, so what is said still hangs
together. No list is whole: measure it on text of your own before you rely on it (`tests/test_redaction.py` shows how).
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_GIVEN = frozenset(
    """aaron abigail adam adrian ahmed aisha alan albert alejandro alex alexander alexandra ali alice alicia alison
    amanda amber amelia amir amy ana andre andrea andrew angela anita ann anna anne anthony antonio arthur ashley
    austin barbara beatriz ben benjamin beth betty bill bob boris brandon brenda brian bruce bryan carl carla carlos
    carmen carol caroline catherine charles charlotte chen chloe chris christian christina christine christopher
    claire clara colin craig cynthia daniel daniela david dawn deborah deepak denise dennis derek diana diane diego
    dmitri donald donna dorothy douglas dylan edward eileen elena elizabeth ella ellen emily emma eric erik erin
    ethan eva evelyn fatima fernando fiona florian frances francesca francis frank fred gabriel gareth gary george
    gerald gina giovanni giulia gloria grace graham greg gregory hannah harold harry hassan heather helen henry
    hiroshi holly hugo ian ibrahim igor ingrid irene isabel isabella ivan jack jacob jacqueline jake james jamie jan
    jane janet jason javier jean jeff jeffrey jennifer jeremy jerry jessica jim joan joanna joe joel john johnny
    jonathan jordan jorge jose joseph joshua juan judith judy julia julian julie justin karen karl kate katherine
    kathleen kathryn katie keith kelly kenneth kenji kevin kimberly klaus kyle lars laura lauren leah leo leonard
    leslie liam linda lisa logan louis louise lucas lucia lucy luis luke lynn madison marc marcus margaret maria
    marie marina mario mark marta martha martin mary mateo matthew maureen max megan mei melissa mia michael
    michelle miguel mike mohamed mohammed molly monica nadia nancy natalie natasha nathan neil nicholas nicole nigel
    nina noah nora oliver olivia omar oscar pablo pamela patricia patrick paul paula pedro peter philip philippa
    pierre priya rachel rafael raj ralph ramon raymond rebecca ricardo richard rita robert roberto robin roger
    ronald rosa rose ross roy russell ruth ryan sabine samantha samuel sandra sara sarah scott sean sergei sergio
    sharon shirley simon sofia sophia sophie stefan stella stephanie stephen steve steven stuart susan suzanne sven
    sylvia tamara tanya tara teresa terry thomas tim timothy tina todd tom tony tracy tyler ursula valerie vanessa
    vera veronica victor victoria vincent virginia vladimir walter wanda wayne wendy will william xavier yuki yusuf
    yvonne zachary zoe""".split()
)
_SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖"
    "姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚"
)
_NOT_GIVEN = (
    "的了是在有我你他她们吗呢吧啊说请要想能会不没和跟对从到给把被让很都也就还"
    "又再先后前里外上下来去过着得地个这那哪什么怎"
)
_STREET = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|terrace|square|sq|way|crescent|"
    r"close|parkway|pkwy|highway|hwy|gardens?|grove|mews|row|hill|walk)"
)
_WORD = r"[A-Z][\w'’-]{1,40}"
"""Of a name. Bounded, for without an end every letter of a long word would begin one that is read to its end."""
_AREA = rf"(?:,?\s+{_WORD}(?:\s{_WORD})*)?(?:,?\s+[A-Z]{{2}})?"
_ZIP = r"(?:,?\s+(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}))?"


_LED_UP_TO = re.compile(
    r"(?:[\u4e00-\u9fff]{0,6}(?:寄到|送到|发到|寄往|送往|改成|改到|改为|地址是|地址|住在|家在|搬到|到|在|是))?"
)
"""Words before a Chinese address, which no space parts from it."""


class Found(NamedTuple):
    """One personal detail, by where it stands."""

    start: int
    end: int
    kind: str
    """mail, phone, card, id, address or name"""


_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("mail", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", re.ASCII)),
    ("mail", re.compile(
        r"\b[\w.+-]{1,64}\s?(?:\(at\)|\[at\]|\sat\s)\s?[\w-]{1,63}\s?(?:\.|\sdot\s)\s?(?:com|net|org|cn|de|uk)\b", re.I
    )),
    ("card", re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d)")),
    ("id", re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}(?:0\d|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?!\d)")),
    ("id", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")),
    ("phone", re.compile(r"(?<![\d+])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)0\d{2,3}-\d{7,8}(?!\d)")),
    ("phone", re.compile(r"(?<![\d+])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)[2-9]\d{2}-\d{3}-\d{4}(?!\d)")),
    ("address", re.compile(
        rf"\b\d{{1,5}}[A-Za-z]?,?\s+(?:(?:[NSEW]|North|South|East|West)\.?\s+)?(?:{_WORD}\s+){{1,3}}(?i:{_STREET})\b\.?"
        rf"(?:,?\s+(?i:apt|apartment|unit|suite|flat|#)\.?\s*\w+)?{_AREA}{_ZIP}"
    )),
    ("address", re.compile(
        r"\b\d{1,5}[a-z]?\s+(?:[a-z]+\s+){1,2}(?:street|avenue|road|lane|drive|boulevard|terrace|crescent)\b"
    )),
    ("address", re.compile(r"\b(?:P\.?\s?O\.?\s?Box)\s+\d+", re.I)),
    ("address", re.compile(
        rf"\b(?i:flat|apt|apartment|unit)\s+\d+\w?,\s+\d{{1,5}}\s+{_WORD}(?:\s{_WORD})*{_AREA}{_ZIP}"
    )),
    ("address", re.compile(
        r"(?:[\u4e00-\u9fff]{2,8}?(?:省|自治区))?(?:[\u4e00-\u9fff]{2,8}?市)?(?:[\u4e00-\u9fff]{1,8}?(?:区|县|镇|乡))?"
        r"[\u4e00-\u9fff\d]{1,12}?(?:路|街|道|巷|弄|胡同|大街|大道)\s?[\d０-９一二三四五六七八九十百]{1,6}\s?(?:号|弄)"
        r"(?:[\u4e00-\u9fff\d-]{0,12}?(?:栋|幢|座|单元|楼|室|号))*"
    )),
    ("address", re.compile(
        r"[\u4e00-\u9fff]{2,10}(?:小区|花园|公寓|苑|家园|大厦|新村)\s?\d{1,4}\s?(?:栋|幢|座|号楼|单元|号)"
        r"(?:\d{1,4}(?:单元|室|号|楼))*"
    )),
)  # fmt: skip

_NAME = rf"{_WORD}(?:\s(?:(?:van|von|de|da|del|la|al|bin)\s){{0,2}}{_WORD}){{0,2}}"
_INTRODUCED: tuple[re.Pattern[str], ...] = (
    re.compile(rf"\b(?i:my (?:full |first |last |sur)?name(?:'s| is|:)|i am called|call me|under the name(?: of)?|"
               rf"name on (?:it|the (?:card|account|order)) is|this is|speaking with|signed,|regards,|cheers,)"
               rf"\s*({_NAME})"),
    re.compile(rf"\bI(?:['’]m| am)\s+({_NAME})"),
    re.compile(rf"\b(?i:it['’]s|it is)\s+({_WORD}\s{_WORD})"),
    re.compile(rf"\b(?i:ask for|(?:speak|spoke|talk|talked|spoken) (?:to|with)|recipient is)\s+({_NAME})"),
    re.compile(rf"({_NAME})(?=\s+here\b)"),
    re.compile(rf"\b(?i:my (?:husband|wife|son|daughter|brother|sister|mother|father|partner|boss))\s+({_WORD})"),
    re.compile(rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Madam)\.?\s+({_NAME})"),
    re.compile(rf"\b(?i:dear|hi|hello|hey)\s+({_WORD}(?:\s{_WORD})?)(?=\s*[,!.])"),
    re.compile(r"\b(?i:my name(?:'s| is|:)|i am called|under)\s+([a-z]{2,15} [a-z]{3,15})(?=\s*(?:[.,;!?]|$|and\b))"),
    re.compile(rf"\b(?i:name|customer|recipient|cardholder|passenger)\s*[:=]\s*({_NAME})"),
)  # fmt: skip
_HAN = rf"[{_SURNAMES}][^\W\d_a-zA-Z{_NOT_GIVEN}]"
_CHINESE: tuple[re.Pattern[str], ...] = (
    re.compile(r"(?:我叫|我的名字(?:是|叫)|姓名(?:是|为|[:：])|名字(?:是|叫|[:：])|收件人(?:是|[:：])?|联系人(?:是|[:：])?|户主(?:是|[:：])?|"
               r"持卡人(?:是|[:：])?|本人|登记的是)\s*([\u4e00-\u9fff]{2,4}?)(?=[，。,.！!；;、\s的]|电话|手机|住|$)"),
    re.compile(rf"(?:我是|这里是|你好[，,]?)({_HAN}[^\W\d_a-zA-Z{_NOT_GIVEN}]?)(?=[，。,.！!；;、\s]|$)"),
    re.compile(rf"({_HAN}?[^\W\d_a-zA-Z{_NOT_GIVEN}]?)(?=先生|女士|小姐|太太|老师|师傅|经理)"),
    re.compile(rf"(?<![\u4e00-\u9fff])({_HAN}[^\W\d_a-zA-Z{_NOT_GIVEN}]?)(?=[，,]\s*(?:电话|手机|1[3-9]\d))"),
)  # fmt: skip
_LISTED = re.compile(rf"(?=\b({_WORD}(?:\s(?:(?:van|von|de|da|del)\s)?{_WORD}){{0,2}}))")
_WORDS_TOO = frozenset(
    "will mark rose grace amber dawn bill frank austin jordan logan madison holly virginia victoria".split()
)
"""Given names that are words, months or places as well: by themselves they prove nothing."""
_CAPITALISED = frozenset(
    """i the a an and but or so if it is are was were my your our their this that these those please thanks thank hello
    hi hey yes no ok okay sure sorry can could would will may do does did have has had what when where which who why
    how order number monday tuesday wednesday thursday friday saturday sunday january february march april june july
    august september october november december great perfect done let we you he she they there here one not for with
    from to in on at of by anything is just also still now then""".split()
)


def find(text: str) -> list[Found]:
    """Every personal detail in a text, in order, none within another."""
    taken: list[Found] = []
    for found in _candidates(text):
        at = bisect(taken, found)
        beside = taken[max(at - 1, 0) : at + 1]
        if found.end > found.start and all(other.end <= found.start or found.end <= other.start for other in beside):
            taken.insert(at, found)
    return taken


def _candidates(text: str) -> Iterator[Found]:
    """What might be one, the surest first."""
    for kind, form in _FORMS:
        for match in form.finditer(text):
            if kind != "card" or _is_card(match.group()):
                yield Found(match.start() + len(_LED_UP_TO.match(match.group()).group()), match.end(), kind)  # pyright: ignore[reportOptionalMemberAccess]
    for pattern in (*_INTRODUCED, *_CHINESE):
        for match in pattern.finditer(text):
            start, end = match.span(1)
            if not _is_no_name(match.group(1)):
                yield Found(start, start + len(_trimmed(text[start:end])), "name")
    for match in _LISTED.finditer(text):
        if match.group(1).split(" ")[0].lower() in _GIVEN - _WORDS_TOO:
            yield Found(match.start(), match.start() + len(_trimmed(match.group(1))), "name")


def _trimmed(name: str) -> str:
    """A name without the words after it that begin a sentence of their own."""
    words = name.split(" ")
    while len(words) > 1 and words[-1].lower().strip("'’") in _CAPITALISED:
        words.pop()
    return " ".join(words)


def _is_no_name(name: str) -> bool:
    return name.split(" ")[0].lower() in _CAPITALISED


def _is_card(text: str) -> bool:
    """Luhn's check, which one number in ten passes by chance, and the length of a card."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [d if n % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for n, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


class Redactor:
    """Of one conversation: remembers which detail is which placeholder."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, str], str] = {}
        self.counts: dict[str, int] = {}
        """How many were taken out, by kind."""

    def text(self, text: str) -> str:
        """The text with placeholders. A name that was found before is found again wherever it stands."""
        parts: list[str] = []
        last = 0
        for start, end, kind in find(text):
            parts += [self._again(text[last:start]), self._placeholder(kind, text[start:end])]
            last = end
        return "".join([*parts, self._again(text[last:])])

    def value(self, value: Any) -> Any:
        """The same for every text within plain JSON values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list | tuple) else value

    def _again(self, text: str) -> str:
        for (kind, detail), placeholder in self._named.items():
            if len(detail) > 2 and detail in text.lower():
                text, times = re.subn(rf"(?<!\w){re.escape(detail)}(?!\w)", placeholder, text, flags=re.IGNORECASE)
                self.counts[kind] = self.counts.get(kind, 0) + times
        return text

    def _placeholder(self, kind: str, detail: str) -> str:
        key = (kind, detail.lower())
        if key not in self._named:
            number = 1 + sum(other == kind for other, _ in self._named)
            self._named[key] = f"[{kind} {number}]"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self._named[key]
