"""What the app keeps of sessions: the least recently used goes first, and nobody pushes out everybody else."""

from __future__ import annotations

from typing import Any

from gradio.state_holder import StateHolder

from zsad_demo.guard.visitors import visitor_of

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

    def claim(self, session: str, visitor: str) -> None:
        """Note that a visitor uses a session, and drop what is one too many."""
        with self.lock:
            self._owners[session] = visitor
            own = [name for name in self.session_data if self._owners.get(name) == visitor]
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


def places_of(queue: Any, visitor: str) -> int:
    """Return how many places in Gradio's queue a visitor has, those being served among them."""
    events = list(queue.event_ids_to_events.values())
    return sum(visitor_of(event.request.client) == visitor for event in events if event.request is not None)
