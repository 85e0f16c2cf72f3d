"""What the app keeps of sessions: the least recently used goes first, and nobody pushes out all others."""

from __future__ import annotations

from typing import Any

from gradio.state_holder import SessionState, StateHolder

from zsad_demo.guard.visitors import visitor, visitor_of

SESSIONS = 100
"""Sessions whose last results are kept."""
PER_VISITOR = 25
"""Of them, those of one visitor."""
PLACES = 64
"""Places in the queue; who comes after them is told so."""
PLACES_PER_VISITOR = 16
"""Of them, those of one visitor."""


class Sessions(StateHolder):
    """The sessions of all visitors, the least recently used first."""

    def __init__(self, sessions: int = SESSIONS, per_visitor: int = PER_VISITOR) -> None:
        """Take how many are kept in all, and of one visitor."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.sessions, self.per_visitor = sessions, per_visitor
        self._owners: dict[str, str] = {}

    def set_blocks(self, blocks: Any) -> None:
        """Keep the sessions of an app."""
        super().set_blocks(blocks)
        self.capacity = 10 * self.sessions  # Gradio looks at it before anybody knows whose session it is

    def __getitem__(self, session_id: str) -> SessionState:
        """Return a session, which is made where there is none: any request that names one does so."""
        state = super().__getitem__(session_id)
        if session_id not in self._owners:
            self.claim(session_id, visitor.get())
        return state

    def claim(self, session: str, who: str) -> None:
        """Note that a visitor uses a session, and drop what is one too many."""
        with self.lock:
            self._owners[session] = who
            own = [name for name in self.session_data if self._owners.get(name) == who]
            for name in own[: max(0, len(own) - self.per_visitor)]:
                self._drop(name)
            for name in list(self.session_data)[: max(0, len(self.session_data) - self.sessions)]:
                self._drop(name)
            self._owners = {name: owner for name, owner in self._owners.items() if name in self.session_data}

    def _drop(self, session: str) -> None:
        self.session_data.pop(session, None)
        self.time_last_used.pop(session, None)
        queue = self.blocks._queue
        waiting = queue.pending_event_ids_session.get(session, ())
        if not any(event in queue.event_ids_to_events for event in waiting):  # answers that nobody fetched
            queue.pending_event_ids_session.pop(session, None)
            queue.pending_messages_per_session.pop(session, None)


def places_of(queue: Any, who: str) -> int:
    """Return how many places in Gradio's queue a visitor has, those being served among them."""
    events = list(queue.event_ids_to_events.values())
    return sum(visitor_of(event.request.client) == who for event in events if event.request is not None)
