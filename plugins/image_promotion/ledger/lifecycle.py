"""The life of a promotion: which state may follow which. No I/O.

    planned ──> copied ──> tagged ──> verified
       │           │          │
       ├───────────┼──────────┴──> failed ──> the state it failed in, or planned anew
       │           │                 │
       └───────────┴─────────────────┴──> superseded ──> planned anew, if people rejected it

A tagged promotion is never superseded: its tag is visible in the target, so it is verified or it
fails. Verified is final, and so is superseded but for one way: what people rejected is superseded
until somebody asks for it again.
"""

from __future__ import annotations

from image_promotion.ledger.records import State

PREDECESSORS = {
    State.COPIED: State.PLANNED,
    State.TAGGED: State.COPIED,
    State.VERIFIED: State.TAGGED,
}
"""The one state from which a promotion advances to each."""

FAILABLE = frozenset({State.PLANNED, State.COPIED, State.TAGGED})
SUPERSEDABLE = frozenset({State.PLANNED, State.COPIED, State.FAILED})
REVIVABLE = State.SUPERSEDED
"""The state from which a promotion is planned anew when people rejected it and somebody asks."""
UNFINISHED = frozenset({State.PLANNED, State.COPIED, State.TAGGED, State.FAILED})
FINAL = frozenset({State.VERIFIED, State.SUPERSEDED})

_WAY = (State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED)


def has_reached(state: State, goal: State) -> bool:
    """Say whether a promotion in this state has passed the goal, or stands there.

    Args:
        state: Where the promotion stands.
        goal: A state on the way from planned to verified.

    Returns:
        True when nothing is left to do to get there. A failed or superseded promotion has reached
        nothing.
    """
    return state in _WAY and goal in _WAY and _WAY.index(state) >= _WAY.index(goal)
