"""Where a conversation with a person takes place."""

from __future__ import annotations

from dataclasses import dataclass

from dialog_rl.conversation import Conversation, User
from dialog_rl.episode import Episode, Message, Role, StopReason
from dialog_rl.scenario import Scenario
from dialog_rl.staging import Stage, document

PERSON = "person"
"""What an episode with a person says of its simulator."""
LEARNABLE = 0.5
"""The temperature at which people are spoken to where it is to be learnt from. Any but 0 is a policy whose gradient can
be taken; the small model serves nearly as many customers at this one as without chance, and many fewer at 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    stage: Stage
    scenario: Scenario
    seed: int
    temperature: float = 0.0

    @property
    def system(self) -> Message:
        return Message(role=Role.SYSTEM, text=self.stage.pack.file.brief)

    @property
    def turns(self) -> int:
        """Messages of the person that the agent may answer."""
        return self.scenario.limits.turns

    def conversation(self, person: User, *, episode_id: str, tokenizer: str, started_at: float) -> Conversation:
        return self.stage.conversation_with(
            person,
            self.scenario,
            self.seed,
            episode_id=episode_id,
            simulator=PERSON,
            tokenizer=tokenizer,
            temperature=self.temperature,
            started_at=started_at,
        )

    def opening(self, *, episode_id: str, tokenizer: str, started_at: float) -> Episode:
        """The episode before anything was said."""
        return Episode(
            episode_id=episode_id,
            pack=self.stage.pack.name,
            scenario=document(self.scenario),
            seed=self.seed,
            system=self.system,
            turns=(),
            stop=StopReason.ABORTED,
            simulator=PERSON,
            tokenizer=tokenizer,
            temperature=self.temperature,
            started_at=started_at,
        )
