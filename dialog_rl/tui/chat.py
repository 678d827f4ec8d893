"""The chat screen: deeds by keys, and the same deeds by what is typed after a slash."""

from __future__ import annotations

from dialog_rl.chat import commands
from dialog_rl.chat.opinions import likert, stars, tags
from dialog_rl.errors import ConfigError, DialogRLError
from dialog_rl.text import one_line
from dialog_rl.tui.composer import Composer
from dialog_rl.tui.deeds import Deeds


class ChatScreen(Deeds):
    """A method `order_NAME` a command, which is given what follows its name."""

    async def on_composer_sent(self, event: Composer.Sent) -> None:
        text = event.text.strip()
        if text.startswith("/"):
            await self.obey(text)
        elif text:
            await self.tell(self.desk.before_turn)
            await self.send(text)

    async def obey(self, text: str) -> None:
        """Do what was typed after a slash, or say why not."""
        try:
            command, argument = commands.parse(text, commands.ON_SCREEN)
            await getattr(self, f"order_{command.name}")(argument)
        except DialogRLError as e:
            self.status(str(e))

    def _last(self) -> int:
        """The last turn. Raises ConfigError if there is none."""
        if not self.session.turns:
            raise ConfigError("there is no reply yet")
        return len(self.session.turns) - 1

    async def order_card(self, _: str) -> None:
        self.action_card()

    async def order_good(self, _: str) -> None:
        await self.rate(self._last(), value=1.0)

    async def order_bad(self, _: str) -> None:
        await self.rate(self._last(), value=-1.0)

    async def order_rate(self, text: str) -> None:
        await self.rate(self._last(), value=likert(stars(text)))

    async def order_whole(self, text: str) -> None:
        self._last()
        await self.rate(None, value=likert(stars(text)))

    async def order_comment(self, text: str) -> None:
        last = self._last()
        if text:
            await self.rate(last, comment=text)
        else:
            self.ask_comment(last)

    async def order_correct(self, text: str) -> None:
        last = self._last()
        if text:
            await self.rate(last, correction=text)
        else:
            self.ask_correction(last)

    async def order_tag(self, text: str) -> None:
        last = self._last()
        if text:
            await self.rate(last, tags=tags(text))
        else:
            self.ask_tags(last)

    async def order_undo(self, _: str) -> None:
        await self.undo()

    async def order_learn(self, text: str) -> None:
        if text not in ("", "on", "off"):
            raise ConfigError(f"/learn on or /learn off, not {one_line(text, 20)!r}")
        await self.action_learn(None if not text else text == "on")

    async def order_rewards(self, _: str) -> None:
        self.toggle_why(self._last())

    async def order_reload(self, _: str) -> None:
        await self.tell(self.desk.reload)

    async def order_new(self, _: str) -> None:
        await self.action_new()

    async def order_free(self, _: str) -> None:
        await self.action_new(free=True)

    async def order_help(self, _: str) -> None:
        await self.run_action("app.help")

    async def order_quit(self, _: str) -> None:
        await self.run_action("app.quit")

    async def order_another(self, _: str) -> None:
        self.compare(self._last())

    async def order_before(self, _: str) -> None:
        self.compare_with_earlier(self._last())

    async def order_say(self, _: str) -> None:
        self.say_otherwise(self._last())

    async def order_review(self, _: str) -> None:
        self.review.focus()

    async def order_saved(self, text: str) -> None:
        self.action_saved(text)

    async def order_name(self, text: str) -> None:
        self._last()
        await self.errands.do(self.desk.room.rename, self.session.id, text)
        self.status(f"it is called {one_line(text)}" if text else "it has its first name again")

    async def order_export(self, text: str) -> None:
        self._last()
        room = self.desk.room
        saved = await self.errands.do(room.find, self.session.id)
        path = await self.errands.do(room.export, saved, text or "md")
        self.status(f"written to {path}")

    async def order_scenario(self, _: str) -> None:
        await self.keep_scenario()

    async def order_delete(self, _: str) -> None:
        self._last()
        self.put_away()

    async def order_copy(self, _: str) -> None:
        self.copy_reply(self._last())

    async def order_theme(self, text: str) -> None:
        app = self.app
        if not text:
            app.search_themes()
        elif text in app.available_themes:
            app.theme = text
        else:
            raise ConfigError(f"there is no theme {one_line(text, 40)!r}; there are: {', '.join(app.available_themes)}")
