"""What people's opinions are worth, by how they are used: the same hidden preference, told as pairs, thumbs or hints.

Somebody who is played wants to be asked "may I" rather than "what is", and says so about a frozen version's replies:
as pairs (DPO, and a reward model that PPO is then paid by), as thumbs (KTO) and as hints (hindsight distillation). What
comes of so many opinions is measured with customers whom nobody has met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dialog_rl.bench.live_figures import Measured, Measuring, rise
from dialog_rl.bench.raters import asked_politely
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.episode import Episode, Message, Step, Turn
from dialog_rl.errors import TrainingError
from dialog_rl.evaluation.statistics import Interval
from dialog_rl.lm.choir import Choir
from dialog_rl.lm.model import EMBEDDED, SpeakingModel
from dialog_rl.lm.rollouts import Action, rollouts
from dialog_rl.offline import reward_model
from dialog_rl.offline.judgements import Judgements, Pair, Remark, Thumb
from dialog_rl.offline.tuning import RULES, TuningConfig
from dialog_rl.online.apprentice import DEFAULT_REWARDS
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.online.trainer import Trainer
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec
from dialog_rl.seeds import derive
from dialog_rl.staging import Customers, Stage

HINT = "please ask politely: may I have it, could you tell me"
PPO = "reward model, then PPO"
WAYS = (*RULES, PPO)
_SPOKEN_AT_ONCE = 32
_PATIENCE = 40
"""Conversations for each opinion that is wanted, after which the version is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    opinions: tuple[int, ...] = (50, 200)
    """Of each kind, how many are used."""
    dialogues: int = 256
    """Of PPO with a reward model."""
    customers: int = 100
    """That each version is measured with."""
    version: str = "base"
    epochs: int = 3
    learning_rate: float = 1e-4
    """Of the ways that need no PPO."""


