"""What keys do to messages."""

from __future__ import annotations

import asyncio

from trimtab.errors import TrimtabError
from trimtab.tui.screens.parts import ChatParts
from trimtab.tui.widgets.composer import Composer
from trimtab.tui.widgets.transcript_entry import Entry


class MessageActions(ChatParts):
    """Sending, stopping, again, editing, copying."""

    def on_composer_sent(self, event: Composer.Sent) -> None:
        event.stop()
        if self.editing is not None:
            message, self.editing = self.editing, None
            self.composer.border_title = ""
            self.do(self._edit(message, event.text))
        else:
            self.do(self._send(event.text))

    async def _send(self, text: str) -> None:
        """Waits for the model; what cannot be sent goes back to where it was written."""
        if not self.model.done():
            self._show_waiting(text)
        try:
            await self._loaded()
            assert self.conversing is not None
            self.transcript.cursor = None
            await self.conversing.send(text)
        except TrimtabError as error:
            self.trouble(error)
            self.conversation_changed()
            stored = self.conversing is not None and any(
                each.mine and each.text == text for each in self.conversing.entries()[-1:]
            )
            if not self.composer.text and not stored:
                self.composer.put(text)

    async def _loaded(self) -> None:
        """Raises what kept the model from being loaded."""
        await asyncio.shield(self.model)

    def _show_waiting(self, text: str) -> None:
        note = "is sent when the model is loaded"
        waiting = Entry(id=-1, mine=True, name="you", text=text, notes=(("note", note),))
        self.remove_class("-empty")
        self.transcript.show([*self.transcript.entries, waiting])

    async def _edit(self, message: int, text: str) -> None:
        if self.conversing is not None:
            await self.conversing.edit(message, text)

    def action_leave(self) -> None:
        """Gives up an edit, or goes to the desk: at once, so that the next key already acts there."""
        if self.editing is not None:
            self.editing = None
            self.composer.border_title = ""
            self.composer.put("")
        elif self.panel.display:
            self.panel.enter()
        else:
            self.set_focus(self.transcript)

    def action_write(self) -> None:
        self.set_focus(self.composer)

    def action_editor(self) -> None:
        from trimtab.tui.editor import edit

        try:
            with self.app.suspend():
                text = edit(self.composer.text)
        except TrimtabError as error:
            self.trouble(error)
            return
        self.composer.put(text)

    def action_stop(self) -> None:
        """Copies what is selected; else ends the reply."""
        selected = self.composer.selected_text if self.composer.has_focus else self.get_selected_text()
        if selected:
            self._copied(selected)
        elif self.conversing is not None and self.conversing.live is not None:
            self.do(self.conversing.stop())
        else:
            self.tell(f"{self.trimtab.key('quit')} quits")

    def action_regenerate(self) -> None:
        if self.conversing is not None and (entry := self.transcript.chosen()) is not None:
            self.do(self.conversing.regenerate(entry.id))

    def action_unsteered(self) -> None:
        if self.conversing is not None and (entry := self.transcript.chosen()) is not None:
            self.do(self.conversing.regenerate(entry.id, unsteered=True))

    def action_resume(self) -> None:
        if self.conversing is not None and (entry := self.transcript.chosen()) is not None:
            self.do(self.conversing.resume(entry.id))

    def action_branch(self) -> None:
        if self.conversing is not None and (entry := self.transcript.chosen()) is not None:
            self.do(self.conversing.branch(entry.id))

    def action_edit(self) -> None:
        """The message that was chosen, else what the user said last."""
        entry = self.transcript.chosen()
        if entry is not None and self.transcript.cursor is None and not entry.mine:
            entry = next((each for each in reversed(self.transcript.entries) if each.mine), entry)
        if entry is None or entry.live:
            return
        self.editing = entry.id
        whose = "your message" if entry.mine else "the reply"
        self.composer.border_title = f"editing {whose}, esc gives it up"
        self.composer.put(entry.text)
        self.set_focus(self.composer)

    def action_version(self, step: int) -> None:
        if self.conversing is not None and (entry := self.transcript.chosen()) is not None:
            self.do(self._version(entry.id, step))

    async def _version(self, message: int, step: int) -> None:
        assert self.conversing is not None
        chosen = self.transcript.cursor is not None
        shown = await self.conversing.version(message, step)
        if shown is not None and chosen:
            self.transcript.choose(shown)

    def action_copy(self) -> None:
        if (entry := self.transcript.chosen()) is not None:
            self._copied(entry.text)

    def action_copy_code(self) -> None:
        entry = self.transcript.chosen()
        codes = self.transcript.codes(entry.id) if entry is not None else ()
        if codes:
            self._copied(codes[-1].text)
        else:
            self.tell("There is no code in this message.")

    def _copied(self, text: str) -> None:
        """By the terminal and by the platform's tool: either may be missing."""
        from trimtab.tui import clipboard

        self.app.copy_to_clipboard(text)
        tool = clipboard.copy(text)
        self.tell(f"copied {len(text)} characters, by the terminal{f' and {tool}' if tool else ' (OSC 52)'}")
