from __future__ import annotations

from types import SimpleNamespace

import gradio as gr

from zsad_demo.guard.sessions import Sessions, places_of
from zsad_demo.guard.visitors import visitor


def sessions(count: int, per_visitor: int) -> Sessions:
    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.State(None)
    kept = Sessions(count, per_visitor)
    kept.set_blocks(blocks)
    return kept


def use(kept: Sessions, name: str, who: str) -> None:
    visitor.set(who)
    kept[name]
    kept.claim(name, who)


def test_the_least_recently_used_goes_first() -> None:
    kept = sessions(3, 3)
    for name in ("a", "b", "c"):
        use(kept, name, name)
    use(kept, "a", "a")
    use(kept, "d", "d")
    assert list(kept.session_data) == ["c", "a", "d"]


def test_a_visitor_pushes_out_the_own_sessions() -> None:
    kept = sessions(10, 2)
    use(kept, "other", "b")
    for number in range(50):
        use(kept, f"a{number}", "a")
    assert list(kept.session_data) == ["other", "a48", "a49"]


def test_sessions_count_from_the_moment_they_are_made() -> None:
    kept = sessions(5, 2)
    use(kept, "other", "b")
    visitor.set("a")
    for number in range(50):
        kept[f"a{number}"]
    assert list(kept.session_data) == ["other", "a48", "a49"]


def test_answers_that_nobody_fetched_go_with_their_session() -> None:
    kept = sessions(10, 1)
    queue = kept.blocks._queue
    for name, running in (("done", False), ("running", True)):
        queue.pending_messages_per_session[name] = []
        queue.pending_event_ids_session[name] = {f"event of {name}"}
        if running:
            queue.event_ids_to_events[f"event of {name}"] = object()
        use(kept, name, "a")
    use(kept, "new", "a")
    assert list(kept.session_data) == ["new"]
    assert list(queue.pending_messages_per_session) == ["running"]


def test_places_are_counted_by_visitor() -> None:
    events = {
        number: SimpleNamespace(request=SimpleNamespace(client=(address, 1)))
        for number, address in enumerate(["192.0.2.1", "192.0.2.2", "192.0.2.1"])
    }
    queue = SimpleNamespace(event_ids_to_events=events)
    assert [places_of(queue, f"192.0.2.{last}") for last in (1, 2, 3)] == [2, 1, 0]