FULL = Size(opinions=(25, 50, 100, 200, 400), dialogues=512, customers=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way with so many opinions."""

    way: str
    opinions: int
    measured: Measured
    rise: Interval
    """Paired difference of the share of polite questions to the version before."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def bench_preferences(
    stage: Stage, folder: Path, *, size: Size | None = None, seed: int = 0,
    progress: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:  # fmt: skip
    """Raises TrainingError where the version never differs in what the rater cares about."""
    size = size or Size()
    opened = partial(SpeakingModel.load, EMBEDDED / size.version)
    said = opinions(opened(), stage, max(size.opinions), seed)
    progress(f"{len(said.pairs)} pairs, {len(said.thumbs)} thumbs, {len(said.hints)} hints were given")
    measuring = Measuring(stage=stage, customers=size.customers, seed=seed + 1)
    before = measuring.measure(opened())
    rows: list[Row] = []
    for count in size.opinions:
        for way in WAYS:
            model = opened()
            facts = _taught(model, way, _first(said, count), stage, folder / f"{len(rows)}", size, seed)
            after = measuring.measure(model)
            rows.append(Row(way=way, opinions=count, measured=after, rise=rise(before, after), facts=facts))
            progress(_line(rows[-1]))
    return {
        "bench": "preferences", "version": size.version, "seed": seed, "customers": size.customers,
        "before": {"politely": before.politely, "success": before.success},
        "rows": [
            {"way": row.way, "opinions": row.opinions, "politely": row.measured.politely,
             "success": row.measured.success, "rise": asdict(row.rise), **row.facts}
            for row in rows
        ],
        "needed": {way: _needed(way, rows) for way in WAYS},
    }  # fmt: skip


def _needed(way: str, rows: Sequence[Row]) -> int | None:
    """The fewest opinions after which the rise was significant."""
    return min((row.opinions for row in rows if row.way == way and row.rise.low > 0), default=None)


# What the rater says


def opinions(model: SpeakingModel, stage: Stage, count: int, seed: int) -> Judgements:
    """So many of each kind about what the version said to customers of the training split, each customer once."""
    found, first = Judgements(), 0
    choir = Choir(model.policy, model.renderer, slots=1)
    while _fewest(found) < count:
        if first > _PATIENCE * max(count, _SPOKEN_AT_ONCE):
            raise TrainingError(
                f"{first} conversations of {model.version} gave {len(found.pairs)} pairs and {len(found.hints)} hints, "
                f"not {count}: it speaks too much alike for such a rater"
            )
        customers = Customers(split="train", seed=seed).scenarios(stage.pack, _SPOKEN_AT_ONCE, first)
        first += _SPOKEN_AT_ONCE
        conversations = [
            stage.conversation(
                scenario, each, episode_id=f"{first}-{number}", tokenizer=model.renderer.fingerprint,
                temperature=LEARNABLE,
            )
            for number, (scenario, each) in enumerate(customers)
        ]  # fmt: skip
        spoken = rollouts(
            model.policy, model.renderer, conversations, max_length=model.policy.max_positions, temperature=LEARNABLE,
            version=model.version,
        )  # fmt: skip
        for episode in sorted(spoken, key=lambda e: e.episode_id):
            for number, turn in enumerate(episode.turns):
                polite = asked_politely(turn.reply) if turn.steps else None
                if polite is not None and _fewest(found) < count:
                    _take(found, choir, episode, number, polite, derive(seed, "other", episode.episode_id, number))
    return _first(found, count)


def _fewest(found: Judgements) -> int:
    return min(map(len, (found.pairs, found.thumbs, found.corrections, found.hints)))


def _take(found: Judgements, choir: Choir, episode: Episode, number: int, polite: bool, seed: int) -> None:
    found.thumbs.append(Thumb(episode=episode, number=number, value=1.0 if polite else -1.0))
    if not polite:
        found.hints.append(Remark(episode=episode, number=number, text=HINT))
        wanted = _as_wanted(episode.turns[number].reply)
        if asked_politely(wanted):
            found.corrections.append(Remark(episode=episode, number=number, text=wanted))
    said, other = episode.turns[number], _said_again(choir, episode, number, seed)
    if other is None or (otherwise := asked_politely(other.reply)) is None or otherwise == polite:
        return  # not to be compared, or equally good
    chosen, rejected = (said, other) if polite else (other, said)
    found.pairs.append(Pair(episode=episode, number=number, chosen=chosen, rejected=rejected))


def _as_wanted(reply: str) -> str:
    """What the rater would rather have read: the same question, asked with "could you"."""
    head, dot, question = reply.rpartition(". ")
    about = question.rstrip("?").partition(" is ")[2] or question.rstrip("?")
    return f"{head}{dot}Could you tell me {about.strip()}, please?"


def _said_again(choir: Choir, episode: Episode, number: int, seed: int) -> Turn | None:
    """The turn with its last words drawn once more; None if they became a call, or nothing that can be read."""
    turn, last = episode.turns[number], episode.turns[number].steps[-1]
    before = [*(s for t in episode.turns[:number] for s in t.steps), *turn.steps[:-1]]
    heard: list[Message | None] = (
        [turn.steps[-2].result] if len(turn.steps) > 1 else [*([episode.system] if not before else []), turn.user]
    )
    singer = choir.singer(seed=seed, temperature=1.0, history=before)
    *_, action = singer.speak([message for message in heard if message is not None])
    assert isinstance(action, Action)
    if (
        action.message.malformed
        or action.message.tool_call is not None
        or action.observation_ids != last.observation_ids
    ):
        return None
    drawn = Step(
        message=action.message, observation_ids=action.observation_ids, action_ids=action.action_ids,
        logprobs=action.logprobs, policy_version=last.policy_version,
    )  # fmt: skip
    return replace(turn, steps=(*turn.steps[:-1], drawn))


def _first(said: Judgements, count: int) -> Judgements:
    return Judgements(
        pairs=said.pairs[:count], thumbs=said.thumbs[:count], corrections=said.corrections[:count],
        hints=said.hints[:count],
    )  # fmt: skip


# What is made of it


def _taught(
    model: SpeakingModel, way: str, said: Judgements, stage: Stage, folder: Path, size: Size, seed: int
) -> dict[str, Any]:
    """Tune the model in place. Returns what is to be told of it."""
    if way in RULES:
        kind, tune = RULES[way]
        tune(model, getattr(said, kind), TuningConfig(epochs=size.epochs, learning_rate=size.learning_rate, seed=seed))
        return {}
    return _practised(model, said, stage, folder, size, seed)


def _practised(
    model: SpeakingModel, said: Judgements, stage: Stage, folder: Path, size: Size, seed: int
) -> dict[str, Any]:
    """PPO, held to what it was, with what a reward model makes of the pairs beside the usual rewards."""
    frozen, reference = (SpeakingModel.load(EMBEDDED / size.version) for _ in range(2))
    made = reward_model.fit(frozen, said, seed=seed)

    def lent(where: str) -> Callable[[Sequence[Episode]], list[list[float | None]]]:
        return partial(made.score, frozen)

    with load_plugins() as plugins:
        specs = [*(spec for spec in DEFAULT_REWARDS if spec.use != "fluency"),
                 RewardSpec(use="learned", weight=0.5, options={"model": "", "per_step": True})]  # fmt: skip
        rewards = build_rewards(plugins.registry, specs, resources={"reward_model": lent})
        config = TrainConfig(dialogues=size.dialogues, batch=min(64, size.dialogues), slots=32, seed=seed)
        for _ in Trainer(folder, [stage], model, reference, rewards, config).run():
            pass
    model.policy.autocast = False
    return {"accuracy": made.report.accuracy, "calibration_error": made.report.calibration_error}


def _line(row: Row) -> str:
    low, high = 100 * row.rise.low, 100 * row.rise.high
    return (
        f"{row.way}, {row.opinions} opinions: {100 * row.measured.politely:.1f} % polite ({low:+.1f} to {high:+.1f}), "
        f"success {100 * row.measured.success:.0f} %"
    )


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    before = result["before"]
    yield (
        f"preferences: {result['customers']} customers; {100 * before['politely']:.1f} % of questions polite and "
        f"{100 * before['success']:.0f} % served before"
    )
    for row in result["rows"]:
        rose = row["rise"]
        told = f", reward model right {100 * row['accuracy']:.0f} %" if "accuracy" in row else ""
        yield (
            f"  {row['way']:24s} {row['opinions']:4d} opinions  {100 * row['politely']:5.1f} %  "
            f"{100 * rose['value']:+6.1f} ({100 * rose['low']:+.1f} to {100 * rose['high']:+.1f})  "
            f"served {100 * row['success']:.0f} %{told}"
        )
    for way, needed in result["needed"].items():
        yield f"  {way}: " + (f"significant after {needed} opinions" if needed else "not significant")
