"""What keys do to the desk."""

from __future__ import annotations

from textual import work

from trimtab.chat.desk import Desk
from trimtab.tui.screens.parts import ChatParts
from trimtab.tui.widgets.desk_panel import DeskPanel


class DeskActions(ChatParts):
    """Switching, silencing, undoing, presets."""

    def on_desk_panel_edited(self, event: DeskPanel.Edited) -> None:
        event.stop()
        if event.rests:
            self.history.add(event.desk)
        self._steer(event.desk, rests=event.rests)

    def on_desk_panel_refused(self, event: DeskPanel.Refused) -> None:
        event.stop()
        self.trouble(event.error)

    def action_toggle_key(self, key: str) -> None:
        self.panel.toggle_key(key)

    def action_flip(self) -> None:
        self.panel.flip()

    def action_silence(self) -> None:
        self.panel.silence()

    def action_anchors(self) -> None:
        self.panel.write_anchors()

    def action_inspect(self) -> None:
        self.panel.toggle_inspector()

    def action_undo(self) -> None:
        self._go_to(self.history.undo(), "nothing to undo")

    def action_redo(self) -> None:
        self._go_to(self.history.redo(), "nothing to do again")

    def action_toggle_desk(self) -> None:
        self.panel.display = not self.panel.display

    @work
    async def action_save_preset(self) -> None:
        from trimtab.chat.presets import Preset, Presets
        from trimtab.tui.screens.dialogs import AskLine

        name = await self.app.push_screen_wait(AskLine("Save the desk as", hint="A name, to recall it by."))
        if name and name.strip():
            await self._guarded(self._saved(Presets.default(), Preset(name=name, desk=self.panel.desk)))

    @work
    async def action_recall_preset(self) -> None:
        from trimtab.chat.presets import Presets
        from trimtab.tui.screens.dialogs import Pick

        presets = Presets.default()
        names = presets.names()
        if not names:
            self.tell(f"No preset was saved yet: {self.trimtab.key('save-desk')} saves one.")
            return
        at = await self.app.push_screen_wait(Pick("Recall a preset", names))
        if at is not None:
            await self._guarded(self._recalled(presets, names[at]))

    async def _saved(self, presets: object, preset: object) -> None:
        from trimtab.chat.presets import Preset, Presets

        assert isinstance(presets, Presets) and isinstance(preset, Preset)
        path = presets.save(preset)
        self.tell(f"saved as {preset.name}, in {path}")

    async def _recalled(self, presets: object, name: str) -> None:
        from trimtab.chat.presets import Presets
        from trimtab.tui.desk_edit import complete

        assert isinstance(presets, Presets)
        desk = complete(presets.recall(name).desk, self.backend.values if self.backend else ())
        self.history.add(desk)
        self._go_to(desk, "")

    def _go_to(self, desk: Desk | None, otherwise: str) -> None:
        if desk is None:
            self.tell(otherwise)
            return
        self.panel.show_desk(desk)
        self._steer(desk, rests=True)

    def _steer(self, desk: Desk, *, rests: bool) -> None:
        if self.conversing is not None:
            self.do(self.conversing.steer(desk, rests=rests))
            self.top.steering = f"desk: {self.conversing.steering}"
