"""A tiny causal transformer that fulfils ActorCritic, and episodes made of bare token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, Turn
from dialog_rl.rl.actor_critic import TokenEvaluation
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.scoring import ScoredEpisode

SPOKEN = Message(role=Role.ASSISTANT, text="x")
PAD = 0


class TinyLM(nn.Module):
    """One layer of causal attention; the value head reads the same hidden states."""

    def __init__(self, *, vocabulary: int = 11, width: int = 8, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embed = nn.Embedding(vocabulary, width)
            self.place = nn.Embedding(64, width)
            self.qkv = nn.Linear(width, 3 * width)
            self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, width))
            self.head = nn.Linear(width, vocabulary)
            self.value_head = nn.Linear(width, 1)

    def hidden(self, ids_BT: Tensor) -> Tensor:
        x_BTD = self.embed(ids_BT) + self.place.weight[: ids_BT.shape[1]]
        q, k, v = self.qkv(x_BTD).chunk(3, dim=-1)
        x_BTD = x_BTD + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x_BTD + self.mlp(x_BTD)

    @torch.no_grad()
    def next_logprobs(self, ids_BT: Tensor) -> Tensor:
        """Of the token after rows of one length."""
        return torch.log_softmax(self.head(self.hidden(ids_BT)[:, -1]), -1)

    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> TokenEvaluation:
        x_BTD = self.hidden(ids_BT)
        before_BTD = torch.cat([x_BTD[:, :1], x_BTD[:, :-1]], 1)
        logp_BTV = torch.log_softmax(self.head(before_BTD) / temperature, -1)
        values_BT = self.value_head(before_BTD)[..., 0]
        last_B = self.value_head(x_BTD[torch.arange(len(ids_BT)), lengths_B - 1])[:, 0]
        return TokenEvaluation(
            logp_BTV.gather(2, ids_BT[..., None])[..., 0], -(logp_BTV.exp() * logp_BTV).sum(-1), values_BT, last_B
        )


class PaddingBreaks(TinyLM):
    """Leaves NaN wherever no action is, as a careless model might."""

    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> TokenEvaluation:
        got = super().evaluate(ids_BT, lengths_B, action_mask_BT, temperature=temperature)
        logprobs_BT, entropy_BT, values_BT = (torch.where(action_mask_BT, x, torch.nan) for x in got[:3])
        return TokenEvaluation(logprobs_BT, entropy_BT, values_BT, got.final_value_B)


def _scored(
    steps: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    reward: float = 0.0,
    step_rewards: Sequence[float] = (),
    stop: StopReason = StopReason.USER_LEFT,
    logprobs: Sequence[Sequence[float]] | None = None,
    scenario: str = "s",
    temperature: float = 1.0,
    tokenizer: str = "",
) -> ScoredEpisode:
    """One turn a step: (observation ids, action ids)."""
    said = logprobs or [[-1.0] * len(action) for _, action in steps]
    turns = tuple(
        Turn(
            user=Message(role=Role.USER, text="u"),
            steps=(
                Step(
                    message=SPOKEN, observation_ids=tuple(seen), action_ids=tuple(action), logprobs=tuple(logprob)
                ),
            ),
        )
        for (seen, action), logprob in zip(steps, said, strict=True)
    )  # fmt: skip
    episode = Episode(
        episode_id="e", pack="p", scenario={"id": scenario}, seed=0, system=SPOKEN, turns=turns, stop=stop,
        temperature=temperature, tokenizer=tokenizer,
    )  # fmt: skip
    return ScoredEpisode(episode=episode, components={}, reward=reward, step_rewards=tuple(step_rewards))


def _sampled(
    policy: TinyLM, count: int, *, seed: int = 0, reward: Callable[[int], float] | None = None, truncate: bool = True
) -> list[ScoredEpisode]:
    """Episodes of random lengths whose log-probs are those of `policy`."""
    g = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=g))
        return torch.randint(1, 11, (length,), generator=g).tolist()

    out: list[ScoredEpisode] = []
    for n in range(count):
        steps = [(ids(1, 5), ids(1, 6)) for _ in range(int(torch.randint(1, 4, (), generator=g)))]
        stop = StopReason.MAX_TURNS if truncate and n % 5 == 4 else StopReason.USER_LEFT
        earned = float(torch.rand((), generator=g)) if reward is None else reward(n)
        bare = EpisodeBatch.from_scored([_scored(steps)], PAD)
        with torch.no_grad():
            got = policy.evaluate(bare.ids_BT, bare.lengths_B, bare.action_mask_BT)
        flat = got.logprobs_BT[bare.action_mask_BT].tolist()
        logprobs = [[flat.pop(0) for _ in action] for _, action in steps]
        out.append(_scored(steps, reward=earned, stop=stop, logprobs=logprobs, scenario=str(n // 4)))
    return out


@pytest.fixture
def tiny_lm() -> type[TinyLM]:
    return TinyLM


@pytest.fixture
def padding_breaks() -> type[PaddingBreaks]:
    return PaddingBreaks


@pytest.fixture
def scored() -> Callable[..., ScoredEpisode]:
    return _scored


@pytest.fixture
def sampled() -> Callable[..., list[ScoredEpisode]]:
    return _sampled
