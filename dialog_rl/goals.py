"""An unlimited supply of scenarios from a pack: the same pack, split and seed give the same customer, always.

Records are made anew for every scenario (a few customers, their orders, …), a goal is bound to rows of them, and the
rows are arranged so that the goal's circumstance holds. Splits draw names and other values from pools of their own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from dialog_rl.episode import ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import holds, resolve
from dialog_rl.gold import evidence_of, success_of
from dialog_rl.pack import Intent, Pack, Table, Variant
from dialog_rl.scenario import Persona, Scenario
from dialog_rl.seeds import generator
from dialog_rl.sources import SourcedPack
from dialog_rl.text import one_line

_ONSETS = "b d f g h j k l m n p r s t v w z br dr gr kr st tr bl kl sh ch".split()
_NUCLEI = "a e i o u a e i o ai ei ou".split()
_CODAS = ["", "", "", "n", "r", "l", "s", "m", "nd", "rt"]

TWO_ITEMS = 0.25
UPFRONT = 0.45
WRONG_FIRST = 0.12
FORGETS = 0.12
CHANGES_MIND = 0.10
LOWERCASE = 0.25
ROWS, TRIES, LENGTH, TEXT = 1000, 200, 40, 2000
"""Records, tries at a value that no other record has, digits or syllables, and characters: what a pack's makers may
make, so that one from a stranger cannot stall the program."""


def make_scenario(
    pack: Pack,
    seed: int,
    *,
    split: str = "train",
    phrasing: str = "",
    intent: str = "",
    variant: str = "",
    two_items: float = TWO_ITEMS,
    number: int | None = None,
    twins: bool = False,
) -> Scenario:
    """The customer of one seed. `phrasing` is "train" or "heldout"; it follows the split unless given.

    two_items: chance of wanting a second thing. number: which customer, where a pack has given ones; None: by the seed.
    twins: packs that extend one another then have the same customers, each in its own language.
    """
    phrasing = phrasing or ("heldout" if split == "heldout" else "train")
    if isinstance(pack, SourcedPack):
        return pack.scenario(seed if number is None else number, split=split, phrasing=phrasing)
    try:
        return _Maker(pack, seed, split, phrasing, two_items, twins).scenario(intent, variant)
    except ScenarioError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as e:  # a maker of a wrong shape
        raise ScenarioError(f"{pack.folder}: no customer can be made: {type(e).__name__}: {one_line(str(e))}") from None


class _Maker:
    def __init__(self, pack: Pack, seed: int, split: str, phrasing: str, two_items: float, twins: bool) -> None:
        self._two_items, self._twins = two_items, twins
        self._pack, self._file, self._seed, self._split, self._phrasing = pack, pack.file, seed, split, phrasing
        base = self._file.extends or self._file.name
        self._rng = generator(seed, "scenario", base, split)
        self._records: dict[str, dict[str, dict[str, Any]]] = {}
        self._used: set[tuple[str, str]] = set()

    def scenario(self, intent: str, variant: str) -> Scenario:
        rng = self._rng
        self._make_records()
        facts = {name: str(self._drawn(maker, {}, "fact", name)) for name, maker in self._file.facts.items()}
        customers = list(self._records[self._file.customer].values())
        customer = customers[rng.randrange(len(customers))]
        persona = self._persona()
        chosen = [intent] if intent else self._choose_intents()
        items, gold = [], []
        for n, name in enumerate(chosen, start=1):
            item, calls = self._item(f"g{n}", name, variant, customer, facts, persona)
            items.append(item)
            gold += calls
        return Scenario.model_validate({
            "id": f"{self._file.name}-{self._split}-{self._seed}", "schema": 1, "pack": self._file.name,
            "split": self._split, "phrasing": self._phrasing, "language": self._file.language,
            "user": {"persona": persona, "goal": self._goal(items, customer)},
            "initial": {"records": self._records, "facts": facts},
            "success": success_of(self._pack, self._records, facts, items, gold),
        })  # fmt: skip

    # -- records

    def _make_records(self) -> None:
        for name, table in self._file.tables.items():
            rows: dict[str, dict[str, Any]] = {}
            self._records[name] = rows
            if table.rows:
                rows.update({str(row["id"]): dict(row) for row in table.rows})
                continue
            for value in self._pool(table.each) if table.each else ():
                self._add_row(name, {"each": value})
            parents: Sequence[Mapping[str, Any]] = list(self._records[table.per].values()) if table.per else [{}]
            for parent in [] if table.each else parents:
                for _ in range(self._count(table)):
                    self._add_row(name, {"parent": parent})

    def _count(self, table: Table) -> int:
        return table.count if isinstance(table.count, int) else self._rng.randint(*table.count)

    def _add_row(self, name: str, scope: Mapping[str, Any]) -> None:
        rows, table = self._records[name], self._file.tables[name]
        row: dict[str, Any] = {}
        for field, maker in table.fields.items():
            taken = field == "id" or (isinstance(maker, Mapping) and maker.get("unique"))
            for attempt in range(TRIES):
                row[field] = self._drawn(maker, {**row, **scope}, name, len(rows), field, attempt)
                if not taken or all(other[field] != row[field] for other in rows.values()):
                    break
            else:
                raise ScenarioError(
                    f"{self._pack.folder}: too few values of '{field}' for rows that each have their own"
                )
        rows[str(row["id"])] = row
        if sum(map(len, self._records.values())) > ROWS:
            raise ScenarioError(f"{self._pack.folder}: more than {ROWS} records for one customer")

    # -- values

    def _drawn(self, maker: Any, scope: Mapping[str, Any], *place: str | int) -> Any:
        """A value for a place. Twins draw each from a stream of its own: what another language took more draws for, a
        name of other parts or a longer list, then moves nothing else."""
        if not self._twins:
            return self._value(maker, scope)
        whole, self._rng = self._rng, generator(self._seed, "twin", self._split, *place)
        try:
            return self._value(maker, scope)
        finally:
            self._rng = whole

    def _value(self, maker: Any, scope: Mapping[str, Any]) -> Any:
        """A value from its maker: {pick}, {either}, {digits}, {int}, {money}, {word}, {text, …}, or an expression."""
        if not isinstance(maker, Mapping):
            return resolve(maker, scope)
        rng = self._rng
        if "pick" in maker:
            options = self._pool(maker["pick"]) if isinstance(maker["pick"], str) else maker["pick"]
            if "unlike" in maker:  # nobody wants what they have got exchanged for the same again
                present = str(resolve(maker["unlike"], scope))
                options = [option for option in options if str(option) not in present]
            return self._value(rng.choice(options), scope)
        if "either" in maker:
            return self._value(rng.choice(maker["either"]), scope)
        if "digits" in maker:
            first = rng.choice("123456789")
            count = min(maker["digits"], LENGTH)
            return str(maker.get("prefix", "")) + first + "".join(rng.choices("0123456789", k=count - 1))
        if "int" in maker:
            return rng.randint(*maker["int"])
        if "money" in maker:
            low, high = maker["money"]
            return f"{rng.randint(low * 100, high * 100) / 100:.2f}"
        if "word" in maker:
            return made_up_word(rng, min(rng.randint(*maker["word"]), LENGTH))
        if "text" in maker:
            parts = {k: self._value(part, scope) for k, part in maker.items() if k not in ("text", "unique")}
            text = str(resolve(maker["text"], {**scope, **parts})) if len(maker["text"]) <= TEXT else ""
            if not 0 < len(text) <= TEXT:
                raise ScenarioError(f"{self._pack.folder}: a text of more than {TEXT} characters, or of none")
            return text
        return resolve(maker, scope)

    def _pool(self, name: str) -> Sequence[Any]:
        pool = self._file.pools.get(name)
        if pool is None:
            raise ScenarioError(f"{self._pack.folder}: no pool '{name}'; there are: {', '.join(self._file.pools)}")
        return pool.get(self._split, pool["train"]) if isinstance(pool, Mapping) else pool

    # -- goals

    def _choose_intents(self) -> list[str]:
        names = list(self._file.intents)
        weights = [self._file.intents[n].weight for n in names]
        count = 2 if len(names) > 1 and self._rng.random() < self._two_items else 1
        chosen: list[str] = []
        while len(chosen) < count:
            name = self._rng.choices(names, weights)[0]
            if name not in chosen:
                chosen.append(name)
        return chosen

    def _item(
        self,
        item_id: str,
        name: str,
        variant: str,
        customer: Mapping[str, Any],
        facts: Mapping[str, str],
        persona: dict[str, Any],
    ) -> tuple[dict[str, Any], list[ToolCall]]:
        intent = self._file.intents[name]
        circumstance = intent.variants[variant] if variant else self._rng.choices(
            list(intent.variants.values()), [v.weight for v in intent.variants.values()])[0]  # fmt: skip
        scope: dict[str, Any] = {"customer": customer, "facts": facts}
        self._bind(intent, circumstance, scope)
        for path, maker in circumstance.arrange.items():
            row, _, field = path.partition(".")
            scope[row][field] = self._drawn(maker, scope, item_id, path)
        scope["choose"] = self._chosen(intent, scope, item_id)
        inform = {slot: str(resolve(value, scope)) for slot, value in {**intent.slots, **circumstance.slots}.items()}
        final = self._second_thoughts(item_id, intent, circumstance, scope, inform)
        scope["slots"] = {**inform, **final}
        gold = [ToolCall(name=g["tool"], arguments=resolve(g.get("arguments", {}), scope)) for g in circumstance.gold]
        request = {key: str(resolve(value, scope)) for key, value in circumstance.communicate.items()}
        item: dict[str, Any] = {
            "id": item_id,
            "intent": name,
            "inform": inform,
            "request": request,
            "change_of_mind": final,
        }
        item["hints"] = {} if circumstance.foreign else self._forgotten(intent, scope, persona)
        item["wrong"] = self._wrong(inform, persona, item["hints"])
        if circumstance.refuse:
            item |= {"refusal": circumstance.refuse, "evidence": evidence_of(self._pack, circumstance.refuse)}
        return item, gold

    def _bind(self, intent: Intent, circumstance: Variant, scope: dict[str, Any]) -> None:
        owner = scope["customer"]
        if circumstance.foreign:
            owner = self._rng.choice(
                [c for c in self._records[self._file.customer].values() if c is not scope["customer"]]
            )
        for name, spec in intent.bind.items():
            table = spec["table"]
            where = spec.get("where", {"customer_id": owner["id"]})
            rows = [r for r in self._records[table].values()
                    if (table, str(r["id"])) not in self._used and holds(where, {**scope, **r})]  # fmt: skip
            if not rows:
                raise ScenarioError(f"{self._pack.folder}: no row of '{table}' is left for '{name}'; make more of them")
            row = self._rng.choice(rows)
            if "where" not in spec:
                self._used.add((table, str(row["id"])))
            scope[name] = row

    def _chosen(self, intent: Intent, scope: Mapping[str, Any], *place: str) -> dict[str, Any]:
        return {key: self._drawn(maker, scope, *place, key) for key, maker in intent.choose.items()}

    def _second_thoughts(
        self,
        item_id: str,
        intent: Intent,
        circumstance: Variant,
        scope: Mapping[str, Any],
        inform: Mapping[str, str],
    ) -> dict[str, str]:
        if circumstance.refuse or not circumstance.gold or self._rng.random() >= CHANGES_MIND:
            return {}
        again = {**scope, "choose": self._chosen(intent, scope, item_id, "again")}
        final = {slot: str(resolve(intent.slots[slot], again)) for slot in intent.mutable}
        return {slot: value for slot, value in final.items() if value != inform[slot]}

    def _forgotten(
        self, intent: Intent, scope: Mapping[str, Any], persona: dict[str, Any]
    ) -> dict[str, dict[str, str]]:
        return {
            slot: {key: str(resolve(value, scope)) for key, value in hint.items()}
            for slot, hint in intent.hints.items()
            if slot in persona["forgets"]
        }

    def _wrong(self, inform: Mapping[str, str], persona: dict[str, Any], hints: Mapping[str, Any]) -> dict[str, str]:
        wrong: dict[str, str] = {}
        for slot in persona["wrong_first"]:
            value = inform.get(slot, "")
            if value.isdigit() and slot not in hints:
                place = self._rng.randrange(1, len(value))
                digit = self._rng.choice([d for d in "0123456789" if d != value[place]])
                wrong[slot] = value[:place] + digit + value[place + 1 :]
                if any(wrong[slot] in rows for rows in self._records.values()):
                    del wrong[slot]
        return wrong

    def _persona(self) -> dict[str, Any]:
        rng = self._rng
        slots = sorted({s for i in self._file.intents.values() for s in i.hints})
        digits = sorted({s for i in self._file.intents.values() for s in i.slots if s.endswith("_id")})
        persona = Persona.model_validate({
            "verbosity": rng.choice(["minimal", "normal", "normal", "chatty"]), "patience": rng.randint(3, 6),
            "lowercase": rng.random() < LOWERCASE,
            "forgets": [s for s in slots if rng.random() < FORGETS],
            "wrong_first": [s for s in digits if rng.random() < WRONG_FIRST],
            "noise": {"typo": rng.choice([0, 0, 0.01, 0.03])},
        })  # fmt: skip
        return persona.model_dump()

    def _goal(self, items: list[dict[str, Any]], customer: Mapping[str, Any]) -> dict[str, Any]:
        asked = {step.ask for step in self._file.identify if step.ask}
        known = {slot: str(customer[slot]) for slot in sorted(asked)}
        return {"items": items, "known": known, "reveal": "upfront" if self._rng.random() < UPFRONT else "on_request"}


def made_up_word(rng: random.Random, syllables: int) -> str:
    """A pronounceable capitalised word that is in no dictionary: an unlimited supply of names to copy."""
    word = "".join(
        rng.choice(_ONSETS) + rng.choice(_NUCLEI) + (rng.choice(_CODAS) if n else "") for n in range(syllables)
    )
    return word.capitalize()
